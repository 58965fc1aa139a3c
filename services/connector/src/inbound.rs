//! What a text frame of the server causes: a reply finds its request, a push its listeners, a request whoever answers.

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use wsmesh_protocol::frame::{self, ServerMessage};

use crate::shared::Shared;
use crate::{Payload, ServerRequest};

/// Reads a frame and hands it on. A frame that cannot be used is logged at debug and ends nothing. `frames` is where
/// answers go: the connection that the frame came by.
pub(crate) fn receive(shared: &Shared, text: Utf8Bytes, frames: &mpsc::Sender<String>) {
    let whole = Bytes::from(text.clone());
    match frame::parse_server(&text) {
        Ok(ServerMessage::Reply { payload, callback_id }) => {
            if !shared.replied(&callback_id, Payload::within(&whole, payload)) {
                tracing::debug!("a reply came that nobody waits for, maybe too late");
            }
        }
        Ok(ServerMessage::Event { event, payload }) => {
            shared.listeners().event(&event, &Payload::within(&whole, payload));
        }
        Ok(ServerMessage::Request {
            event,
            payload,
            request_id,
        }) => shared.listeners().request(ServerRequest {
            name: event.into(),
            payload: Payload::within(&whole, payload),
            request_id: request_id.into(),
            frames: frames.clone(),
        }),
        Err(error) => tracing::debug!(%error, "the server sent a frame that cannot be used"),
    }
}
