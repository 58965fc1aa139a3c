//! The thread of one shard: takes connections and commands, and gives every turn its end.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use opentelemetry::trace::SpanContext;
use tokio::runtime::{EnterGuard, Runtime};
use tokio::sync::mpsc;
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

/// Upgraded connections that wait for a busy shard; beyond that, upgrades wait.
const WAITING_ADMISSIONS: usize = 1024;

/// A connection after its upgrade, on its way to a shard.
pub(crate) struct Admission {
    pub(crate) stream: Parts,
    /// What was read beyond the upgrade request.
    pub(crate) read_ahead: Bytes,
    pub(crate) client: ClientId,
    /// Until when, and what it may do.
    pub(crate) grant: Grant,
    /// What it is sent first, once it can be reached.
    pub(crate) welcome: Option<Frame>,
    pub(crate) upgrade: Option<Box<SpanContext>>,
    /// When the upgrade request was read.
    pub(crate) since: Instant,
    /// Held until the session has ended.
    pub(crate) presence: Presence,
    /// Messages may be compressed: permessage-deflate was agreed on.
    pub(crate) deflate: bool,
}

/// What a shard's thread is told.
pub(crate) enum Order {
    /// Take this connection.
    Admit(Box<Admission>),
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
        let (orders, received) = mpsc::channel(WAITING_ADMISSIONS);
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
                Some(Order::Admit(admission)) => core.admit(*admission),
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
