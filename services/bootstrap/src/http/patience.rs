//! How long a connection is waited for: whether it waits now, until when at most, and with which seat in the lobby.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Sleep;

use super::waiting::{GivenUp, Lobby, Seat};

/// The waiting of one connection. The code that answers its requests and the code that ends it share this, in one task; it is
/// polled after both.
pub(super) struct Patience {
    lobby: Arc<Lobby>,
    origin: Option<IpAddr>,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    wait: Option<Wait>,
    /// A request has come: the connection waits for a further one, or for its answer to be read.
    was_asked: bool,
}

/// While a connection waits.
struct Wait {
    _seat: Seat,
    given_up: GivenUp,
    until: Pin<Box<Sleep>>,
}

/// Why a connection that waits is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoMore {
    /// Its seat is needed for another.
    GivesWay,
    /// It waited for too long.
    TooLong,
}

impl Patience {
    /// For a connection that does not wait yet.
    pub(super) fn new(lobby: Arc<Lobby>, origin: Option<IpAddr>) -> Self {
        Self {
            lobby,
            origin,
            inside: Mutex::default(),
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock()
    }

    /// It waits from now on, for so long at most. If it waits already, it does so anew.
    pub(super) fn begin(&self, at_most: Duration) {
        let mut inside = self.inside();
        // Its own seat is free before it takes another.
        inside.wait = None;
        let (seat, given_up) = self.lobby.enter(self.origin);
        inside.wait = Some(Wait {
            _seat: seat,
            given_up,
            until: Box::pin(tokio::time::sleep(at_most)),
        });
    }

    /// It does not wait for now.
    pub(super) fn pause(&self) {
        self.inside().wait = None;
    }

    /// A request is here: it waits no more until it begins to wait again.
    pub(super) fn is_asked(&self) {
        *self.inside() = Inside {
            wait: None,
            was_asked: true,
        };
    }

    /// Whether a request has come, ever.
    pub(super) fn was_asked(&self) -> bool {
        self.inside().was_asked
    }

    /// Ready when it is to be waited for no more; never while it does not wait.
    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<NoMore> {
        let mut inside = self.inside();
        let Some(Wait { given_up, until, .. }) = inside.wait.as_mut() else {
            return Poll::Pending;
        };
        if given_up.poll(context).is_ready() {
            return Poll::Ready(NoMore::GivesWay);
        }
        until.as_mut().poll(context).map(|()| NoMore::TooLong)
    }
}
