//! What this server keeps for each connection of a client, in addition to what the engine keeps.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use opentelemetry::trace::SpanContext;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::auth::Grant;
use crate::edge::Edge;
use crate::engine;
use crate::handlers::Turns;
use crate::limits::{Meter, Permit};
use crate::namespaces::Published;
use crate::watching::ConnectionTap;

/// One client's connection.
pub(crate) type Session = engine::Session<ClientState>;

/// One connection's state. Belongs to the thread of its shard once it is there.
pub(crate) struct ClientState {
    pub(crate) edge: Arc<Edge>,
    /// Context of the upgrade's span, when it was sampled: the spans of frames link to it.
    pub(crate) upgrade: Option<Box<SpanContext>>,
    /// Until when the client may stay, and what it may do.
    pub(crate) grant: RefCell<Grant>,
    /// The tokens that have changed the grant.
    pub(crate) refreshes: Cell<Refreshes>,
    /// How many frames it may send now.
    pub(crate) pace: Cell<Meter>,
    /// How many more frames may be rejected before it is closed.
    pub(crate) patience: Cell<Meter>,
    /// How many messages it may publish now.
    pub(crate) published: Published,
    /// It was let in: handlers are told when it is gone.
    pub(crate) is_opened: Cell<bool>,
    /// Whose turn it is among the handlers for this connection.
    pub(crate) turns: Turns,
    /// If somebody watches the client.
    pub(crate) tap: RefCell<Option<Box<ConnectionTap>>>,
}

/// The tokens that a client has shown since it was let in.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Refreshes {
    /// How many more it may show now.
    pub(crate) pace: Meter,
    /// How many it has shown.
    pub(crate) shown: u32,
    /// Which of them is in force: the newest valid one.
    pub(crate) in_force: u32,
}

/// Held for one connection, from its upgrade to the end of its session: counts it, and keeps a shutdown waiting.
#[derive(Debug)]
pub(crate) struct ConnectionGuard {
    _tracked: TaskTrackerToken,
    _permit: Permit,
}

impl ClientState {
    pub(crate) fn new(edge: Arc<Edge>, grant: Grant, upgrade: Option<Box<SpanContext>>) -> Self {
        Self {
            edge,
            upgrade,
            grant: RefCell::new(grant),
            refreshes: Cell::default(),
            pace: Cell::default(),
            patience: Cell::default(),
            published: Published::default(),
            is_opened: Cell::new(false),
            turns: Turns::default(),
            tap: RefCell::default(),
        }
    }
}

impl Session {
    /// Tells those who watch the client. None if nobody does; finding that out costs one look at a flag.
    #[inline]
    pub(crate) fn tap(&self) -> Option<ConnectionTap> {
        if self.is_watched() {
            self.handler().tap.borrow().as_deref().cloned()
        } else {
            None
        }
    }
}

impl ConnectionGuard {
    pub(crate) fn new(edge: &Edge, permit: Permit) -> Self {
        Self {
            _tracked: edge.sessions.token(),
            _permit: permit,
        }
    }
}
