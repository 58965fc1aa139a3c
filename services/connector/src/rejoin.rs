//! Asks for a room again on a new connection, until the server agrees or refuses for good.

use std::sync::Arc;

use wsmesh_protocol::frame;

use crate::Room;
use crate::request::{Refusal, refusal};
use crate::rooms::Membership;
use crate::shared::{Pending, Shared};

/// A room that the first frames of a connection ask for.
#[derive(Debug)]
pub(crate) struct Rejoin {
    pub(crate) membership: Membership,
    pub(crate) room: Room,
    pub(crate) pending: Pending,
}

impl Rejoin {
    /// The frame that asks for it.
    pub(crate) fn frame(&self) -> String {
        frame::client_request("joinRoom", &self.room, &self.pending.id.to_string())
    }

    /// Waits for the server's word, and asks again after a random wait as long as that is none, or one that passes.
    pub(crate) async fn until_settled(mut self, shared: &Arc<Shared>) {
        loop {
            let reply = tokio::time::timeout(shared.options.request_timeout, &mut self.pending.reply).await;
            match reply {
                Ok(Ok(payload)) => match refusal(payload.as_str()) {
                    None => return,
                    Some(Refusal { error_code, .. }) if passes(&error_code) => {}
                    Some(Refusal { error, error_code }) if shared.wants(self.membership) => {
                        return shared.room_lost(self.membership, self.room, error_code, error);
                    }
                    Some(_) => return,
                },
                // The connection is over; the next one asks for it.
                Ok(Err(_)) => return,
                Err(_) => {}
            }
            let wait = shared.options.fast_reconnect_interval.mul_f64(rand::random());
            tokio::time::sleep(wait).await;
            if !shared.wants(self.membership) {
                return;
            }
            self.pending = shared.pending_again(&self.pending.frames);
            let text = shared.traced(self.frame());
            if self.pending.frames.send(text).await.is_err() {
                return;
            }
        }
    }
}

/// Whether a server that refuses with this may agree soon.
fn passes(error_code: &str) -> bool {
    matches!(error_code, "TIMEOUT" | "UNAVAILABLE" | "OVERLOADED" | "RATE_LIMITED")
}
