//! What a connection of a watched client holds: whatever passes it is given to every watch of the client. Never waits.

use std::sync::Arc;
use std::time::Duration;

use wsmesh_adapter::{Frame, NodeId, Room};
use wsmesh_protocol::frame::{ClientMessage, FrameError};
use wsmesh_protocol::watching::{Code, Details, SightingKind};

use super::buffer::Often;
use super::frames::{self, Payloads};
use super::leases::Watch;

/// All watches of one client.
#[derive(Debug)]
pub(super) struct Tap {
    watches: Vec<Arc<Watch>>,
}

/// One connection of a watched client.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionTap {
    tap: Arc<Tap>,
    connection: Arc<str>,
}

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    FromClient,
    ToClient,
}

/// How a connection ended.
#[derive(Debug)]
pub(crate) struct Ended<'a> {
    pub(crate) code: u16,
    pub(crate) reason: &'a str,
    pub(crate) lasted: Duration,
}

impl Tap {
    pub(super) fn new(watches: Vec<Arc<Watch>>) -> Self {
        Self { watches }
    }

    /// Gives this to every watch.
    pub(super) fn see(&self, often: Often, look: impl Fn(Payloads) -> (SightingKind, Details)) {
        for watch in &self.watches {
            watch.buffer.lock().add(often, || look(watch.payloads));
        }
    }
}

impl Watch {
    /// Gives this to one watch: what was so before it began.
    pub(super) fn see_already(&self, kind: SightingKind, details: Details) {
        let details = Details {
            already: true,
            ..details
        };
        self.buffer.lock().add(Often::Seldom, || (kind, details));
    }
}

impl ConnectionTap {
    pub(super) fn new(tap: Arc<Tap>, connection: Arc<str>) -> Self {
        Self { tap, connection }
    }

    /// The client sent this, which has waited so long since it came.
    pub(crate) fn received(&self, text: &str, read: &Result<ClientMessage<'_>, FrameError>, waited: Duration) {
        self.see(Often::Traffic, |payloads| {
            let details = Details {
                queued_ms: Some(ms(waited)),
                ..frames::from_client(text, read, payloads)
            };
            (SightingKind::In, details)
        });
    }

    /// The client is sent this frame, which has waited so long. `carrier` says which node brought it.
    pub(crate) fn written(&self, frame: &Frame, waited: Duration, carrier: impl Fn() -> Option<NodeId>) {
        self.see(Often::Traffic, |payloads| {
            let (kind, details) = frames::to_client(frame, payloads);
            let details = Details {
                queued_ms: Some(ms(waited)),
                node: carrier().map(|node| node.to_string()),
                ..details
            };
            (kind, details)
        });
    }

    /// A heartbeat of this size.
    pub(crate) fn heartbeat(&self, way: Way, bytes: usize) {
        let kind = match way {
            Way::FromClient => SightingKind::In,
            Way::ToClient => SightingKind::Out,
        };
        self.see(Often::Traffic, |_| {
            let details = Details {
                what: Some("heartbeat".to_owned()),
                bytes: Some(bytes as u64),
                ..Details::default()
            };
            (kind, details)
        });
    }

    /// What the client sent is not handled, for the reason with this code. It gets no reply.
    pub(crate) fn not_handled(&self, code: &str) {
        self.dropped(Code::Error(code.to_owned()), "what the client sent was not handled", 1);
    }

    /// So many frames for the client are not sent.
    pub(crate) fn not_sent(&self, count: u64, reason: &str) {
        self.dropped(Code::Error("NOT_SENT".to_owned()), reason, count);
    }

    fn dropped(&self, code: Code, reason: &str, count: u64) {
        if count == 0 {
            return;
        }
        self.see(Often::Traffic, |_| {
            let details = Details {
                code: Some(code.clone()),
                reason: Some(reason.to_owned()),
                count: Some(count),
                ..Details::default()
            };
            (SightingKind::Dropped, details)
        });
    }

    /// The connection takes no more for now, and so many bytes wait.
    pub(crate) fn slow(&self, bytes: u64) {
        self.see(Often::Traffic, |_| {
            let bytes = Some(bytes);
            (
                SightingKind::Slow,
                Details {
                    bytes,
                    ..Details::default()
                },
            )
        });
    }

    /// The client answered a ping after this time.
    pub(crate) fn ponged(&self, after: Duration) {
        self.see(Often::Traffic, |_| {
            let rtt_ms = Some(ms(after));
            (
                SightingKind::Ping,
                Details {
                    rtt_ms,
                    ..Details::default()
                },
            )
        });
    }

    /// The connection has ended.
    pub(crate) fn closed(&self, how: &Ended<'_>) {
        self.see(Often::Seldom, |_| {
            let details = Details {
                code: Some(Code::Close(how.code)),
                reason: Some(how.reason.to_owned()),
                lasted_ms: Some(how.lasted.as_millis() as u64),
                ..Details::default()
            };
            (SightingKind::Closed, details)
        });
    }

    fn see(&self, often: Often, look: impl Fn(Payloads) -> (SightingKind, Details)) {
        self.tap.see(often, |payloads| {
            let (kind, details) = look(payloads);
            let connection = Some(self.connection.to_string());
            (kind, Details { connection, ..details })
        });
    }
}

/// A room of a connection.
pub(super) fn of_room(connection: String, room: &Room) -> Details {
    Details {
        connection: Some(connection),
        namespace: Some(room.namespace.to_string()),
        room_id: Some(room.id.to_string()),
        ..Details::default()
    }
}

/// In milliseconds, to the microsecond.
fn ms(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}
