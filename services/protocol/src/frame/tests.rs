//! Tests of client frames: bytes recorded from the JavaScript package, and frames that are not valid.

use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::write::to_json;
use super::*;
use crate::callback_id::{CallbackId, MAX_CALLBACK_ID_BYTES};
use crate::error_code::ErrorCode;

const RECORDED: &str = include_str!("../../../../tests/vectors/recorded.json");

fn recorded() -> Vec<(String, String)> {
    let all: Value = serde_json::from_str(RECORDED).expect("the vectors are JSON");
    let cases = all["client"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|case| case["text"].is_string());
    let text = |case: &Value, key: &str| case[key].as_str().expect("text").to_owned();
    cases.map(|case| (text(case, "case"), text(case, "text"))).collect()
}

#[test]
fn every_recorded_frame_is_read_and_written_again_byte_for_byte() {
    let mut checked = 0;
    for (case, text) in recorded().iter().filter(|(_, text)| text.starts_with('{')) {
        let again = match case.as_str() {
            "text frame" => match parse(text).expect("a client's frame") {
                ClientMessage::Event { event, payload, .. } => push_raw(&event, payload),
                ClientMessage::Request {
                    event,
                    payload,
                    callback_id,
                    ..
                } => {
                    let text: String = serde_json::from_str(callback_id.json()).expect("a string");
                    client_request(&event, payload, &text)
                }
                answer => panic!("{answer:?}"),
            },
            "reply" => match parse_server(text).expect("a server's frame") {
                ServerMessage::Reply { payload, callback_id } => reply(&*callback_id, payload),
                other => panic!("{other:?}"),
            },
            other => panic!("an unknown case: {other}"),
        };
        assert_eq!(again, *text);
        checked += 1;
    }
    assert_eq!(checked, 5);
}

#[test]
fn the_recorded_connect_url_is_read() {
    let (_, url) = recorded()
        .into_iter()
        .find(|(case, _)| case == "connect url")
        .expect("recorded");
    let (path, query) = url.split_once('?').expect("a query");
    let params = crate::Params::parse(path, query, crate::ParamOptions::default());
    assert_eq!(
        (params.path.as_str(), params.one("id"), params.one("name")),
        ("chat", Some("888"), Some("sam & co"))
    );
}

