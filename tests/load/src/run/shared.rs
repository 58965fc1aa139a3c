//! What the threads of a run share: the schedule, counters for progress and ends, and the way to say "stop".

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::Thread;

use crate::measure::clock::Clock;
use crate::net::End;

/// When what happens, ns of the run's clock.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// The first message is sent.
    pub start: u64,
    /// What happens from now on counts.
    pub measure_from: u64,
    /// It does not count any more, and nothing more is sent.
    pub measure_until: u64,
}

/// How often what happened.
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
    /// For a run that the calling thread directs.
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

    /// When what happens; `None` before everything is ready.
    #[must_use]
    pub fn schedule(&self) -> Option<Schedule> {
        self.schedule.get().copied()
    }

    /// Tells when what happens; only the first call counts.
    pub fn set_schedule(&self, schedule: Schedule) {
        self.schedule.get_or_init(|| schedule);
    }

    /// Whether the workers are to end.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// The workers are to end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Whether connections that were never read are to be read now.
    #[must_use]
    pub fn is_time_to_look(&self) -> bool {
        self.look.load(Ordering::Acquire)
    }

    /// Connections that were never read are to be read now.
    pub fn look(&self) {
        self.look.store(true, Ordering::Release);
    }

    /// A worker will send nothing more; it says so once.
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

    /// The directing thread looks at the counters again.
    pub fn notify(&self) {
        self.director.unpark();
    }

    /// Counts how a connection ended that should not have ended.
    pub fn count_end(&self, label: &str) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        *ends.entry(label.to_owned()).or_default() += 1;
    }

    /// Counts the end of a connection: before the start, it could not be made.
    pub fn connection_ended(&self, end: &End) {
        if self.schedule().is_none() {
            self.one_failed(&end.label());
        } else {
            self.count_end(&end.label());
        }
    }

    /// How connections ended that should not have ended.
    #[must_use]
    pub fn ends(&self) -> Counts {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
