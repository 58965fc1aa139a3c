//! The waiting of one connection: whether it waits now, until when at most, and in which seat.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Sleep;

use super::idle::{Eviction, Idle, Seat};

/// The waiting of one connection. The code that answers its requests and the code that ends it share this value, in one task. It is
/// polled after both.
pub(super) struct Patience {
    idle: Arc<Idle>,
    origin: Option<IpAddr>,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    wait: Option<Wait>,
    /// A request has arrived: the connection waits for a further one, or for its answer to be read.
    had_request: bool,
}

/// While a connection waits.
struct Wait {
    _seat: Seat,
    eviction: Eviction,
    until: Pin<Box<Sleep>>,
}

/// Why a waiting connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WaitEnd {
    /// Its seat is needed for another connection.
    Evicted,
    /// It waited for too long.
    TimedOut,
}

impl Patience {
    /// For a connection that does not wait yet.
    pub(super) fn new(idle: Arc<Idle>, origin: Option<IpAddr>) -> Self {
        Self {
            idle,
            origin,
            inside: Mutex::default(),
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock()
    }

    /// The connection waits from now on, for `at_most`. If it waits already, its time starts again.
    pub(super) fn begin(&self, at_most: Duration) {
        let mut inside = self.inside();
        // Its own seat is free before it takes another.
        inside.wait = None;
        let (seat, eviction) = self.idle.enter(self.origin);
        inside.wait = Some(Wait {
            _seat: seat,
            eviction,
            until: Box::pin(tokio::time::sleep(at_most)),
        });
    }

    /// The connection does not wait for now.
    pub(super) fn pause(&self) {
        self.inside().wait = None;
    }

    /// A request has arrived: the connection does not wait until it begins again.
    pub(super) fn end(&self) {
        *self.inside() = Inside {
            wait: None,
            had_request: true,
        };
    }

    /// Whether a request has ever arrived.
    pub(super) fn had_request(&self) -> bool {
        self.inside().had_request
    }

    /// Ready when the connection must be closed; never while it does not wait.
    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<WaitEnd> {
        let mut inside = self.inside();
        let Some(Wait { eviction, until, .. }) = inside.wait.as_mut() else {
            return Poll::Pending;
        };
        if eviction.poll(context).is_ready() {
            return Poll::Ready(WaitEnd::Evicted);
        }
        until.as_mut().poll(context).map(|()| WaitEnd::TimedOut)
    }
}
