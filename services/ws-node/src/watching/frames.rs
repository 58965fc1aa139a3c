//! What is told of a message: its kind, name and size, and the beginning of its payload only where that was asked for. Read only for
//! a watched client, and only as often as its watches have room. Tokens of clients are never told.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use wsmesh_adapter::Frame;
use wsmesh_protocol::frame::{ClientMessage, FrameError};
use wsmesh_protocol::watching::{Code, Details, MAX_SHOWN_BYTES, SightingKind};

use crate::routes::CREDENTIAL_EVENTS;

/// Longest name of an event that is told, and longest id, in bytes.
const MAX_NAME: usize = 128;

/// Largest frame for a client that is read, in bytes: the shard waits meanwhile, and a frame is read for each of its connections.
const MAX_READ: usize = 64 * 1024;

/// Whether payloads are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Payloads {
    Hidden,
    Shown,
}

/// The parts of a frame for a client.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parts<'a> {
    #[serde(borrow)]
    event: Option<Cow<'a, str>>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    #[serde(borrow)]
    callback_id: Option<&'a RawValue>,
    #[serde(borrow)]
    request_id: Option<Cow<'a, str>>,
}

/// The payload of a reply that is an error.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Failure<'a> {
    #[serde(borrow)]
    error_code: Cow<'a, str>,
}

/// Of what a client sent.
pub(super) fn from_client(text: &str, read: &Result<ClientMessage<'_>, FrameError>, payloads: Payloads) -> Details {
    let mut details = Details {
        bytes: Some(text.len() as u64),
        ..Details::default()
    };
    let (what, payload) = match read {
        Ok(ClientMessage::Event { event, payload, .. }) => {
            details.event = Some(cut(event, MAX_NAME));
            ("event", *payload)
        }
        Ok(ClientMessage::Request {
            event,
            payload,
            callback_id,
            ..
        }) => {
            details.event = Some(cut(event, MAX_NAME));
            details.callback_id = Some(cut(callback_id.json(), MAX_NAME));
            ("request", *payload)
        }
        Ok(ClientMessage::Answer { payload, request_id }) => {
            details.request_id = Some(cut(request_id, MAX_NAME));
            ("answer", *payload)
        }
        Err(_) => {
            details.what = Some("unreadable".to_owned());
            // It may have been meant to carry a token.
            if !CREDENTIAL_EVENTS.iter().any(|event| text.contains(event)) {
                show(&mut details, text, payloads);
            }
            return details;
        }
    };
    details.what = Some(what.to_owned());
    let is_secret = |event: &Cow<'_, str>| CREDENTIAL_EVENTS.contains(&&**event);
    let event = match read {
        Ok(ClientMessage::Event { event, .. } | ClientMessage::Request { event, .. }) => Some(event),
        _ => None,
    };
    if !event.is_some_and(is_secret) {
        show(&mut details, payload.get(), payloads);
    }
    details
}

