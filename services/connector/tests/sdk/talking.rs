//! Events and requests, in both directions.

use std::collections::{HashMap, HashSet};
use std::future::IntoFuture;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use wsmesh_connector::{Connector, EmitError, Options, OptionsError, RequestError};
use wsmesh_dial::testing::{Silent, name};
use wsmesh_protocol::ErrorCode;

use crate::support::{Server, connected, soon, start};

#[tokio::test]
async fn it_connects_with_parameters_and_headers() {
    let server = Server::start().await;
    let options = server.options().param("id", "888").param("name", "sam & co");
    let (_client, peer, _task) = connected(&server, options.header("Authorization", "Bearer x")).await;
    assert_eq!(peer.path, "/chat?id=888&name=sam+%26+co");
    assert_eq!(peer.authorization.as_deref(), Some("Bearer x"));
}

#[tokio::test]
async fn a_silent_address_of_the_servers_name_costs_no_attempt() {
    let (server, silent) = (Server::start().await, Silent::start().await);
    name("server.test", &[silent.address(), server.address()]);
    let mut options = Options::new("ws://server.test/chat");
    // The attempt has enough time: the silent address must not use it up.
    options.connect_timeout = Duration::from_secs(3600);
    let (_client, peer, _task) = connected(&server, options).await;
    assert_eq!(peer.path, "/chat");
}

