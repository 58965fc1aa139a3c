//! The thread of one shard: takes clients, their connections and commands, and gives every turn its end.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use opentelemetry::trace::SpanContext;
use tokio::runtime::{EnterGuard, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use wsmesh_adapter::{ClientId, Frame, ShardInbox};

use super::core::{Core, sweep_period};
use super::stream::Parts;
use crate::auth::Grant;
use crate::edge::{Edge, Presence};

/// How often the clock is looked at during a drain, so that clients leave evenly.
const PACE: Duration = Duration::from_millis(50);

/// Newcomers that wait for a busy shard; beyond that, upgrades wait.
const WAITING_NEWCOMERS: usize = 1024;

/// A client whose connection is about to be upgraded, or just was: its shard attaches it and keeps what it is sent until
/// the connection arrives.
pub(crate) struct Newcomer {
    pub(crate) client: ClientId,
    /// Until when, and what it may do.
    pub(crate) grant: Grant,
    pub(crate) upgrade: Option<Box<SpanContext>>,
    /// When the upgrade request was read.
    pub(crate) since: Instant,
    /// Held until the session has ended.
    pub(crate) presence: Presence,
    /// Messages may be compressed: permessage-deflate was agreed on.
    pub(crate) deflate: bool,
}

/// A newcomer's connection after its upgrade.
pub(crate) struct Arrived {
    pub(crate) stream: Parts,
    /// What was read beyond the upgrade request.
    pub(crate) read_ahead: Bytes,
    /// What the client is sent before anything of its own is handled.
    pub(crate) welcome: Option<Frame>,
}

/// A newcomer on its way to a shard, with what its shard and its [`Berth`] tell each other.
pub(crate) struct Expected {
    pub(super) newcomer: Newcomer,
    pub(super) reachable: oneshot::Sender<()>,
    pub(super) arrival: oneshot::Receiver<Arrived>,
}

/// The place of a newcomer that a shard expects. Dropping it says that the connection does not come: the client is
/// detached again.
pub(crate) struct Berth {
    reachable: oneshot::Receiver<()>,
    arrival: oneshot::Sender<Arrived>,
}

impl Expected {
    /// For a newcomer, and its berth.
    pub(crate) fn new(newcomer: Newcomer) -> (Self, Berth) {
        let ((reachable, is_reachable), (arrives, arrival)) = (oneshot::channel(), oneshot::channel());
        let expected = Self {
            newcomer,
            reachable,
            arrival,
        };
        let berth = Berth {
            reachable: is_reachable,
            arrival: arrives,
        };
        (expected, berth)
    }
}

impl Berth {
    /// Resolves when other servers can reach the client, or when that takes too long; `false` if its shard has ended.
    pub(crate) async fn reachable(&mut self) -> bool {
        (&mut self.reachable).await.is_ok()
    }

    /// The connection is here. It is closed if its shard has ended meanwhile.
    pub(crate) fn arrive(self, arrived: Arrived) {
        if self.arrival.send(arrived).is_err() {
            tracing::debug!("a connection came after its shard had ended");
        }
    }
}

/// What a shard's thread is told.
pub(crate) enum Order {
    /// Attach this client; its connection follows.
    Expect(Box<Expected>),
    /// Close every connection; its client is to come back to another server.
    Drain {
        /// How long sending them away takes.
        waves: Duration,
        /// When nobody is to be left.
        at_most: Duration,
    },
    /// Stop that: this server stays.
    Resume,
    /// Close at most so many idle connections within this time.
    Shed(usize, Duration),
    /// End the thread; sessions that are left are dropped.
    End,
}

/// A shard's thread. It ends when it is told to, or when every sender of its orders is gone.
pub(crate) struct ShardThread {
    pub(crate) orders: mpsc::Sender<Order>,
    /// Cancelled when the thread has ended, also by a panic.
    pub(crate) ended: CancellationToken,
}

impl ShardThread {
    /// Starts the thread on a runtime of its own.
    pub(crate) fn start(edge: Arc<Edge>, inbox: ShardInbox, runtime: ShardRuntime) -> std::io::Result<Self> {
        let (orders, received) = mpsc::channel(WAITING_NEWCOMERS);
        let ended = CancellationToken::new();
        let on_end = ended.clone().drop_guard();
        std::thread::Builder::new()
            .name(format!("ws-shard-{}", inbox.index()))
            .spawn(move || {
                let core = Core::new(edge, &inbox);
                let local = LocalSet::new();
                runtime.block_on(&local, run(core, inbox, received));
                drop(local);
                drop(runtime);
                drop(on_end);
            })?;
        Ok(Self { orders, ended })
    }
}

/// What a shard's thread runs its tasks on. Made before the thread, so that others can give it tasks.
pub(crate) struct ShardRuntime(Option<Runtime>);

impl ShardRuntime {
    pub(crate) fn new() -> std::io::Result<Self> {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_io().enable_time().build().map(Some).map(Self)
    }

    /// What is spawned while this is held runs on the shard's thread.
    pub(crate) fn enter(&self) -> Option<EnterGuard<'_>> {
        self.0.as_ref().map(Runtime::enter)
    }

    fn block_on(&self, local: &LocalSet, work: impl Future<Output = ()>) {
        if let Some(runtime) = &self.0 {
            local.block_on(runtime, work);
        }
    }
}

/// Also on a thread of another runtime, when the ws-node cannot be started.
impl Drop for ShardRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

fn ticking(period: Duration) -> Interval {
    let mut clock = tokio::time::interval(period);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    clock
}

/// What goes on holds the shard that holds it: ended however the shard ends.
struct EndWorks(Rc<Core>);

impl Drop for EndWorks {
    fn drop(&mut self) {
        self.0.works.clear();
    }
}

async fn run(core: Rc<Core>, mut inbox: ShardInbox, mut orders: mpsc::Receiver<Order>) {
    let _end_works = EndWorks(core.clone());
    let settings = &core.edge.settings;
    let shortest = settings
        .ping_interval
        .min(settings.enter_background_close)
        .min(settings.write_timeout)
        .min(settings.message_timeout);
    let period = sweep_period(shortest.min(settings.close_timeout));
    let mut clock = ticking(period);
    let (mut last_sweep, mut batch, mut bus_ended) = (Instant::now(), Vec::new(), false);
    loop {
        tokio::select! {
            received = inbox.recv(&mut batch), if !bus_ended => {
                bus_ended = received == 0;
                core.apply(batch.drain(..));
            }
            () = core.dirty.notified() => {}
            () = core.works.progress() => {}
            order = orders.recv() => match order {
                Some(Order::Expect(expected)) => core.expect(*expected),
                Some(Order::Drain { waves, at_most }) => {
                    core.drain(waves, at_most);
                    clock = ticking(period.min(PACE));
                }
                Some(Order::Resume) => {
                    core.resume();
                    clock = ticking(period);
                }
                Some(Order::Shed(most, over)) => core.shed(most, over),
                Some(Order::End) | None => break,
            },
            _ = clock.tick() => {
                let now = Instant::now();
                core.sweep(now, now - last_sweep > period + settings.ping_interval / 2);
                last_sweep = now;
            }
        }
        core.turn();
    }
}
