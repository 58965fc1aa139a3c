//! Dispatches the text frames of the server: a reply to its request, a push to its listeners, a request to its handler.

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use wsmesh_protocol::frame::{self, ServerMessage};

use crate::shared::Shared;
use crate::{Payload, ServerRequest};

/// Reads a frame and dispatches it. An invalid frame is logged at debug and does not end the connection. Answers go to `frames`,
/// the connection that the frame came by.
pub(crate) fn receive(shared: &Shared, text: Utf8Bytes, frames: &mpsc::Sender<String>) {
    let whole = Bytes::from(text.clone());
    match frame::parse_server(&text) {
        Ok(ServerMessage::Reply { payload, callback_id }) => {
            if !shared.replied(&callback_id, Payload::within(&whole, payload)) {
                tracing::debug!("received a reply that no request waits for; it may be late");
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
        Err(error) => tracing::debug!(%error, "the server sent an invalid frame"),
    }
}
