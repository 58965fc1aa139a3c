//! What a frame says, as values. Texts and payloads are borrowed from the frame.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::value::RawValue;

use crate::callback_id::CallbackId;

/// A message from a client.
#[derive(Debug, Clone)]
pub enum ClientMessage<'a> {
    /// An event that expects no reply.
    Event {
        /// The event's name.
        event: Cow<'a, str>,
        /// The payload.
        payload: &'a RawValue,
        /// W3C trace context, if the client sends one.
        traceparent: Option<Cow<'a, str>>,
        /// Whether it has a `callbackId` that no reply can repeat. The event is still handled, and the client is told
        /// with [`unanswerable`](super::unanswerable).
        is_unanswerable: bool,
    },
    /// An event that expects a reply.
    Request {
        /// The event's name.
        event: Cow<'a, str>,
        /// The payload.
        payload: &'a RawValue,
        /// The id that the reply must repeat.
        callback_id: CallbackId<'a>,
        /// How long the client still waits for the reply, if it says so.
        timeout: Option<Duration>,
        /// The same on every repeat of the request, which is to be carried out once. Has 1 to [`MAX_KEY_CHARS`] characters.
        ///
        /// [`MAX_KEY_CHARS`]: super::MAX_KEY_CHARS
        idempotency_key: Option<Cow<'a, str>>,
        /// W3C trace context, if the client sends one.
        traceparent: Option<Cow<'a, str>>,
    },
    /// The answer to a request of the server.
    Answer {
        /// The payload.
        payload: &'a RawValue,
        /// The request that it answers.
        request_id: Cow<'a, str>,
    },
}

/// A message from a server, as a client reads it.
#[derive(Debug, Clone)]
pub enum ServerMessage<'a> {
    /// A push.
    Event {
        /// The event's name.
        event: Cow<'a, str>,
        /// The payload.
        payload: &'a RawValue,
    },
    /// The reply to a request of the client.
    Reply {
        /// The payload.
        payload: &'a RawValue,
        /// The request that it answers.
        callback_id: Cow<'a, str>,
    },
    /// A request to the client.
    Request {
        /// The event's name.
        event: Cow<'a, str>,
        /// The payload.
        payload: &'a RawValue,
        /// The id that the answer must repeat.
        request_id: Cow<'a, str>,
    },
}

/// Why a frame cannot be used. Names the request to which an error reply can be sent, if the frame was one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct FrameError {
    pub(super) problem: String,
    pub(super) callback_id: Option<CallbackId<'static>>,
}

impl FrameError {
    /// The id of the request to answer with an error, if the frame was a request.
    pub fn callback_id(&self) -> Option<&CallbackId<'static>> {
        self.callback_id.as_ref()
    }
}
