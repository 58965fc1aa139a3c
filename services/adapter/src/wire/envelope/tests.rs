//! Tests of the envelope: bytes recorded from the JavaScript package, both encodings, hostile bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::wire::{DecodeError, Encoding, Instance, NameError, Namespace, RoomId};

const RECORDED: &str = include_str!("../../../../../tests/vectors/recorded.json");

fn recorded() -> Vec<(String, Encoding, Bytes)> {
    let all: Value = serde_json::from_str(RECORDED).expect("the vectors are JSON");
    let cases = all["bridge"].as_array().expect("a list").iter().map(|case| {
        let encoding = if case["encoding"] == "json" {
            Encoding::Json
        } else {
            Encoding::Msgpack
        };
        let payload = STANDARD
            .decode(case["payload_b64"].as_str().expect("text"))
            .expect("base64");
        (
            case["case"].as_str().expect("text").to_owned(),
            encoding,
            Bytes::from(payload),
        )
    });
    cases.collect()
}

fn as_value(bytes: &Bytes, encoding: Encoding) -> Value {
    match encoding {
        Encoding::Json => serde_json::from_slice(bytes).expect("JSON"),
        Encoding::Msgpack => rmp_serde::from_slice(bytes).expect("MessagePack"),
    }
}

fn decode(bytes: Bytes) -> Result<Envelope, DecodeError> {
    Envelope::decode_unless_own(bytes, Instance(1)).map(|envelope| envelope.expect("sent by another process"))
}

fn name<T: TryFrom<String, Error = NameError>>(text: &str) -> T {
    T::try_from(text.to_owned()).expect("valid")
}

#[test]
fn every_recorded_envelope_decodes_and_is_written_as_an_equal_map_in_both_encodings() {
    let cases = recorded();
    assert_eq!(cases.len(), 30);
    for (case, encoding, bytes) in cases {
        if case == "custom channel" {
            let FromChannel { sender, payload, .. } = Envelope::decode_custom(bytes.clone()).expect("decodes");
            assert_eq!(sender, Some(name("serverA")));
            assert_eq!(
                payload.parse::<Value>().expect("parses"),
                json!({"hello": "world", "senderServer": "serverA"})
            );
            continue;
        }
        let envelope = decode(bytes.clone()).unwrap_or_else(|error| panic!("{case}: {error}"));
        let original = as_value(&bytes, encoding);
        for ours in [Encoding::Json, Encoding::Msgpack] {
            let written = envelope.encode(ours).expect("can be written");
            assert_eq!(as_value(&written, ours), original, "{case} as {ours:?}");
        }
    }
}

#[test]
fn recorded_envelopes_are_read_as_the_kind_they_were_recorded_as() {
    for (case, _, bytes) in recorded() {
        if case == "custom channel" {
            continue;
        }
        let body = decode(bytes).expect("decodes").body;
        let as_said = match case.as_str() {
            "to one socket id" => matches!(&body, Body::Client { client, .. } if client.as_str() == "13"),
            "to many socket ids" => matches!(&body, Body::Clients { clients, .. } if clients.len() == 3),
            "broadcast to all clients" => matches!(&body, Body::Everyone { .. }),
            "broadcast to a room" => matches!(&body, Body::Room { except, .. } if except.is_empty()),
            "broadcast to a room with exclusions" => matches!(&body, Body::Room { except, .. } if except.len() == 2),
            _ => matches!(&body, Body::Event { .. } | Body::Reply { .. }),
        };
        assert!(as_said, "{case}: {body:?}");
    }
}

#[test]
fn a_server_does_not_read_its_own_envelopes() {
    let bytes = plain().encode(Encoding::Msgpack).expect("can be written");
    assert_eq!(
        Envelope::decode_unless_own(bytes.clone(), Instance(77)).expect("decodes"),
        None
    );
    assert_eq!(decode(bytes).expect("decodes"), plain());
}

