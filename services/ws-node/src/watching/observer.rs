//! Tells watches of connections and rooms, in order with everything else that happens to a client. Also passes it on to those who
//! are told of all clients.

use std::sync::Arc;

use wsmesh_adapter::{ClientObserver, LostServer, ObservedConnection, Room};
use wsmesh_protocol::watching::{Details, SightingKind};

use super::Watching;
use super::buffer::Often;
use super::tap::of_room;
use crate::lifecycle::Lifecycle;

/// Everyone who is told what happens to clients.
#[derive(Debug)]
pub(crate) struct Observers {
    pub(crate) lifecycle: Option<Arc<Lifecycle>>,
    pub(crate) watching: Arc<Watching>,
}

impl ClientObserver for Observers {
    fn connected(&self, at: &ObservedConnection<'_>) {
        if let Some(lifecycle) = &self.lifecycle {
            lifecycle.connected(at);
        }
        self.watching.see(at, |connection| {
            let connection = Some(connection);
            (
                SightingKind::Connected,
                Details {
                    connection,
                    ..Details::default()
                },
            )
        });
    }

    fn joined(&self, at: &ObservedConnection<'_>, room: &Room) {
        if let Some(lifecycle) = &self.lifecycle {
            lifecycle.joined(at, room);
        }
        self.watching
            .see(at, |connection| (SightingKind::Joined, of_room(connection, room)));
    }

    fn left(&self, at: &ObservedConnection<'_>, room: &Room) {
        if let Some(lifecycle) = &self.lifecycle {
            lifecycle.left(at, room);
        }
        self.watching
            .see(at, |connection| (SightingKind::Left, of_room(connection, room)));
    }

    fn server_lost(&self, lost: &LostServer) {
        if let Some(lifecycle) = &self.lifecycle {
            lifecycle.server_lost(lost);
        }
    }
}

impl Watching {
    /// The client is locked meanwhile.
    fn see(&self, at: &ObservedConnection<'_>, look: impl Fn(String) -> (SightingKind, Details)) {
        if let Some(tap) = self.tap(at.client()) {
            tap.see(Often::Seldom, |_| look(at.connection()));
        }
    }
}
