//! Writes text frames, for both sides. Payloads that are JSON already are copied unchanged.

use std::time::Duration;

use serde::Serialize;

use super::json::Json;
use crate::callback_id::{CallbackId, MAX_CALLBACK_ID_BYTES};
use crate::error_code::ErrorCode;

/// The event that tells a client what is wrong with a frame that no reply can answer; see [`error_push`].
pub const ERROR: &str = "wsmesh.error";

/// A value as JSON. A value that cannot be JSON (a map whose keys are not strings) becomes `null`.
#[inline]
pub(super) fn to_json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

/// Appends a JSON string. Text that needs no escapes is copied.
#[inline]
fn push_text(out: &mut String, text: &str) {
    if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&to_json(text));
    }
}

/// A frame from its parts: a key and the text for it (left out if empty), the payload, and the same for the end.
fn with_payload(begin: (&str, &str), payload: &str, end: Option<(&str, &str)>) -> String {
    let mut out = String::with_capacity(payload.len() + begin.1.len() + 96);
    out.push_str(begin.0);
    if !begin.1.is_empty() {
        push_text(&mut out, begin.1);
        out.push_str(",\"payload\":");
    }
    out.push_str(payload);
    if let Some((key, id)) = end {
        out.push_str(key);
        push_text(&mut out, id);
    }
    out.push('}');
    out
}

/// `{"event":E,"payload":P}` from a value: a push to a client, or a client's event.
pub fn push<T: Serialize + ?Sized>(event: &str, payload: &T) -> String {
    let mut begin = String::with_capacity(event.len() + 320);
    begin.push_str("{\"event\":");
    push_text(&mut begin, event);
    begin.push_str(",\"payload\":");
    let mut out = begin.into_bytes();
    let start = out.len();
    if serde_json::to_writer(&mut out, payload).is_err() {
        out.truncate(start);
        out.extend_from_slice(b"null");
    }
    out.push(b'}');
    // JSON is always UTF-8.
    String::from_utf8(out).unwrap_or_default()
}

/// `{"event":E,"payload":P}` from a payload that is JSON already.
pub fn push_raw(event: &str, payload: impl Json) -> String {
    with_payload(("{\"event\":", event), payload.json(), None)
}

/// `{"payload":P,"callbackId":ID}` from a payload that is JSON already: the reply to a client's request.
pub fn reply<'a>(callback_id: impl Into<CallbackId<'a>>, payload: impl Json) -> String {
    let (callback_id, payload) = (callback_id.into(), payload.json());
    let parts = ["{\"payload\":", payload, ",\"callbackId\":", callback_id.json(), "}"];
    parts.concat()
}

/// As [`reply`], from a value.
pub fn reply_value<'a, T: Serialize + ?Sized>(callback_id: impl Into<CallbackId<'a>>, payload: &T) -> String {
    reply(callback_id, to_json(payload))
}

/// `{"callbackId":ID,"payload":{"error":TEXT,"errorCode":CODE}}`: the error reply to a client's request.
pub fn error_reply<'a>(callback_id: impl Into<CallbackId<'a>>, code: ErrorCode, text: &str) -> String {
    error_reply_with(callback_id, code.as_str(), text)
}

/// As [`error_reply`], with a code of the application.
pub fn error_reply_with<'a>(callback_id: impl Into<CallbackId<'a>>, code: &str, text: &str) -> String {
    let (id, code, text) = (callback_id.into(), to_json(code), to_json(text));
    let id = id.json();
    format!("{{\"callbackId\":{id},\"payload\":{{\"error\":{text},\"errorCode\":{code}}}}}")
}

/// `{"event":"wsmesh.error","payload":{"error":TEXT,"errorCode":CODE}}`: tells a client what is wrong with a frame that
/// no reply can answer.
pub fn error_push(code: ErrorCode, text: &str) -> String {
    let text = to_json(text);
    format!("{{\"event\":\"{ERROR}\",\"payload\":{{\"error\":{text},\"errorCode\":\"{code}\"}}}}")
}

/// The push to a client whose event was handled although no reply can repeat its `callbackId`.
pub fn unanswerable() -> String {
    let text = format!(
        "no reply can repeat this callbackId: use a string or a number of at most {MAX_CALLBACK_ID_BYTES} bytes; the event was \
         handled, but gets no reply"
    );
    error_push(ErrorCode::BadFrame, &text)
}

/// `{"event":E,"payload":P,"requestId":ID}`: a request to a client.
pub fn request(event: &str, payload: impl Json, request_id: &str) -> String {
    with_payload(
        ("{\"event\":", event),
        payload.json(),
        Some((",\"requestId\":", request_id)),
    )
}

/// `{"event":E,"payload":P}`: a client's event.
pub fn event<T: Serialize + ?Sized>(event: &str, payload: &T) -> String {
    push(event, payload)
}

/// `{"event":E,"payload":P,"callbackId":ID}`: a client's request.
pub fn client_request<T: Serialize + ?Sized>(event: &str, payload: &T, callback_id: &str) -> String {
    with_payload(
        ("{\"event\":", event),
        &to_json(payload),
        Some((",\"callbackId\":", callback_id)),
    )
}

/// `{"payload":P,"requestId":ID}`: a client's answer.
pub fn answer<T: Serialize + ?Sized>(request_id: &str, payload: &T) -> String {
    with_payload(
        ("{\"payload\":", ""),
        &to_json(payload),
        Some((",\"requestId\":", request_id)),
    )
}

/// Adds `"traceparent":TRACEPARENT` (W3C trace context) to a client's finished frame, as its last field.
///
/// ```
/// use wsmesh_protocol::frame;
///
/// let frame = frame::with_traceparent(frame::event("say", "hi"), "00-…-01");
/// assert_eq!(frame, r#"{"event":"say","payload":"hi","traceparent":"00-…-01"}"#);
/// ```
pub fn with_traceparent(frame: String, traceparent: &str) -> String {
    with_field(frame, ",\"traceparent\":", |frame| push_text(frame, traceparent))
}

/// Adds `"timeoutMs":N` to a client's finished request, as its last field: how long the client waits for the reply, in whole
/// milliseconds.
pub fn with_timeout(frame: String, timeout: Duration) -> String {
    with_field(frame, ",\"timeoutMs\":", |frame| {
        frame.push_str(&timeout.as_millis().to_string());
    })
}

/// Adds `"idempotencyKey":KEY` to a client's finished request, as its last field. A server refuses what is not
/// [a key](super::is_key).
pub fn with_idempotency_key(frame: String, key: &str) -> String {
    with_field(frame, ",\"idempotencyKey\":", |frame| push_text(frame, key))
}

fn with_field(mut frame: String, name: &str, write: impl FnOnce(&mut String)) -> String {
    if frame.pop() == Some('}') {
        frame.push_str(name);
        write(&mut frame);
        frame.push('}');
    }
    frame
}