#[test]
fn the_field_wm_is_small() {
    let mut envelope = plain();
    if let Some(wm) = &mut envelope.wm {
        wm.identity.instance = Instance::now();
    }
    let bare = Envelope { wm: None, ..plain() };
    for (encoding, most) in [(Encoding::Msgpack, 40), (Encoding::Json, 70)] {
        let length = |envelope: &Envelope| envelope.encode(encoding).expect("can be written").len();
        let added = length(&envelope) - length(&bare);
        assert!(added <= most, "{added} bytes as {encoding:?}");
    }
}

#[test]
fn an_own_envelope_is_recognised_by_its_first_bytes() {
    for encoding in [Encoding::Json, Encoding::Msgpack] {
        let bytes = plain().encode(encoding).expect("can be written");
        let broken = bytes.slice(..bytes.len() - 1);
        assert_eq!(
            Envelope::decode_unless_own(broken.clone(), Instance(77)).expect("not read to its end"),
            None
        );
        assert!(
            decode(broken).is_err(),
            "an envelope of another server is read completely"
        );
    }
}

#[test]
fn an_own_envelope_is_recognised_wherever_its_identity_is() {
    let json = br#"{"data":"x","senderServer":"a","wm":{"t":1,"s":2,"i":77}}"#;
    let read = Envelope::decode_unless_own(Bytes::from_static(json), Instance(77)).expect("decodes");
    assert_eq!(read, None);
}

#[test]
fn unknown_fields_are_ignored_and_the_last_of_repeated_fields_counts() {
    let json = br#"{"x":[{}],"data":"old","wm":{"i":3,"s":2,"t":1,"new":{}},"data":"x","senderServer":"a"}"#;
    let read = decode(Bytes::from_static(json)).expect("decodes");
    let wm = Wm::new(
        Identity {
            instance: Instance(3),
            sequence: 2,
        },
        1,
    );
    assert_eq!((read.sender.as_str(), read.wm), ("a", Some(wm)));
    let (except, frame) = (Vec::new(), Frame::new("x"));
    assert_eq!(read.body, Body::Everyone { except, frame });
}

#[test]
fn a_reply_is_recognised_by_is_callback_as_in_the_javascript_package() {
    let event = br#"{"data":{"event":"_Cs_Cb_","senderServer":"a","callbackId":"1","payload":1}}"#;
    let body = decode(Bytes::from_static(event)).expect("decodes").body;
    assert!(matches!(body, Body::Event { .. }), "{body:?}");
    let reply = br#"{"data":{"event":"any","senderServer":"a","callbackId":"1","isCallback":true}}"#;
    let body = decode(Bytes::from_static(reply)).expect("decodes").body;
    assert_eq!(
        body,
        Body::Reply {
            callback_id: "1".to_owned(),
            payload: Payload::null()
        }
    );
}

#[test]
fn payloads_and_large_frames_share_the_bytes_that_were_read_and_small_frames_do_not() {
    let inside = |whole: &Bytes, part: &Bytes| whole.as_ptr_range().contains(&part.as_ptr());
    for encoding in [Encoding::Json, Encoding::Msgpack] {
        let body = Body::Event {
            event: "say".to_owned(),
            targets: Vec::new(),
            payload: Payload::new(&json!({"n": 1})).expect("JSON"),
            callback_id: None,
        };
        let bytes = Envelope { body, ..plain() }.encode(encoding).expect("can be written");
        let Body::Event { payload, .. } = decode(bytes.clone()).expect("decodes").body else {
            panic!("an event");
        };
        assert!(inside(&bytes, payload.bytes()), "{encoding:?}");
        assert_eq!(payload.encoding(), encoding);
    }
    for (length, shared) in [(100, false), (100_000, true)] {
        let body = Body::Everyone {
            except: Vec::new(),
            frame: Frame::new("x".repeat(length)),
        };
        let bytes = Envelope { body, ..plain() }
            .encode(Encoding::Msgpack)
            .expect("can be written");
        let Body::Everyone { frame, .. } = decode(bytes.clone()).expect("decodes").body else {
            panic!("a broadcast");
        };
        assert_eq!(inside(&bytes, frame.bytes()), shared, "{length}");
    }
}

