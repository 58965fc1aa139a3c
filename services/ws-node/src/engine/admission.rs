//! How a connection gets to its shard: its client is expected first, then the connection is handed over.

use std::time::Instant;

use bytes::Bytes;
use tokio::sync::oneshot;
use tracing::Span;
use wsmesh_adapter::{ClientId, Frame, Introduction};

use super::decoder::Decoder;
use super::handler::FrameHandler;
use super::stream::Parts;

/// A client whose connection is about to be upgraded, or just was: its shard attaches it, and keeps what it is sent until
/// the connection is handed over.
pub(crate) struct Newcomer<H: FrameHandler> {
    pub(crate) client: ClientId,
    /// What is known about the connection.
    pub(crate) introduction: Introduction,
    /// Handles its frames.
    pub(crate) handler: H,
    /// Held until the connection has ended.
    pub(crate) guard: H::Guard,
    /// When the upgrade request was read.
    pub(crate) since: Instant,
    /// Messages may be compressed: permessage-deflate was agreed on.
    pub(crate) deflate: bool,
}

/// A newcomer's connection after its upgrade, with the state of its reader.
pub(crate) struct Admission {
    pub(crate) stream: Parts,
    /// Decodes what follows. It may have decoded earlier messages; it is between two of them.
    pub(crate) decoder: Decoder,
    /// What was read from the stream and not decoded yet.
    pub(crate) read_ahead: Bytes,
    /// What the client is sent before anything of its own is handled.
    pub(crate) welcome: Option<Frame>,
}

/// A newcomer on its way to a shard, with the channels between the shard and its [`Reservation`].
pub(crate) struct Expected<H: FrameHandler> {
    pub(super) newcomer: Newcomer<H>,
    /// The span of its upgrade, in which its shard attaches it.
    pub(super) span: Span,
    pub(super) reachable: oneshot::Sender<()>,
    pub(super) admission: oneshot::Receiver<Admission>,
}

/// What a shard keeps for a newcomer. Dropping it says that the connection does not come: the client is detached again.
pub(crate) struct Reservation {
    reachable: oneshot::Receiver<()>,
    admission: oneshot::Sender<Admission>,
}

impl<H: FrameHandler> Expected<H> {
    /// For a newcomer, with its reservation.
    pub(crate) fn new(newcomer: Newcomer<H>) -> (Self, Reservation) {
        let ((reachable, is_reachable), (admit, admission)) = (oneshot::channel(), oneshot::channel());
        let expected = Self {
            newcomer,
            span: Span::current(),
            reachable,
            admission,
        };
        let reservation = Reservation {
            reachable: is_reachable,
            admission: admit,
        };
        (expected, reservation)
    }
}

impl Reservation {
    /// Resolves when other servers can reach the client, or when that takes too long; `false` if its shard has ended.
    pub(crate) async fn reachable(&mut self) -> bool {
        (&mut self.reachable).await.is_ok()
    }

    /// Hands the connection over. It is closed if its shard has ended meanwhile.
    pub(crate) fn admit(self, admission: Admission) {
        if self.admission.send(admission).is_err() {
            tracing::debug!("a connection came after its shard had ended");
        }
    }
}