#[tokio::test]
async fn events_go_out_byte_for_byte_and_pushes_reach_every_listener_of_their_name() {
    let server = Server::start().await;
    let (client, mut peer, _task) = connected(&server, server.options()).await;
    let (mut one, mut two, mut any) = (client.on("say"), client.on("say"), client.on_any());
    let next = client.once("say");
    client.emit("say", &json!({"msg": "Hi server"})).await.expect("open");
    assert_eq!(peer.read().await, r#"{"event":"say","payload":{"msg":"Hi server"}}"#);
    peer.say(r#"{"event":"other"}"#).await;
    peer.say(r#"{"event":"say","payload":{"msg":"hi"}}"#).await;
    for listener in [&mut one, &mut two] {
        let event = soon("the push", listener.next()).await.expect("listening");
        assert_eq!((&*event.name, event.payload.as_str()), ("say", r#"{"msg":"hi"}"#));
    }
    let event = soon("the push", next).await.expect("listening");
    assert_eq!(event.payload.json::<Value>().expect("JSON"), json!({"msg": "hi"}));
    let other = soon("the other", any.recv()).await.expect("listening");
    assert_eq!((&*other.name, other.payload.as_str()), ("other", "null"));
    assert_eq!(&*soon("the push", any.recv()).await.expect("listening").name, "say");
}

#[tokio::test]
async fn replies_find_their_requests_in_any_order() {
    let server = Server::start().await;
    let (client, mut peer, _task) = connected(&server, server.options()).await;
    let script = async {
        let (first, second) = (peer.json().await, peer.json().await);
        for asked in [second, first] {
            let reply = json!({"payload": asked["payload"], "callbackId": asked["callbackId"]});
            peer.say(reply).await;
        }
    };
    let (one, two) = (client.request("a", &1), client.request("b", &2));
    let (one, two, ()) = tokio::join!(one.into_future(), two.into_future(), script);
    let (one, two) = (one.expect("replied"), two.expect("replied"));
    assert_eq!((one.as_str(), two.as_str()), ("1", "2"));
}

#[tokio::test]
async fn ids_of_requests_differ_between_clients() {
    let server = Server::start().await;
    let mut ids = HashSet::new();
    for _ in 0..20 {
        let (client, mut peer, _task) = connected(&server, server.options()).await;
        for _ in 0..2 {
            let asked = async {
                let asked = peer.json().await;
                peer.say(json!({"payload": 1, "callbackId": asked["callbackId"]})).await;
                asked["callbackId"].as_str().expect("an id").to_owned()
            };
            let (reply, id) = tokio::join!(client.request("echo", &1).into_future(), asked);
            reply.expect("replied");
            assert!(ids.insert(id));
        }
    }
}

#[tokio::test]
async fn a_refusal_and_a_time_out_have_their_codes_and_late_replies_do_nothing() {
    let server = Server::start().await;
    let (client, mut peer, _task) = connected(&server, server.options()).await;
    let script = async {
        peer.reply(json!({"error": "not you", "errorCode": "NOT_ALLOWED"}))
            .await;
        peer.json().await["callbackId"].clone()
    };
    let asking = async {
        let refused = client.request("a", &1).await.expect_err("refused");
        assert_eq!(refused.code(), "NOT_ALLOWED");
        assert_eq!(refused.to_string(), "not you (NOT_ALLOWED)");
        let late = client.request("b", &1).timeout(Duration::from_millis(50)).await;
        assert_eq!(late.expect_err("no reply").code(), "CALLBACK_TIMEOUT");
    };
    let (late, ()) = tokio::join!(script, asking);
    peer.say(json!({"payload": 1, "callbackId": late})).await;
    peer.say(json!({"payload": 1, "callbackId": "what?"})).await;
    let (reply, ()) = tokio::join!(client.request("c", &1).into_future(), peer.reply(json!(3)));
    assert_eq!(reply.expect("replied").as_str(), "3");
}

#[tokio::test]
async fn an_event_that_cannot_be_sent_is_an_error_with_its_reason() {
    let server = Server::start().await;
    let mut options = server.options();
    options.max_pending = 1;
    let (client, task) = Connector::new(options).expect("options that work");
    assert!(matches!(client.emit("a", &1).await, Err(EmitError::NotOpen)));
    assert!(matches!(client.request("a", &1).await, Err(RequestError::NotOpen)));
    assert!(matches!(client.try_emit("", &1), Err(EmitError::EmptyEvent)));
    let _task = tokio::spawn(task.run());
    let _peer = server.accept().await;
    soon("open", client.opened()).await.expect("open");
    let nameless = HashMap::from([((1, 2), 3)]);
    assert!(matches!(client.emit("a", &nameless).await, Err(EmitError::Payload(_))));
    let mut first = client.request("a", &1).into_future();
    assert!(futures_util::poll!(&mut first).is_pending());
    assert!(matches!(client.request("b", &1).await, Err(RequestError::TooMany(1))));
    drop(first);
    let after = client.request("c", &1).timeout(Duration::from_millis(20)).await;
    assert!(
        matches!(after, Err(RequestError::Timeout(_))),
        "a dropped request leaves its place"
    );
}

#[tokio::test]
async fn requests_of_the_server_are_answered_or_refused() {
    let server = Server::start().await;
    let (client, mut peer, _task) = connected(&server, server.options()).await;
    let mut asked = client.on_request("where");
    for id in ["r1", "r2"] {
        peer.say(json!({"event": "where", "payload": {"a": 1}, "requestId": id}))
            .await;
    }
    let request = soon("a request", asked.recv()).await.expect("listening");
    assert_eq!(request.payload.as_str(), r#"{"a":1}"#);
    request.answer(&"here").await.expect("open");
    let request = soon("a request", asked.recv()).await.expect("listening");
    request.refuse(ErrorCode::NotAllowed, "no").await.expect("open");
    assert_eq!(peer.read().await, r#"{"payload":"here","requestId":"r1"}"#);
    let refused = json!({"payload": {"error": "no", "errorCode": "NOT_ALLOWED"}, "requestId": "r2"});
    assert_eq!(peer.json().await, refused);
    peer.say(json!({"event": "unheard", "requestId": "r3"})).await;
    let unheard = peer.json().await;
    assert_eq!(unheard["payload"]["errorCode"], "UNKNOWN_EVENT");
    assert_eq!(unheard["requestId"], "r3");
}

#[tokio::test]
async fn invalid_frames_do_not_end_the_connection() {
    let server = Server::start().await;
    let (client, mut peer, _task) = connected(&server, server.options()).await;
    let mut says = client.on("say");
    let deep = "[".repeat(1000) + &"]".repeat(1000);
    for text in [
        "hello",
        "{}",
        "[]",
        r#"{"event":7}"#,
        r#"{"event":"say","requestId":7}"#,
        r#"{"callbackId":"1"}"#,
    ] {
        peer.say(text).await;
    }
    peer.send(Message::binary(vec![0xff, 0x00])).await;
    peer.say(format!(r#"{{"event":"say","payload":{deep}}}"#)).await;
    let event = soon("the push", says.recv()).await.expect("listening");
    assert_eq!(event.payload.as_str(), deep);
    let parsed = event.payload.json::<Value>();
    assert!(parsed.is_err(), "parsing it is an error, not a stack overflow");
}

#[tokio::test]
async fn a_listener_that_does_not_keep_up_misses_events_and_does_not_delay_others() {
    let server = Server::start().await;
    let mut options = server.options();
    options.listener_queue = 2;
    let (client, mut peer, _task) = connected(&server, options).await;
    let mut slow = client.on("tick");
    for n in 0..5 {
        peer.say(json!({"event": "tick", "payload": n})).await;
    }
    let (reply, ()) = tokio::join!(client.request("echo", &1).into_future(), peer.reply(json!(1)));
    reply.expect("replied, after all five came");
    assert_eq!(slow.missed(), 3);
    for n in ["0", "1"] {
        let event = soon("an event", slow.recv()).await.expect("listening");
        assert_eq!(event.payload.as_str(), n);
    }
}

#[tokio::test]
async fn events_arrive_in_order_even_if_the_queue_is_short() {
    let server = Server::start().await;
    let mut options = server.options();
    options.send_queue = 1;
    let (client, mut peer, _task) = connected(&server, options).await;
    let sending = async {
        for n in 0..500 {
            client.emit("n", &n).await.expect("open");
        }
    };
    let reading = async {
        for n in 0..500 {
            assert_eq!(peer.json().await["payload"], n);
        }
    };
    tokio::join!(sending, reading);
}

#[tokio::test]
async fn try_emit_reports_a_full_queue_at_once() {
    let server = Server::start().await;
    let mut options = server.options();
    options.send_queue = 1;
    let (client, mut peer, _task) = connected(&server, options).await;
    // There is no await in between, so the task on this one thread writes nothing meanwhile.
    client.try_emit("a", &1).expect("room for one");
    assert!(matches!(client.try_emit("b", &1), Err(EmitError::Full)));
    assert_eq!(peer.json().await["event"], "a");
}

#[tokio::test]
async fn many_clients_live_in_one_process() {
    let server = Server::start().await;
    let mut all = Vec::new();
    for n in 0..200 {
        let (client, mut peer, task) = connected(&server, server.options()).await;
        client.emit("n", &n).await.expect("open");
        assert_eq!(peer.json().await["payload"], n);
        all.push((client, peer, task));
    }
}

#[tokio::test]
async fn a_subprotocol_is_a_header() {
    let server = Server::start().await;
    let options = server.options().header("Sec-WebSocket-Protocol", "v1");
    let (client, _task) = start(options);
    #[expect(clippy::result_large_err, reason = "the library's signature")]
    let choose = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
        let offered = request.headers()["sec-websocket-protocol"].clone();
        assert_eq!(offered, "v1");
        response.headers_mut().insert("sec-websocket-protocol", offered);
        Ok(response)
    };
    let upgrade = tokio_tungstenite::accept_hdr_async(server.tcp().await, choose);
    let _peer = soon("the upgrade", upgrade).await.expect("a WebSocket client");
    soon("open", client.opened()).await.expect("open");
}

#[test]
fn the_readme_says_what_every_option_is_for() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(readme).expect("the README");
    let options = include_str!("../../src/options.rs");
    let fields = options
        .lines()
        .filter_map(|line| line.strip_prefix("    pub ")?.split_once(": "));
    let fields: Vec<&str> = fields
        .map(|(name, _)| name)
        .filter(|name| !name.contains('('))
        .collect();
    assert!(fields.len() >= 20, "{fields:?}");
    for field in fields {
        assert!(readme.contains(&format!("| `{field}`")), "{field} is not in the table");
    }
}

#[test]
fn invalid_options_are_errors_before_anything_is_connected() {
    let refused = |options: Options| Connector::new(options).expect_err("refused");
    let error = refused(Options::new("http://host/"));
    assert!(error.to_string().contains("ws://"), "{error}");
    assert!(matches!(refused(Options::new("host")), OptionsError::Url(_)));
    let header = Options::new("ws://host/").header("a b", "c");
    assert!(matches!(refused(header), OptionsError::Header(_)));
    let secure = Connector::new(Options::new("wss://host/"));
    assert!(secure.is_ok(), "TLS needs nothing installed");
}