#[test]
fn a_million_unknown_keys_are_skipped_and_not_stored() {
    let mut bytes = vec![0xdf, 0, 0x0f, 0x42, 0x42];
    bytes.extend([0xa1, b'x', 0xc0].repeat(1_000_000));
    rmp::encode::write_str(&mut bytes, "data").expect("memory");
    rmp::encode::write_str(&mut bytes, "hi").expect("memory");
    rmp::encode::write_str(&mut bytes, "senderServer").expect("memory");
    rmp::encode::write_str(&mut bytes, "a").expect("memory");
    assert!(decode(bytes.into()).is_ok());
}

#[test]
fn nesting_of_a_hundred_thousand_levels_is_skipped_and_only_parsing_it_fails() {
    let json = format!(
        r#"{{"data":{{"event":"e","senderServer":"a","payload":{}0{}}}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let mut msgpack = vec![0x81, 0xa4, b'd', b'a', b't', b'a', 0x83];
    for (key, value) in [("event", "e"), ("senderServer", "a")] {
        rmp::encode::write_str(&mut msgpack, key).expect("memory");
        rmp::encode::write_str(&mut msgpack, value).expect("memory");
    }
    rmp::encode::write_str(&mut msgpack, "payload").expect("memory");
    msgpack.extend(vec![0x91; 100_000]);
    msgpack.push(0xc0);
    for bytes in [Bytes::from(json), Bytes::from(msgpack)] {
        let Body::Event { payload, .. } = decode(bytes).expect("decodes").body else {
            panic!("an event");
        };
        assert!(payload.parse::<Value>().is_err());
        for encoding in [Encoding::Json, Encoding::Msgpack] {
            assert_eq!(payload.encoded(encoding).is_ok(), payload.encoding() == encoding);
        }
    }
}

fn plain() -> Envelope {
    let wm = Wm::new(
        Identity {
            instance: Instance(77),
            sequence: 1_000_000,
        },
        1_790_000_000_000,
    );
    Envelope {
        sender: name("ws-1"),
        wm: Some(wm),
        body: Body::Everyone {
            except: Vec::new(),
            frame: Frame::new("hi"),
        },
    }
}

#[test]
fn bytes_that_are_not_an_envelope_are_rejected_with_a_reason() {
    for (bytes, reason) in [
        (&b""[..], "broken MessagePack"),
        (b"{", "not JSON"),
        (b"{}", "senderServer is missing"),
        (br#"{"senderServer":"a"}"#, "neither an event"),
        (br#"{"senderServer":"a","data":7}"#, "field data"),
        (br#"{"data":{"senderServer":"a"}}"#, "field event"),
        (br#"{"data":{"event":"e","senderServer":""}}"#, "field senderServer"),
        (br#"{"senderServer":"a","data":"x","wm":{"i":1}}"#, "field s"),
    ] {
        let error = decode(Bytes::from_static(bytes)).expect_err("refused").to_string();
        assert!(error.contains(reason), "{bytes:?}: {error}");
    }
}

fn value() -> impl Strategy<Value = Value> + Clone {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e9_f64..1e9).prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(".{0,8}", inner, 0..6).prop_map(Value::from_iter),
        ]
    })
}

fn wm() -> impl Strategy<Value = Option<Wm>> {
    let text = prop::option::of(".{1,60}");
    let numbers = (
        2..u64::MAX / 2,
        any::<u64>(),
        any::<u64>(),
        prop::option::of(any::<u64>()),
        prop::option::of(any::<u64>()),
    );
    prop::option::of((numbers, text.clone(), text.clone(), text.clone(), text).prop_map(
        |((i, s, t, a, r), error, tp, ts, request)| Wm {
            limit_ms: request.is_some().then_some(t),
            request,
            channel: None,
            identity: Identity {
                instance: Instance(i),
                sequence: s,
            },
            time_ms: t,
            age_ms: a,
            target_instance: r.map(Instance),
            error,
            traceparent: tp,
            tracestate: ts,
        },
    ))
}

fn body() -> impl Strategy<Value = Body> {
    // Up to four bytes per character, and the longest valid name.
    let id = "[^\\p{Cc}]{1,63}|x{255}";
    let clients = prop::collection::vec(id.prop_map(|id| name::<ClientId>(&id)), 0..5);
    let frame = ".{0,200}".prop_map(Frame::new);
    let room = (id, id).prop_map(|(ns, id)| Room {
        namespace: name::<Namespace>(&ns),
        id: name::<RoomId>(&id),
    });
    let servers = prop::collection::vec(id.prop_map(|id| name::<ServerName>(&id)), 0..4);
    let payload = value().prop_map(|value| Payload::new(&value).expect("JSON"));
    prop_oneof![
        (".{1,20}", servers, payload.clone(), prop::option::of(".{1,64}")).prop_map(
            |(event, targets, payload, callback_id)| Body::Event {
                event,
                targets,
                payload,
                callback_id
            }
        ),
        (".{1,64}", payload).prop_map(|(callback_id, payload)| Body::Reply { callback_id, payload }),
        (id, frame.clone()).prop_map(|(id, frame)| Body::Client {
            client: name(&id),
            frame
        }),
        (clients.clone(), frame.clone()).prop_map(|(clients, frame)| Body::Clients { clients, frame }),
        (clients.clone(), frame.clone()).prop_map(|(except, frame)| Body::Everyone { except, frame }),
        (room.clone(), clients, frame).prop_map(|(room, except, frame)| Body::Room { room, except, frame }),
        room.prop_map(|room| Body::RoomRemove { room }),
    ]
}

/// Payloads are compared by value: their bytes may be in either encoding.
fn same(a: &Envelope, b: &Envelope) -> bool {
    let values = |body: &Body| match body {
        Body::Event { payload, .. } | Body::Reply { payload, .. } => Some(payload.parse::<Value>().expect("parses")),
        _ => None,
    };
    let without = |envelope: &Envelope| {
        let mut envelope = envelope.clone();
        if let Body::Event { payload, .. } | Body::Reply { payload, .. } = &mut envelope.body {
            *payload = Payload::null();
        }
        envelope
    };
    values(&a.body) == values(&b.body) && without(a) == without(b)
}

proptest! {
    #[test]
    fn an_envelope_that_was_written_is_read_back(wm in wm(), body in body(), json in any::<bool>()) {
        let envelope = Envelope { sender: name("ws-1"), wm, body };
        let encoding = if json { Encoding::Json } else { Encoding::Msgpack };
        let read = decode(envelope.encode(encoding).expect("can be written")).expect("decodes");
        prop_assert!(same(&envelope, &read), "{:?}\n{:?}", envelope, read);
    }

    #[test]
    fn broken_bytes_never_panic(body in body(), json in any::<bool>(), cut in any::<prop::sample::Index>(), flip in any::<u8>()) {
        let encoding = if json { Encoding::Json } else { Encoding::Msgpack };
        let bytes = Envelope { sender: name("ws-1"), wm: None, body }.encode(encoding).expect("can be written");
        let at = cut.index(bytes.len());
        let _ = Envelope::decode_unless_own(bytes.slice(..at), Instance(1));
        let mut flipped = bytes.to_vec();
        flipped[at] ^= flip;
        let _ = Envelope::decode_unless_own(flipped.into(), Instance(1));
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Envelope::decode_unless_own(bytes.into(), Instance(1));
    }
}
