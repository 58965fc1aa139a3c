//! Client frames: reads and writes the text frames between clients and ws-nodes. Callers check for the heartbeat first.
//!
//! Payloads stay raw JSON in both directions; the handler of an event parses them. Reading borrows from the text, never
//! panics, and is not recursive, so nesting costs nothing. The order of keys is that of the JavaScript package, byte
//! for byte.

mod message;

mod read;

mod field;

mod parts;

mod write;

mod json;

pub use field::{MAX_KEY_CHARS, is_key};
pub use json::Json;
pub use message::{ClientMessage, FrameError, ServerMessage};
pub use parts::{push_event, push_payload};
pub use read::{MAX_ID_CHARS, parse, parse_server};
pub use write::{
    ERROR, answer, client_request, error_push, error_reply, error_reply_with, event, push, push_raw, reply,
    reply_value, request, unanswerable, with_idempotency_key, with_timeout, with_traceparent,
};

#[cfg(test)]
mod tests;
