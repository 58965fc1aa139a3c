//! The thread of one shard: takes clients, their connections and commands, and ends every turn.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::{EnterGuard, Runtime};
use tokio::sync::mpsc;
use tokio::task::LocalSet;
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use wsmesh_adapter::{Adapter, ConnectionId, ShardInbox};
use wsmesh_bootstrap::{MeasuredRuntime, RuntimeKind, measure_runtime};

use super::admission::Expected;
use super::connection;
use super::core::Core;
use super::handler::FrameHandler;
use super::metrics::Metrics;
use super::settings::Settings;
use super::sweep::sweep_period;

/// How often the clock is checked during a drain, so that clients leave evenly.
const PACE: Duration = Duration::from_millis(50);

/// Most newcomers that wait for a busy shard; beyond that, upgrades wait.
const WAITING_NEWCOMERS: usize = 1024;

/// An order to a shard's thread.
pub(crate) enum Order<H: FrameHandler> {
    /// Attach this client; its connection follows.
    Expect(Box<Expected<H>>),
    /// Close every connection; the clients are to come back to another server.
    Drain {
        /// How long sending them away takes.
        waves: Duration,
        /// After this time nobody is left.
        at_most: Duration,
    },
    /// End the drain: clients may stay.
    Resume,
    /// Find out again whether somebody watches these connections, as far as they are here.
    Look(Arc<[ConnectionId]>),
    /// Close at most this many idle connections within this time.
    Shed(usize, Duration),
    /// End the thread; sessions that are left are dropped.
    End,
}

/// What all shards share.
#[derive(Clone)]
pub(crate) struct Resources {
    pub(crate) adapter: Adapter,
    pub(crate) settings: Arc<Settings>,
    pub(crate) metrics: Metrics,
}

/// A shard's thread. It ends on [`Order::End`], or when every sender of its orders is gone.
pub(crate) struct ShardThread<H: FrameHandler> {
    pub(crate) orders: mpsc::Sender<Order<H>>,
    /// Cancelled when the thread has ended, also by a panic.
    pub(crate) ended: CancellationToken,
}

impl<H: FrameHandler> ShardThread<H> {
    /// Starts the thread on a runtime of its own.
    pub(crate) fn start(shared: Resources, inbox: ShardInbox, runtime: ShardRuntime) -> std::io::Result<Self> {
        let (orders, received) = mpsc::channel(WAITING_NEWCOMERS);
        let ended = CancellationToken::new();
        let on_end = ended.clone().drop_guard();
        std::thread::Builder::new()
            .name(format!("ws-shard-{}", inbox.index()))
            .spawn(move || {
                let Resources {
                    adapter,
                    settings,
                    metrics,
                } = shared;
                let core = Core::new(adapter, settings, metrics, &inbox);
                let local = LocalSet::new();
                runtime.block_on(&local, run(core, inbox, received));
                drop(local);
                drop(runtime);
                drop(on_end);
            })?;
        Ok(Self { orders, ended })
    }
}

/// The runtime of a shard's thread. Made before the thread, so that others can spawn tasks on it.
pub(crate) struct ShardRuntime {
    runtime: Option<Runtime>,
    /// It is among the metrics of the process as long as it is here.
    _measured: MeasuredRuntime,
}

impl ShardRuntime {
    pub(crate) fn new() -> std::io::Result<Self> {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_io().enable_time().build()?;
        Ok(Self {
            _measured: measure_runtime(RuntimeKind::Shards, runtime.handle()),
            runtime: Some(runtime),
        })
    }

    /// Tasks that are spawned while this is held run on the shard's thread.
    pub(crate) fn enter(&self) -> Option<EnterGuard<'_>> {
        self.runtime.as_ref().map(Runtime::enter)
    }

    fn block_on(&self, local: &LocalSet, work: impl Future<Output = ()>) {
        if let Some(runtime) = &self.runtime {
            local.block_on(runtime, work);
        }
    }
}

/// Does not wait for tasks: it may be dropped on a thread of another runtime, when the ws-node cannot be started.
impl Drop for ShardRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn ticking(period: Duration) -> Interval {
    let mut clock = tokio::time::interval(period);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    clock
}

/// Drops ongoing work however the shard ends: it holds the core that holds it.
struct EndOngoing<H>(Rc<Core<H>>);

impl<H> Drop for EndOngoing<H> {
    fn drop(&mut self) {
        self.0.ongoing.clear();
    }
}

async fn run<H: FrameHandler>(core: Rc<Core<H>>, mut inbox: ShardInbox, mut orders: mpsc::Receiver<Order<H>>) {
    let _end_ongoing = EndOngoing(core.clone());
    let ping_interval = core.settings.ping_interval;
    let period = sweep_period(core.settings.shortest());
    let mut clock = ticking(period);
    let (mut last_sweep, mut batch, mut bus_ended) = (Instant::now(), Vec::new(), false);
    loop {
        tokio::select! {
            received = inbox.recv(&mut batch), if !bus_ended => {
                bus_ended = received == 0;
                core.apply(batch.drain(..));
            }
            () = core.dirty.notified() => {}
            () = core.ongoing.progress() => {}
            order = orders.recv() => match order {
                Some(Order::Expect(expected)) => connection::expect(&core, *expected),
                Some(Order::Drain { waves, at_most }) => {
                    core.drain(waves, at_most);
                    clock = ticking(period.min(PACE));
                }
                Some(Order::Resume) => {
                    core.resume();
                    clock = ticking(period);
                }
                Some(Order::Look(connections)) => connection::look(&core, &connections),
                Some(Order::Shed(most, over)) => core.shed(most, over),
                Some(Order::End) | None => break,
            },
            _ = clock.tick() => {
                let now = Instant::now();
                core.sweep(now, now - last_sweep > period + ping_interval / 2);
                last_sweep = now;
            }
        }
        core.turn();
    }
}
