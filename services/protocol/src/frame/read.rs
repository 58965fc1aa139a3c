//! Reads a text frame: of a client ([`parse`]) and of a server ([`parse_server`]).

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::field;
use super::message::{ClientMessage, FrameError, ServerMessage};
use crate::callback_id::CallbackId;

/// Longest id in a frame from a server, in characters.
pub const MAX_ID_CHARS: usize = 64;

/// The fields of a frame, raw. If a field occurs twice, the last one counts, as in JavaScript.
#[derive(Debug, Default)]
struct Fields<'a> {
    event: Option<&'a RawValue>,
    payload: Option<&'a RawValue>,
    callback_id: Option<&'a RawValue>,
    request_id: Option<&'a RawValue>,
    timeout_ms: Option<&'a RawValue>,
    idempotency_key: Option<&'a RawValue>,
    traceparent: Option<&'a RawValue>,
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    #[inline]
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
                "timeoutMs" => fields.timeout_ms = Some(value),
                "idempotencyKey" => fields.idempotency_key = Some(value),
                "traceparent" => fields.traceparent = Some(value),
                _ => {}
            }
        }
        Ok(fields)
    }
}

/// An id: missing (null counts as missing), or a string of 1 to 64 characters.
fn id<'a>(raw: Option<&'a RawValue>, name: &str) -> Result<Option<Cow<'a, str>>, String> {
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else {
        return Ok(None);
    };
    match field::text(raw) {
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
        let event = self.event.and_then(field::text).filter(|event| !event.is_empty());
        event.ok_or_else(|| "event must be a string that is not empty".to_owned())
    }

    /// How long the client waits, and the request's idempotency key.
    #[inline]
    fn limits(&self) -> Result<(Option<Duration>, Option<Cow<'a, str>>), String> {
        if self.timeout_ms.is_none() && self.idempotency_key.is_none() {
            return Ok((None, None));
        }
        Ok((field::timeout(self.timeout_ms)?, field::key(self.idempotency_key)?))
    }
}

/// Reads a message from a client.
///
/// ```
/// use wsmesh_protocol::frame::{self, ClientMessage};
///
/// let message = frame::parse(r#"{"event":"say","payload":{"msg":"hi"},"callbackId":"1"}"#).unwrap();
/// assert!(matches!(message, ClientMessage::Request { event, .. } if event == "say"));
/// ```
///
/// # Errors
/// When the text is not a JSON object, has no event, or is a request whose `timeoutMs` or `idempotencyKey` is not valid; see
/// [`FrameError::callback_id`].
#[inline]
pub fn parse(text: &str) -> Result<ClientMessage<'_>, FrameError> {
    let without = |problem| FrameError {
        problem,
        callback_id: None,
    };
    let fields = Fields::read(text).map_err(without)?;
    let payload = fields.payload();
    if fields.event.is_none()
        && let Some(request_id) = fields.request_id.and_then(field::text)
    {
        return Ok(ClientMessage::Answer { payload, request_id });
    }
    let wanted = fields.callback_id.filter(|raw| raw.get() != "null");
    let callback_id = wanted.and_then(CallbackId::read);
    let event = fields.event().map_err(|problem| FrameError {
        problem,
        callback_id: callback_id.clone().map(CallbackId::into_owned),
    })?;
    let traceparent = fields.traceparent.and_then(field::text);
    Ok(match callback_id {
        Some(callback_id) => {
            let (timeout, idempotency_key) = fields.limits().map_err(|problem| FrameError {
                problem,
                callback_id: Some(callback_id.clone().into_owned()),
            })?;
            ClientMessage::Request {
                event,
                payload,
                callback_id,
                timeout,
                idempotency_key,
                traceparent,
            }
        }
        None => ClientMessage::Event {
            event,
            payload,
            traceparent,
            is_unanswerable: wanted.is_some(),
        },
    })
}

/// Reads a message from a server.
///
/// # Errors
/// When the text is not a JSON object, or is neither a push, a reply nor a request.
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
