//! The life of one connection: its client is attached and expected, the connection arrives, is read until its end, and taken
//! out again. One task on the shard's thread.

use std::net::Shutdown;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot::{self, error::TryRecvError};
use wsmesh_adapter::{Attachment, ConnectionId, Frame};

use super::admission::{Admission, Expected, Newcomer};
use super::core::Core;
use super::decoder::Decoder;
use super::ending::Initiator;
use super::handle::{Handle, Phase};
use super::handler::FrameHandler;
use super::reader::Reader;
use super::session::Session;
use super::stream::Stream;

/// An upgrade is answered, and the client's frames are read, once other servers can reach the client. When Redis is slow to
/// confirm that, the client waits no longer than this: with the time limit of requests, less than clients wait for a reply.
const CONFIRMATION: Duration = Duration::from_millis(500);

/// A client that is attached, and whose connection is to come.
struct Arriving<H: FrameHandler> {
    registration: Registration<H>,
    guard: H::Guard,
    /// Told once other servers can reach the client.
    reachable: oneshot::Sender<()>,
    /// Closed when the connection does not come.
    admission: oneshot::Receiver<Admission>,
    /// When the upgrade request was read.
    since: Instant,
}

/// Registers a client whose connection is about to come, and starts its session, which waits for it. What the client is
/// sent is kept from now on.
pub(super) fn expect<H: FrameHandler>(core: &Rc<Core<H>>, expected: Expected<H>) {
    let Expected {
        newcomer,
        span,
        reachable,
        admission,
    } = expected;
    let Newcomer {
        client,
        introduction,
        handler,
        guard,
        since,
        deflate,
    } = newcomer;
    let attached = span.in_scope(|| core.adapter.attach_with(client.clone(), core.index, introduction));
    let attachment = match attached {
        Ok(attachment) => attachment,
        Err(error) => return tracing::warn!(%error, "a client cannot be attached; turning it away"),
    };
    let ping_at = Instant::now() + core.settings.ping_interval.mul_f64(rand::random_range(0.1..=1.0));
    let deflate_above = core.settings.deflate_above.filter(|_| deflate);
    let (connection, context) = (attachment.connection(), attachment.context().clone());
    let handle = Handle::new(client, connection, context, handler, ping_at, deflate_above);
    let handle = Rc::new(handle);
    core.insert(&handle, attachment.rooms());
    handle.away_at.set(core.end_of_life(handle.opened_at));
    let session = Session {
        core: Rc::clone(core),
        handle,
    };
    // After it was attached: a watch that begins later finds it among the connections of its client.
    session.handle.is_watched.set(H::is_watched(&session));
    tokio::task::spawn_local(run(Box::new(Arriving {
        registration: Registration {
            session,
            attachment: Some(attachment),
        },
        guard,
        reachable,
        admission,
        since,
    })));
}

/// Finds out whether somebody watches these connections now, as far as they are on this shard.
pub(super) fn look<H: FrameHandler>(core: &Rc<Core<H>>, connections: &[ConnectionId]) {
    for handle in connections.iter().filter_map(|&connection| core.handle(connection)) {
        let core = Rc::clone(core);
        let session = Session { core, handle };
        let is_watched = H::is_watched(&session);
        session.handle.is_watched.set(is_watched);
        if !is_watched {
            session.core.forget_queue_times(&session.handle);
        }
    }
}

/// Runs until the connection has ended. There is one of this future for every connection, so what is needed for a moment
/// only is boxed.
async fn run<H: FrameHandler>(arriving: Box<Arriving<H>>) {
    let mut connection = Box::pin(arrive(arriving)).await;
    connection.reader.read_to_end().await;
    Box::pin(depart(connection)).await;
}

/// A connection whose frames are read, if it has come.
struct Connection<H: FrameHandler> {
    registration: Registration<H>,
    reader: Reader<H>,
    /// Last: it is dropped when the connection is off the bus, also when the task panics.
    guard: H::Guard,
}