/// Of a frame for a client. Only the size of a large one is told, and its beginning where that was asked for.
pub(super) fn to_client(frame: &Frame, payloads: Payloads) -> (SightingKind, Details) {
    let mut details = Details {
        bytes: Some(frame.len() as u64),
        ..Details::default()
    };
    let text = if frame.is_binary() { "" } else { frame.as_str() };
    let read = (text.len() <= MAX_READ).then(|| serde_json::from_str::<Parts<'_>>(text));
    let Some(Ok(parts)) = read else {
        details.what = Some("other".to_owned());
        show(&mut details, text, payloads);
        return (SightingKind::Out, details);
    };
    let payload = parts.payload.unwrap_or(RawValue::NULL);
    show(&mut details, payload.get(), payloads);
    details.event = parts.event.as_ref().map(|event| cut(event, MAX_NAME));
    if let Some(callback_id) = parts.callback_id.filter(|_| parts.event.is_none()) {
        details.callback_id = Some(cut(callback_id.get(), MAX_NAME));
        details.code = failure(payload);
        return (SightingKind::Reply, details);
    }
    details.request_id = parts.request_id.as_ref().map(|id| cut(id, MAX_NAME));
    let what = if details.request_id.is_some() {
        "request"
    } else {
        "push"
    };
    details.what = Some(what.to_owned());
    (SightingKind::Out, details)
}

/// The error's code in the payload of a reply, if it is one.
fn failure(payload: &RawValue) -> Option<Code> {
    // Otherwise every reply would be read to its end.
    if !payload.get().contains("\"errorCode\"") {
        return None;
    }
    let failure: Failure<'_> = serde_json::from_str(payload.get()).ok()?;
    Some(Code::Error(cut(&failure.error_code, MAX_NAME)))
}

fn show(details: &mut Details, payload: &str, payloads: Payloads) {
    if payloads == Payloads::Shown {
        details.cut = payload.len() > MAX_SHOWN_BYTES;
        details.payload = Some(cut(payload, MAX_SHOWN_BYTES));
    }
}

/// The beginning of a text, in whole characters.
fn cut(text: &str, most: usize) -> String {
    text[..text.floor_char_boundary(most)].to_owned()
}

#[cfg(test)]
mod tests {
    use wsmesh_protocol::{ErrorCode, frame};

    use super::*;

    fn received(text: &str, payloads: Payloads) -> Details {
        from_client(text, &frame::parse(text), payloads)
    }

    fn sent(text: impl Into<String>) -> (SightingKind, Details) {
        to_client(&Frame::new(text), Payloads::Shown)
    }

    #[test]
    fn payloads_are_told_only_where_they_were_asked_for_and_never_more_than_their_beginning() {
        let secret = "ä".repeat(4000);
        let text = frame::client_request("bid", &secret, "7");
        for details in [
            received(&text, Payloads::Hidden),
            received("{\"event\":broken", Payloads::Hidden),
            to_client(&Frame::new(frame::push("bid", &secret)), Payloads::Hidden).1,
            to_client(&Frame::new("no frame"), Payloads::Hidden).1,
        ] {
            assert_eq!((details.payload, details.cut), (None, false));
        }
        let details = received(&text, Payloads::Shown);
        let payload = details.payload.expect("shown");
        assert!(
            (MAX_SHOWN_BYTES - 3..=MAX_SHOWN_BYTES).contains(&payload.len()),
            "{}",
            payload.len()
        );
        assert!(details.cut && payload.starts_with("\"ä"));
    }

    #[test]
    fn a_token_is_not_told_to_anybody() {
        for event in CREDENTIAL_EVENTS {
            let whole = frame::client_request(event, &serde_json::json!({"token": "s3cret"}), "1");
            let broken = &whole[..whole.len() - 1];
            for text in [&whole, broken] {
                let details = received(text, Payloads::Shown);
                assert_eq!(details.payload, None, "{text}");
                assert!(details.bytes.is_some() && details.what.is_some());
            }
        }
    }

    #[test]
    fn what_a_client_sends_is_told_with_its_name_and_size() {
        let request = r#"{"event":"bid","payload":1,"callbackId":7}"#;
        let details = received(request, Payloads::Hidden);
        assert_eq!(details.what.as_deref(), Some("request"));
        assert_eq!(details.event.as_deref(), Some("bid"));
        assert_eq!(details.callback_id.as_deref(), Some("7"));
        assert_eq!(details.bytes, Some(request.len() as u64));
        let answer = received(r#"{"payload":1,"requestId":"r"}"#, Payloads::Hidden);
        assert_eq!(
            (answer.what.as_deref(), answer.request_id.as_deref()),
            (Some("answer"), Some("r"))
        );
        let broken = received("[", Payloads::Hidden);
        assert_eq!((broken.what.as_deref(), broken.event), (Some("unreadable"), None));
        let long = received(&frame::event(&"e".repeat(10_000), &1), Payloads::Hidden);
        assert_eq!(long.event.map(|event| event.len()), Some(MAX_NAME));
    }

    #[test]
    fn a_large_frame_for_a_client_is_not_read() {
        let frame = frame::push("price", &"x".repeat(MAX_READ));
        let (kind, details) = sent(frame.clone());
        assert_eq!((kind, details.what.as_deref()), (SightingKind::Out, Some("other")));
        assert_eq!((details.bytes, details.event), (Some(frame.len() as u64), None));
        assert_eq!(details.payload.as_deref(), Some(&frame[..MAX_SHOWN_BYTES]));
        let around = frame::push("price", &"").len();
        let (_, details) = sent(frame::push("price", &"x".repeat(MAX_READ - around)));
        assert_eq!(details.event.as_deref(), Some("price"));
    }

    #[test]
    fn replies_are_told_apart_from_pushes_and_carry_the_code_of_an_error() {
        let (kind, details) = sent(frame::error_reply("1", ErrorCode::Timeout, "late"));
        assert_eq!(
            (kind, details.code),
            (SightingKind::Reply, Some(Code::Error("TIMEOUT".to_owned())))
        );
        let (kind, details) = sent(frame::reply("1", r#"{"ok":true}"#));
        assert_eq!(
            (kind, details.code, details.callback_id.as_deref()),
            (SightingKind::Reply, None, Some("\"1\""))
        );
        let (kind, details) = sent(frame::push("price", &7));
        assert_eq!((kind, details.event.as_deref()), (SightingKind::Out, Some("price")));
        assert_eq!(details.payload.as_deref(), Some("7"));
        let (kind, details) = sent(frame::request("ask", "1", "r"));
        assert_eq!((kind, details.what.as_deref()), (SightingKind::Out, Some("request")));
        let (kind, details) = sent("hello");
        assert_eq!((kind, details.what.as_deref()), (SightingKind::Out, Some("other")));
    }
}
