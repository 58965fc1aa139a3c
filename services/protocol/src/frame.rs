//! Client frames: what a text frame says, read and written. The heartbeat is compared before a frame is read.
//!
//! Payloads stay raw JSON both ways: whoever handles an event parses them. Reading borrows from the text, never panics,
//! and is not recursive, so nesting costs nothing. The keys' order is that of the original, byte for byte.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::callback_id::{CallbackId, MAX_CALLBACK_ID_BYTES};
use crate::error_code::ErrorCode;

/// Longest id in a frame of a server, in characters.
pub const MAX_ID_CHARS: usize = 64;

/// The push that tells a client what is wrong with a frame that no reply can answer; see [`error_push`].
pub const ERROR: &str = "wsmesh.error";

/// What a client says.
#[derive(Debug, Clone)]
pub enum ClientMessage<'a> {
    /// An event; nobody answers.
    Event {
        /// Its name.
        event: Cow<'a, str>,
        /// What it carries.
        payload: &'a RawValue,
        /// W3C trace context, if the client sends one.
        traceparent: Option<Cow<'a, str>>,
        /// It has a `callbackId` that no reply can name. It is handled all the same, and the client is told with
        /// [`unanswerable`].
        is_unanswerable: bool,
    },
    /// An event that wants a reply.
    Request {
        /// Its name.
        event: Cow<'a, str>,
        /// What it carries.
        payload: &'a RawValue,
        /// What the reply is to name.
        callback_id: CallbackId<'a>,
        /// W3C trace context, if the client sends one.
        traceparent: Option<Cow<'a, str>>,
    },
    /// The answer to a request of the server.
    Answer {
        /// What it carries.
        payload: &'a RawValue,
        /// The request that it answers.
        request_id: Cow<'a, str>,
    },
}

/// What a server says, as a client reads it.
#[derive(Debug, Clone)]
pub enum ServerMessage<'a> {
    /// A push.
    Event {
        /// Its name.
        event: Cow<'a, str>,
        /// What it carries.
        payload: &'a RawValue,
    },
    /// The reply to a request of the client.
    Reply {
        /// What it carries.
        payload: &'a RawValue,
        /// The request that it answers.
        callback_id: Cow<'a, str>,
    },
    /// A request to the client.
    Request {
        /// Its name.
        event: Cow<'a, str>,
        /// What it carries.
        payload: &'a RawValue,
        /// What the answer is to name.
        request_id: Cow<'a, str>,
    },
}

/// Why a frame cannot be used; names the request that gets an error reply, if there is one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct FrameError {
    problem: String,
    callback_id: Option<CallbackId<'static>>,
}

impl FrameError {
    /// The request to refuse, when the frame was one.
    pub fn callback_id(&self) -> Option<&CallbackId<'static>> {
        self.callback_id.as_ref()
    }
}

// ------------------------------------------------------------------------------------------------------------- reading

/// The fields of a frame, raw. Of a field given twice the last counts, as in JavaScript.
#[derive(Debug, Default)]
struct Fields<'a> {
    event: Option<&'a RawValue>,
    payload: Option<&'a RawValue>,
    callback_id: Option<&'a RawValue>,
    request_id: Option<&'a RawValue>,
    traceparent: Option<&'a RawValue>,
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        #[derive(serde::Deserialize)]
        struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

        let mut fields = Fields::default();
        while let Some((Key(key), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
            match &*key {
                "event" => fields.event = Some(value),
                "payload" => fields.payload = Some(value),
                "callbackId" => fields.callback_id = Some(value),
                "requestId" => fields.request_id = Some(value),
                "traceparent" => fields.traceparent = Some(value),
                _ => {}
            }
        }
        Ok(fields)
    }
}

fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(serde::Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str::<Text<'_>>(raw.get()).ok().map(|text| text.0)
}

/// An id: missing (null counts as missing), or a text of 1 to 64 characters.
fn id<'a>(raw: Option<&'a RawValue>, name: &str) -> Result<Option<Cow<'a, str>>, String> {
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else {
        return Ok(None);
    };
    match text(raw) {
        Some(id) if (1..=MAX_ID_CHARS).contains(&id.chars().count()) => Ok(Some(id)),
        _ => Err(format!("{name} must be a string of 1 to {MAX_ID_CHARS} characters")),
    }
}

impl<'a> Fields<'a> {
    fn read(text: &'a str) -> Result<Self, String> {
        if !text.trim_start().starts_with('{') {
            return Err("a frame must be a JSON object: {\"event\": …, \"payload\": …}".to_owned());
        }
        let mut reader = serde_json::Deserializer::from_str(text);
        let fields = reader
            .deserialize_map(FieldsVisitor)
            .and_then(|fields| reader.end().map(|()| fields));
        fields.map_err(|error| format!("not JSON: {error}"))
    }

    fn payload(&self) -> &'a RawValue {
        self.payload.unwrap_or(RawValue::NULL)
    }

    fn event(&self) -> Result<Cow<'a, str>, String> {
        let event = self.event.and_then(text).filter(|event| !event.is_empty());
        event.ok_or_else(|| "event must be a string that is not empty".to_owned())
    }
}