/// Resolves when the client's frames may be read, with what it sent already handed over; or when its connection does not
/// come.
async fn arrive<H: FrameHandler>(arriving: Box<Arriving<H>>) -> Connection<H> {
    let Arriving {
        registration,
        guard,
        reachable,
        mut admission,
        since,
    } = *arriving;
    let session = registration.session.clone();
    let never = |registration: Registration<H>, guard| {
        let session = registration.session.clone();
        session.handle.advance(Phase::Gone);
        let reader = Reader::new(session, None);
        Connection {
            registration,
            reader,
            guard,
        }
    };
    // Without a connection to any node no other server can reach the client, and it does not have to wait for that.
    if let Some(attachment) = &registration.attachment
        && session.core.adapter.is_connected()
    {
        let _late = tokio::time::timeout(CONFIRMATION, attachment.confirmed()).await;
    }
    let admitted = admission.try_recv();
    if matches!(admitted, Err(TryRecvError::Closed)) {
        return never(registration, guard);
    }
    let verdict = H::reachable(&session);
    let _is_here_already = reachable.send(());
    let admitted = match admitted {
        Ok(admitted) => Some(admitted),
        Err(_) => admission.await.ok(),
    };
    let Some(boarded) = admitted.and_then(|admitted| board(&session, admitted, since)) else {
        return never(registration, guard);
    };
    let Boarded {
        decoder,
        read_ahead,
        welcome,
    } = boarded;
    if let Some(verdict) = verdict
        && let Err(farewell) = verdict.await
    {
        session.close(&farewell);
    }
    if session.handle.is_open() {
        tracing::debug!(client = %session.client(), connection = session.connection().0, "a client is logged in");
        welcome.into_iter().for_each(|welcome| session.send(welcome));
        H::opened(&session);
    }
    let mut reader = Reader::new(session, Some(decoder));
    reader.take(&read_ahead);
    Connection {
        registration,
        reader,
        guard,
    }
}

/// The rest of an [`Admission`] once its stream is in use.
struct Boarded {
    decoder: Decoder,
    read_ahead: Bytes,
    welcome: Option<Frame>,
}

/// The connection is here: what waited for it is written at the next turn.
fn board<H>(session: &Session<H>, admission: Admission, since: Instant) -> Option<Boarded> {
    let Admission {
        stream,
        decoder,
        read_ahead,
        welcome,
    } = admission;
    match Stream::new(stream) {
        Ok(stream) => session.handle.set_stream(stream),
        Err(error) => {
            tracing::error!(%error, "a connection cannot be watched; closing it");
            return None;
        }
    }
    session.core.metrics.opened(since.elapsed());
    tracing::debug!(
        client = %session.client(),
        connection = session.connection().0,
        handshake_ms = since.elapsed().as_millis() as u64,
        "a client is connected"
    );
    session.core.mark_dirty(&session.handle);
    if session.core.leaving.get().is_some() {
        session.close(&session.core.come_back(Instant::now()));
    }
    Some(Boarded {
        decoder,
        read_ahead,
        welcome,
    })
}

/// The connection has ended: everyone who must know is told.
async fn depart<H: FrameHandler>(connection: Connection<H>) {
    let Connection {
        registration,
        reader,
        guard,
    } = connection;
    drop(reader);
    let closed = H::closed(registration.session.clone());
    drop(registration);
    closed.await;
    drop(guard);
}

/// Takes the connection out of its shard and off the bus, also when the session's task ends by a panic.
struct Registration<H: FrameHandler> {
    session: Session<H>,
    /// Until it is dropped.
    attachment: Option<Attachment>,
}

impl<H: FrameHandler> Drop for Registration<H> {
    fn drop(&mut self) {
        self.end();
        if let Some(attachment) = self.attachment.take() {
            attachment.detach(|detached| H::detached(&self.session, detached));
        }
    }
}

