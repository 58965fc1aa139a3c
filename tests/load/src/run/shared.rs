//! What the threads of a run share: the schedule, counters for progress and ends, the stop signal.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::Thread;

use parking_lot::Mutex;

use crate::measure::clock::Clock;
use crate::net::End;

/// The schedule, in ns of the run's clock.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// The first message is sent.
    pub start: u64,
    /// The measurement begins.
    pub measure_from: u64,
    /// The measurement ends, and nothing more is sent.
    pub measure_until: u64,
}

/// Counts by label.
pub type Counts = BTreeMap<String, u64>;

/// Shared by the workers and the thread that directs them.
#[derive(Debug)]
pub struct Shared {
    /// The clock of the run.
    pub clock: Clock,
    schedule: OnceLock<Schedule>,
    stop: AtomicBool,
    look: AtomicBool,
    resting: AtomicUsize,
    /// Connections that are ready for load.
    pub ready: AtomicU64,
    /// Connections that could not be made.
    pub failed: AtomicU64,
    /// Messages or requests sent.
    pub sent: AtomicU64,
    /// Deliveries or replies.
    pub delivered: AtomicU64,
    /// Connections that never read, and ended.
    pub slow_ended: AtomicU64,
    ends: Mutex<Counts>,
    director: Thread,
}

impl Shared {
    /// For a run directed by the calling thread.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            schedule: OnceLock::new(),
            stop: AtomicBool::new(false),
            look: AtomicBool::new(false),
            slow_ended: AtomicU64::new(0),
            resting: AtomicUsize::new(0),
            ready: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            ends: Mutex::default(),
            director: std::thread::current(),
        }
    }

    /// The schedule; `None` before everything is ready.
    #[must_use]
    pub fn schedule(&self) -> Option<Schedule> {
        self.schedule.get().copied()
    }

    /// Sets the schedule; only the first call counts.
    pub fn set_schedule(&self, schedule: Schedule) {
        self.schedule.get_or_init(|| schedule);
    }

    /// Whether the workers must end.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Tells the workers to end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Whether to read the connections that were never read.
    #[must_use]
    pub fn is_time_to_look(&self) -> bool {
        self.look.load(Ordering::Acquire)
    }

    /// Tells the workers to read the connections that were never read.
    pub fn look(&self) {
        self.look.store(true, Ordering::Release);
    }

    /// A worker will send nothing more; it calls this once.
    pub fn rest(&self) {
        self.resting.fetch_add(1, Ordering::Release);
        self.notify();
    }

    /// How many workers will send nothing more.
    #[must_use]
    pub fn resting(&self) -> usize {
        self.resting.load(Ordering::Acquire)
    }

    /// A connection is ready.
    pub fn one_is_ready(&self) {
        self.ready.fetch_add(1, Ordering::Release);
        self.notify();
    }

    /// A connection could not be made, so that the run cannot begin.
    pub fn one_failed(&self, why: &str) {
        self.count_end(why);
        self.failed.fetch_add(1, Ordering::Release);
        self.notify();
    }

    /// Makes the directing thread check the counters.
    pub fn notify(&self) {
        self.director.unpark();
    }

    /// Counts the end of a connection that should have stayed.
    pub fn count_end(&self, label: &str) {
        let mut ends = self.ends.lock();
        *ends.entry(label.to_owned()).or_default() += 1;
    }

    /// Counts the end of a connection; before the start it means that the connection could not be made.
    pub fn connection_ended(&self, end: &End) {
        if self.schedule().is_none() {
            self.one_failed(&end.label());
        } else {
            self.count_end(&end.label());
        }
    }

    /// How connections ended that should have stayed.
    #[must_use]
    pub fn ends(&self) -> Counts {
        self.ends.lock().clone()
    }
}
