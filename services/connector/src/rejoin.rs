//! Joins a room again on a new connection, until the server agrees or refuses for good.

use std::sync::Arc;

use crate::refusal::Refusal;
use crate::shared::{Rejoin, Shared};
use crate::traces::DISCONNECTED;

impl Rejoin {
    /// Waits for the server's reply. After no reply, or a refusal that passes, it asks again after a random wait.
    pub(crate) async fn until_settled(mut self, shared: &Arc<Shared>) {
        loop {
            let reply = tokio::time::timeout(shared.options.request_timeout, &mut self.pending.reply).await;
            match reply {
                Ok(Ok(payload)) => {
                    let refusal = Refusal::read(payload.as_str());
                    self.trace.end(refusal.as_ref().map(|refusal| &*refusal.error_code));
                    match refusal {
                        None => return,
                        Some(refusal) if refusal.is_passing() => {}
                        Some(Refusal { error, error_code }) if shared.wants(self.membership) => {
                            return shared.room_lost(self.membership, self.room, error_code, error);
                        }
                        Some(_) => return,
                    }
                }
                // The connection is over; the next one asks for it.
                Ok(Err(_)) => return,
                Err(_) => self.trace.end(Some("CALLBACK_TIMEOUT")),
            }
            let wait = shared.options.fast_reconnect_interval.mul_f64(rand::random());
            tokio::time::sleep(wait).await;
            if !shared.wants(self.membership) {
                return;
            }
            self.pending = shared.pending_again(&self.pending.frames);
            self.trace = shared.trace("joinRoom", DISCONNECTED);
            let text = self.frame(shared.options.request_timeout);
            if self.pending.frames.send(text).await.is_err() {
                return;
            }
        }
    }
}