impl<H: FrameHandler> Registration<H> {
    /// Takes the connection out of its shard and ends its stream.
    fn end(&self) {
        let handle = &self.session.handle;
        self.session.core.remove(handle);
        let Some(stream) = handle.stream() else { return };
        // Requests that still wait share the stream: without this, the peer would wait for its end as long as they do.
        stream.shutdown(Shutdown::Both);
        // Without an ending the session's task was dropped.
        handle.broken();
        let Some(ending) = handle.ending.get() else { return };
        let lasted = handle.opened_at.elapsed();
        tracing::debug!(
            client = %handle.client,
            connection = handle.connection.0,
            by = ending.initiator.as_str(),
            code = ending.code,
            reason = (ending.initiator == Initiator::Server).then_some(&*ending.reason),
            duration_ms = lasted.as_millis() as u64,
            "a client's connection has ended"
        );
        self.session.core.metrics.closed(ending, lasted);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use wsmesh_adapter::{ClientId, Detached, Introduction};

    use super::super::decoder::{Message, Violation};
    use super::super::ending::Farewell;
    use super::super::handler::{Control, Verdict};
    use super::super::metrics::Metrics;
    use super::super::outgoing::{Onlooker, Outgoing};
    use super::super::pressure::Budget;
    use super::super::settings::Settings;
    use super::*;

    /// Handles nothing, or panics when its client can be reached, with a request in flight that never ends.
    pub(in super::super) struct Nothing {
        pub(in super::super) panics: bool,
    }

    impl Onlooker for Nothing {
        fn outgoing(&self, _: Outgoing<'_>) {}
    }

    impl FrameHandler for Nothing {
        type Guard = Option<oneshot::Sender<()>>;

        fn message(_: &Session<Self>, _: Message) {}

        fn control(_: &Session<Self>, _: Control) {}

        fn violation(_: &Session<Self>, _: &Violation) {}

        fn expires_at(&self) -> Option<Instant> {
            None
        }

        fn expired(&self) -> Farewell {
            Farewell::new(wsmesh_protocol::CloseCode::Normal, "")
        }

        fn is_watched(_: &Session<Self>) -> bool {
            false
        }

        fn reachable(session: &Session<Self>) -> Option<Verdict> {
            if session.handler().panics {
                let in_flight = session.begin_request();
                session.spawn(async move {
                    let _held = in_flight;
                    std::future::pending::<()>().await;
                });
                panic!("on purpose");
            }
            None
        }

        fn opened(_: &Session<Self>) {}

        fn detached(_: &Session<Self>, _: Detached) {}

        fn closed(_: Session<Self>) -> impl Future<Output = ()> {
            std::future::ready(())
        }
    }

    /// What a future of this kind takes.
    fn size_of_future<A, F>(_: fn(A) -> F) -> usize {
        size_of::<F>()
    }

    /// A shard on a server that runs alone.
    pub(in super::super) fn core(budget: Budget) -> (Rc<Core<Nothing>>, wsmesh_adapter::Driver) {
        let names = ("edge", "ws-node");
        let (name, service) = (names.0.try_into().expect("valid"), names.1.try_into().expect("valid"));
        let mut options = wsmesh_adapter::Options::new(name, service);
        options.shards = 1;
        let started = wsmesh_adapter::Adapter::start(options).expect("starts");
        let limit = Duration::from_secs(60);
        let settings = Settings {
            max_message_bytes: 1024,
            binary: true,
            deflate_above: None,
            ping_interval: limit,
            background: limit,
            budget,
            write_timeout: limit,
            close_timeout: limit,
            message_timeout: limit,
            request_timeout: limit,
            reconnect_spread: limit,
            max_connection_age: Duration::ZERO,
        };
        let sent = prometheus::IntCounter::new("sent", "Frames.").expect("a counter");
        let metrics = Metrics::register(&prometheus::Registry::new(), sent).expect("registers");
        let core = Core::new(started.adapter, settings.into(), metrics, &started.shards[0]);
        (core, started.driver)
    }

    #[tokio::test]
    async fn the_guard_of_a_session_that_panics_is_dropped_though_its_requests_wait() {
        let local = tokio::task::LocalSet::new();
        let (core, _driver) = core(Budget::new(usize::MAX, 1));
        let (guard, held) = oneshot::channel();
        let newcomer = Newcomer {
            client: ClientId::new("ann").expect("valid"),
            introduction: Introduction::default(),
            handler: Nothing { panics: true },
            guard: Some(guard),
            since: Instant::now(),
            deflate: false,
        };
        let (expected, _reservation) = Expected::new(newcomer);
        local.run_until(async { expect(&core, expected) }).await;
        let dropped = local.run_until(tokio::time::timeout(Duration::from_secs(10), held));
        assert!(dropped.await.expect("dropped").is_err(), "never told, only dropped");
        assert_eq!(core.handles(|_| true).len(), 0, "it is off its shard");
        core.ongoing.clear();
    }

    #[test]
    fn a_session_is_small() {
        let bytes = size_of_future(run::<Nothing>);
        assert!(bytes <= 560, "{bytes} bytes");
    }
}
