//! A client's connection as its [`FrameHandler`](super::FrameHandler) sees it: sends, closes, and runs what takes longer.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use wsmesh_adapter::{ClientId, ConnectionId, Frame, LiveContext, Payload};

use super::core::Core;
use super::ending::{Ending, Farewell};
use super::handle::{Handle, InFlightKind};

/// One client's connection. Cheap to clone; stays on its thread.
pub(crate) struct Session<H> {
    pub(super) core: Rc<Core<H>>,
    pub(super) handle: Rc<Handle<H>>,
}

impl<H> Clone for Session<H> {
    fn clone(&self) -> Self {
        Self {
            core: Rc::clone(&self.core),
            handle: Rc::clone(&self.handle),
        }
    }
}

impl<H> Session<H> {
    /// The handler of this connection.
    pub(crate) fn handler(&self) -> &H {
        &self.handle.handler
    }

    pub(crate) fn client(&self) -> &ClientId {
        &self.handle.client
    }

    pub(crate) fn connection(&self) -> ConnectionId {
        self.handle.connection
    }

    /// A cheap handle on what is known about this connection.
    pub(crate) fn live_context(&self) -> LiveContext {
        self.handle.context.clone()
    }

    /// What services attached to this connection.
    pub(crate) fn data(&self) -> Option<Arc<RawValue>> {
        self.handle.context.data()
    }

    /// The client has shown a token with these claims.
    pub(crate) fn set_claims(&self, claims: Option<Box<RawValue>>) {
        self.handle.context.set_claims(claims);
    }

    /// How this connection ended, or how it is about to.
    pub(crate) fn ending(&self) -> Option<&Ending> {
        self.handle.ending.get()
    }

    /// The code that this connection ended with (RFC 6455, section 7.4.1): 1005 if the client gave none, 1006 if the connection
    /// broke or was never opened.
    pub(crate) fn close_code(&self) -> u16 {
        let code = self.ending().and_then(|ending| ending.code);
        code.unwrap_or(if self.handle.said_goodbye.get() { 1005 } else { 1006 })
    }

    /// How long this connection has lasted.
    pub(crate) fn lasted(&self) -> Duration {
        self.handle.opened_at.elapsed()
    }

    /// Whether somebody watches this connection.
    #[inline]
    pub(crate) fn is_watched(&self) -> bool {
        self.handle.is_watched.get()
    }

    /// Sends a frame to this client.
    pub(crate) fn send(&self, frame: Frame) {
        self.core.push(&self.handle, frame);
    }

    /// This client answered a request of a server; `false` if it was not asked that.
    pub(crate) fn answered(&self, request_id: &str, payload: Payload) -> bool {
        self.core.answered(&self.handle, request_id, payload)
    }

    /// Ends this session; what was sent before still goes out.
    pub(crate) fn close(&self, farewell: &Farewell) {
        self.core.close(&self.handle, farewell);
    }

    /// The client does something now: it is not idle. Returns the time.
    pub(crate) fn mark_active(&self) -> Instant {
        let now = Instant::now();
        self.handle.active_at.set(now);
        now
    }

    /// The client says that it went to the background: it may stay there for a limited time.
    pub(crate) fn enter_background(&self) {
        let since = self.handle.background_since.get();
        self.handle
            .background_since
            .set(Some(since.unwrap_or_else(Instant::now)));
    }

    /// The client says that it is back.
    pub(crate) fn enter_foreground(&self) {
        self.handle.background_since.set(None);
    }

    /// A service has a request of this client and replies to it directly, within this time if at all. Such a reply passes as any
    /// frame does, so the engine does not know when it has come.
    pub(crate) fn expect_reply(&self, within: Duration) {
        let until = Instant::now() + within;
        let later = self.handle.replies_until.get();
        self.handle
            .replies_until
            .set(Some(later.map_or(until, |before| before.max(until))));
    }

    /// How many requests of the client wait for a reply.
    pub(crate) fn requests_in_flight(&self) -> u32 {
        self.handle.requests.get()
    }

    /// One more request waits for its reply, until the guard is dropped: the client is not sent away meanwhile.
    pub(crate) fn begin_request(&self) -> InFlight<H> {
        InFlight::new(self.clone(), InFlightKind::Request)
    }

    /// One more fire-and-forget frame is being handled, until the guard is dropped: too many pause reading.
    pub(crate) fn begin_event(&self) -> InFlight<H> {
        InFlight::new(self.clone(), InFlightKind::Event)
    }
}

impl<H: 'static> Session<H> {
    /// Runs this on the connection's thread until it is done. What it sends then waits for the end of the turn.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        self.core.ongoing.push(work);
    }
}

/// Counts a request or an event of a client as long as it lives.
pub(crate) struct InFlight<H> {
    session: Session<H>,
    kind: InFlightKind,
}

impl<H> InFlight<H> {
    fn new(session: Session<H>, kind: InFlightKind) -> Self {
        session.handle.count(kind, 1);
        Self { session, kind }
    }

    pub(crate) fn session(&self) -> &Session<H> {
        &self.session
    }
}

impl<H> Drop for InFlight<H> {
    fn drop(&mut self) {
        self.session.handle.count(self.kind, -1);
    }
}