/// Reads what a client says.
///
/// ```
/// use wsmesh_protocol::frame::{self, ClientMessage};
///
/// let message = frame::parse(r#"{"event":"say","payload":{"msg":"hi"},"callbackId":"1"}"#).unwrap();
/// assert!(matches!(message, ClientMessage::Request { event, .. } if event == "say"));
/// ```
///
/// # Errors
/// When it is not JSON, or has no event; see [`FrameError::callback_id`].
pub fn parse(text: &str) -> Result<ClientMessage<'_>, FrameError> {
    let without = |problem| FrameError {
        problem,
        callback_id: None,
    };
    let fields = Fields::read(text).map_err(without)?;
    let payload = fields.payload();
    if fields.event.is_none()
        && let Some(request_id) = fields.request_id.and_then(self::text)
    {
        return Ok(ClientMessage::Answer { payload, request_id });
    }
    let wanted = fields.callback_id.filter(|raw| raw.get() != "null");
    let callback_id = wanted.and_then(CallbackId::read);
    let event = fields.event().map_err(|problem| FrameError {
        problem,
        callback_id: callback_id.clone().map(CallbackId::into_owned),
    })?;
    let traceparent = fields.traceparent.and_then(self::text);
    Ok(match callback_id {
        Some(callback_id) => ClientMessage::Request {
            event,
            payload,
            callback_id,
            traceparent,
        },
        None => ClientMessage::Event {
            event,
            payload,
            traceparent,
            is_unanswerable: wanted.is_some(),
        },
    })
}

/// Reads what a server says.
///
/// # Errors
/// When it is not JSON, or neither a push, a reply nor a request.
pub fn parse_server(text: &str) -> Result<ServerMessage<'_>, FrameError> {
    let without = |problem| FrameError {
        problem,
        callback_id: None,
    };
    let fields = Fields::read(text).map_err(without)?;
    let payload = fields.payload();
    if let Some(callback_id) = id(fields.callback_id, "callbackId").map_err(without)? {
        return Ok(ServerMessage::Reply { payload, callback_id });
    }
    let event = fields.event().map_err(without)?;
    Ok(match id(fields.request_id, "requestId").map_err(without)? {
        Some(request_id) => ServerMessage::Request {
            event,
            payload,
            request_id,
        },
        None => ServerMessage::Event { event, payload },
    })
}

// ------------------------------------------------------------------------------------------------------------- writing

/// Something that already is one JSON value.
pub trait Json {
    /// The value's text.
    fn json(&self) -> &str;
}

impl Json for RawValue {
    fn json(&self) -> &str {
        self.get()
    }
}

impl Json for str {
    fn json(&self) -> &str {
        self
    }
}

impl Json for String {
    fn json(&self) -> &str {
        self
    }
}

impl Json for bytes::Bytes {
    /// Bytes that are not UTF-8 are no JSON: `null` takes their place.
    fn json(&self) -> &str {
        std::str::from_utf8(self).unwrap_or("null")
    }
}

impl<T: Json + ?Sized> Json for &T {
    fn json(&self) -> &str {
        (**self).json()
    }
}

impl<T: Json + ?Sized> Json for Box<T> {
    fn json(&self) -> &str {
        (**self).json()
    }
}

/// A value as JSON; what cannot be JSON (a map whose keys are not strings) becomes `null`.
fn to_json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

fn push_text(out: &mut String, text: &str) {
    if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&to_json(text));
    }
}

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

/// `{"event":E,"payload":P}` of a value: a push to a client, or a client's event.
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
    // JSON is UTF-8; were it not, nothing could be sent.
    String::from_utf8(out).unwrap_or_default()
}

/// `{"event":E,"payload":P}` of finished JSON.
pub fn push_raw(event: &str, payload: impl Json) -> String {
    with_payload(("{\"event\":", event), payload.json(), None)
}

/// `{"payload":P,"callbackId":ID}` of finished JSON: the reply to a client's request.
pub fn reply<'a>(callback_id: impl Into<CallbackId<'a>>, payload: impl Json) -> String {
    let (callback_id, payload) = (callback_id.into(), payload.json());
    let parts = ["{\"payload\":", payload, ",\"callbackId\":", callback_id.json(), "}"];
    parts.concat()
}

/// As [`reply`], of a value.
pub fn reply_value<'a, T: Serialize + ?Sized>(callback_id: impl Into<CallbackId<'a>>, payload: &T) -> String {
    reply(callback_id, to_json(payload))
}

/// `{"callbackId":ID,"payload":{"error":TEXT,"errorCode":CODE}}`: a request that was not done.
pub fn error_reply<'a>(callback_id: impl Into<CallbackId<'a>>, code: ErrorCode, text: &str) -> String {
    let (id, text) = (callback_id.into(), to_json(text));
    let id = id.json();
    format!("{{\"callbackId\":{id},\"payload\":{{\"error\":{text},\"errorCode\":\"{code}\"}}}}")
}

/// `{"event":"wsmesh.error","payload":{"error":TEXT,"errorCode":CODE}}`: what is wrong with a frame that no reply can answer.
pub fn error_push(code: ErrorCode, text: &str) -> String {
    let text = to_json(text);
    format!("{{\"event\":\"{ERROR}\",\"payload\":{{\"error\":{text},\"errorCode\":\"{code}\"}}}}")
}

/// The push to a client whose event was handled, but whose `callbackId` cannot be repeated in a reply.
pub fn unanswerable() -> String {
    let text = format!(
        "no reply can name this callbackId: write a string or a number of at most {MAX_CALLBACK_ID_BYTES} bytes; the event was \
         handled without"
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
pub fn with_traceparent(mut frame: String, traceparent: &str) -> String {
    if frame.pop() == Some('}') {
        frame.push_str(",\"traceparent\":");
        push_text(&mut frame, traceparent);
        frame.push('}');
    }
    frame
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