#[test]
fn a_frame_that_cannot_be_used_gives_an_error_that_names_the_request_if_there_is_one() {
    for (text, problem, callback_id) in [
        ("", "must be a JSON object", None),
        ("hello", "must be a JSON object", None),
        ("[1]", "must be a JSON object", None),
        ("\"event\"", "must be a JSON object", None),
        ("{\"event\":", "not JSON", None),
        ("{\"event\":\"a\"} trailing", "not JSON", None),
        ("{}", "event must be", None),
        (r#"{"event":""}"#, "event must be", None),
        (r#"{"event":7,"callbackId":"c1"}"#, "event must be", Some("\"c1\"")),
        (r#"{"event":null,"callbackId":7}"#, "event must be", Some("7")),
        (r#"{"callbackId":{}}"#, "event must be", None),
        (r#"{"requestId":7}"#, "event must be", None),
    ] {
        let error = parse(text).expect_err(text);
        assert!(error.to_string().contains(problem), "{text}: {error}");
        assert_eq!(error.callback_id().map(CallbackId::json), callback_id, "{text}");
    }
}

#[test]
fn any_string_or_number_is_a_callback_id_and_is_repeated_byte_for_byte() {
    for id in [r#""c1""#, r#""""#, r#""a\u0062 \" é""#, "7", "-0", "1.0", "1e2", "0"] {
        let text = format!("{{\"event\":\"a\",\"callbackId\": {id} ,\"requestId\":[]}}");
        let Ok(ClientMessage::Request { callback_id, .. }) = parse(&text) else {
            panic!("{text}")
        };
        assert_eq!(
            reply(&callback_id, "1"),
            format!("{{\"payload\":1,\"callbackId\":{id}}}")
        );
        let refused = error_reply(&callback_id, ErrorCode::Timeout, "late");
        assert!(refused.starts_with(&format!("{{\"callbackId\":{id},")), "{refused}");
    }
}

#[test]
fn an_event_is_handled_whatever_its_ids_are() {
    let long = format!("\"{}\"", "x".repeat(MAX_CALLBACK_ID_BYTES));
    for (id, unanswerable) in [
        ("null", false),
        ("true", true),
        ("{}", true),
        ("[1]", true),
        (&long, true),
    ] {
        for request_id in ["null", "7", "\"r\"", &long] {
            let text = format!("{{\"event\":\"a\",\"callbackId\":{id},\"requestId\":{request_id}}}");
            let Ok(ClientMessage::Event { is_unanswerable, .. }) = parse(&text) else {
                panic!("{text}")
            };
            assert_eq!(is_unanswerable, unanswerable, "{text}");
        }
    }
    let told: Value = serde_json::from_str(&unanswerable()).expect("JSON");
    assert_eq!(
        (&told["event"], &told["payload"]["errorCode"]),
        (&json!(ERROR), &json!("BAD_FRAME"))
    );
}

#[test]
fn a_callback_id_reaches_a_service_as_the_client_wrote_it_even_when_rewritten_on_the_way() {
    for id in [r#""c1""#, "7", r#""\u00e9\/""#, "1e2", "-0"] {
        let forwarded = crate::forward::Forwarded {
            client: "ann".into(),
            server: "edge".into(),
            event: "buy".into(),
            payload: RawValue::NULL.to_owned(),
            callback_id: CallbackId::from_json(id).map(CallbackId::into_owned),
            data: None,
        };
        let written: Value = serde_json::from_str(&to_json(&forwarded)).expect("JSON");
        assert!(written["callbackId"].is_string() || written["callbackId"].is_number());
        let read: crate::forward::Forwarded = serde_json::from_str(&written.to_string()).expect("as it was");
        assert_eq!(read.callback_id.expect("there").json(), id);
    }
}

#[test]
fn missing_unknown_and_repeated_fields_are_accepted() {
    let Ok(ClientMessage::Event {
        payload, traceparent, ..
    }) = parse(r#"{"event":"a","new":[1]}"#)
    else {
        panic!()
    };
    assert_eq!((payload.get(), traceparent), ("null", None));
    let Ok(ClientMessage::Event { event, payload, .. }) = parse(r#"{"event":"a","payload":1,"event":"b","payload":2}"#)
    else {
        panic!()
    };
    assert_eq!((&*event, payload.get()), ("b", "2"));
    let Ok(ClientMessage::Answer { request_id, .. }) = parse(r#"{"payload":1,"requestId":"r"}"#) else {
        panic!()
    };
    assert_eq!(request_id, "r");
}

#[test]
fn deep_nesting_costs_nothing_to_read() {
    let payload = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let text = format!(r#"{{"event":"deep","payload":{payload}}}"#);
    let Ok(ClientMessage::Event { payload: read, .. }) = parse(&text) else {
        panic!()
    };
    assert_eq!(read.get(), payload);
    assert!(
        serde_json::from_str::<Value>(read.get()).is_err(),
        "parsing the payload fails"
    );
}

#[test]
fn an_error_reply_has_the_fields_of_the_protocol() {
    let reply = error_reply("c\"1", ErrorCode::UnknownEvent, "nobody handles \"x\"");
    let value: Value = serde_json::from_str(&reply).expect("JSON");
    let expected =
        json!({"callbackId": "c\"1", "payload": {"error": "nobody handles \"x\"", "errorCode": "UNKNOWN_EVENT"}});
    assert_eq!(value, expected);
    let own = error_reply_with("1", "BID_\"LOW", "too low");
    let own: serde_json::Value = serde_json::from_str(&own).expect("JSON");
    assert_eq!(own["payload"]["errorCode"], "BID_\"LOW");
}

proptest! {
    #[test]
    fn reading_never_panics(text in ".{0,200}") {
        let _ = parse(&text);
        let _ = parse_server(&text);
    }

    #[test]
    fn a_changed_frame_never_panics(at in any::<prop::sample::Index>(), by in any::<char>()) {
        let mut chars: Vec<char> = r#"{"event":"say","payload":{"msg":"é"},"callbackId":"a-1"}"#.chars().collect();
        let at = at.index(chars.len());
        chars[at] = by;
        let _ = parse(&chars.into_iter().collect::<String>());
    }

    #[test]
    fn a_frame_that_was_written_is_read_back(name in ".{1,40}", text in ".{0,60}", id in ".{1,64}") {
        let written = client_request(&name, &json!({"t": text}), &id);
        let Ok(ClientMessage::Request { event, payload, callback_id, .. }) = parse(&written) else { panic!("{written}") };
        prop_assert_eq!((&*event, callback_id), (&*name, CallbackId::from(&*id)));
        prop_assert_eq!(serde_json::from_str::<Value>(payload.get()).expect("JSON"), json!({"t": text}));
        let asked = request(&name, "1", &id);
        let Ok(ServerMessage::Request { request_id, .. }) = parse_server(&asked) else { panic!("{asked}") };
        prop_assert_eq!(&*request_id, &*id);
        let answered = answer(&id, &text);
        let Ok(ClientMessage::Answer { request_id, .. }) = parse(&answered) else { panic!("{answered}") };
        prop_assert_eq!(&*request_id, &*id);
    }
}
