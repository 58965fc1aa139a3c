//! Directs the workers of one run through its phases, and measures the processes at the right moments.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, bail};
use mio::Waker;

use super::progress::Progress;
use super::shared::{Schedule, Shared};
use crate::measure::clock::{Clock, SECOND, ns};
use crate::measure::process::{ProcessReport, Usage, Watched};
use crate::net::target::Target;
use crate::net::{Duty, Identity, Net, Worker, limits};

/// The time between the start signal and the first message, so that every worker knows the schedule.
const HEAD_START: u64 = SECOND / 5;

/// What every mode needs.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The targets of connections.
    pub targets: Arc<Vec<Target>>,
    /// Local addresses to connect from, in turn; empty: the operating system chooses.
    pub sources: Arc<Vec<IpAddr>>,
    /// The beginning of client ids.
    pub id_prefix: String,
    /// Worker threads.
    pub threads: usize,
    /// New connections a second of all threads together; 0: as fast as the server accepts them.
    pub connect_rate: u64,
    /// The time without progress after which the run fails.
    pub patience: Duration,
    /// Processes whose CPU time and memory are reported.
    pub pids: Vec<Watched>,
    /// Whether to show progress on stderr.
    pub progress: bool,
}

impl Setup {
    /// When the connection with this number is to be made: ns from `from`.
    #[must_use]
    pub fn connect_time(&self, number: usize, from: u64) -> u64 {
        match self.connect_rate {
            0 => from,
            rate => from + number as u64 * SECOND / rate,
        }
    }

    /// When the connections of a worker are made: index and ns.
    #[must_use]
    pub fn arrivals(&self, connections: usize, worker: usize) -> Vec<(usize, u64)> {
        let numbers = (worker..connections).step_by(self.threads);
        let arrivals = numbers.map(|number| (number / self.threads, self.connect_time(number, 0)));
        arrivals.collect()
    }

    /// Begins a run, directed by the calling thread.
    #[must_use]
    pub fn shared(&self) -> Arc<Shared> {
        Arc::new(Shared::new(Clock::start()))
    }
}

/// What was used between the beginning and the end of the measurement.
#[derive(Debug, Clone)]
pub struct Measured {
    /// How long it was, s.
    pub seconds: f64,
    /// This process's CPU time, s.
    pub own_cpu_s: f64,
    at_start: Vec<Usage>,
    at_end: Vec<Usage>,
}

/// The beginning of a measurement without a fixed end.
#[derive(Debug)]
pub struct Opened {
    start: u64,
    usage: Vec<Usage>,
    own: Usage,
}

/// A run in progress.
pub struct Stage<D> {
    shared: Arc<Shared>,
    setup: Setup,
    connections: usize,
    wakers: Vec<Arc<Waker>>,
    workers: Vec<JoinHandle<anyhow::Result<(D, Net)>>>,
    /// Of the watched processes, before anything was connected.
    before: Vec<Usage>,
    progress: Progress,
}

impl<D: Duty + Send + 'static> Stage<D> {
    /// Starts the workers. Connection `n` of the run is number `n / threads` of worker `n % threads`; `identity` gives
    /// its identity, `duty` makes a worker's duty from its number and everybody's wakers.
    ///
    /// # Errors
    /// When the limit of open files is too low, a process cannot be watched, or a thread cannot be started.
    pub fn start(
        setup: &Setup,
        shared: Arc<Shared>,
        connections: usize,
        identity: impl Fn(usize) -> Identity,
        duty: impl Fn(usize, &[Arc<Waker>]) -> D,
    ) -> anyhow::Result<Self> {
        limits::allow(connections)?;
        let before = setup.pids.iter().map(Usage::of).collect::<anyhow::Result<_>>()?;
        let made = (0..setup.threads).map(|worker| {
            let mine = (worker..connections).step_by(setup.threads).map(&identity).collect();
            Worker::new(
                shared.clock,
                Arc::clone(&setup.targets),
                Arc::clone(&setup.sources),
                mine,
            )
        });
        let made = made.collect::<anyhow::Result<Vec<_>>>()?;
        let wakers: Vec<_> = made.iter().map(Worker::waker).collect();
        let started = made.into_iter().enumerate().map(|(number, worker)| {
            let (duty, shared) = (duty(number, &wakers), Arc::clone(&shared));
            let work = move || {
                let done = worker.run(duty);
                shared.notify();
                done
            };
            thread::Builder::new().name(format!("load-{number}")).spawn(work)
        });
        let workers = started.collect::<Result<_, _>>().context("no thread can be started")?;
        Ok(Self {
            shared,
            setup: setup.clone(),
            connections,
            wakers,
            workers,
            before,
            progress: Progress::new(setup.progress),
        })
    }

    /// Waits until `wanted` connections are ready.
    ///
    /// # Errors
    /// When one cannot be made, or there is no progress for too long.
    pub fn wait_ready(&mut self, wanted: usize) -> anyhow::Result<()> {
        let (mut best, mut since) = (0, self.shared.clock.now());
        loop {
            let ready = self.shared.ready.load(Ordering::Acquire);
            let failed = self.shared.failed.load(Ordering::Acquire);
            if ready >= wanted as u64 {
                return Ok(());
            }
            let now = self.shared.clock.now();
            if ready + failed > best {
                (best, since) = (ready + failed, now);
            }
            let stuck = now - since > ns(self.setup.patience);
            if stuck || (failed > 0 && ready + failed >= wanted as u64) {
                self.stop();
                bail!(
                    "{ready} of {wanted} connections are ready, {failed} failed{}{}",
                    if stuck { ", the rest did not answer" } else { "" },
                    listed(&self.shared)
                );
            }
            self.wait("connecting", SECOND / 10)?;
        }
    }

    /// Runs the load for `warmup`, then for `seconds`, which are measured.
    ///
    /// # Errors
    /// When a worker or a watched process ended.
    pub fn measure(&mut self, warmup: Duration, seconds: Duration) -> anyhow::Result<Measured> {
        let start = self.shared.clock.now() + HEAD_START;
        let schedule = Schedule {
            start,
            measure_from: start + ns(warmup),
            measure_until: start + ns(warmup) + ns(seconds),
        };
        self.shared.set_schedule(schedule);
        self.wake();
        self.wait_until("warming up", schedule.measure_from)?;
        let (at_start, own_start) = (self.usage()?, Usage::of_myself()?);
        self.wait_until("measuring", schedule.measure_until)?;
        let (at_end, own_end) = (self.usage()?, Usage::of_myself()?);
        Ok(Measured {
            seconds: seconds.as_secs_f64(),
            own_cpu_s: (own_end.cpu_ns - own_start.cpu_ns) as f64 / SECOND as f64,
            at_start,
            at_end,
        })
    }

    /// Begins a measurement without a fixed end. Returns its start, for [`Stage::end_open`].
    ///
    /// # Errors
    /// When a watched process ended.
    pub fn begin_open(&mut self) -> anyhow::Result<Opened> {
        let start = self.shared.clock.now();
        self.shared.set_schedule(Schedule {
            start,
            measure_from: start,
            measure_until: u64::MAX,
        });
        let opened = Opened {
            start,
            usage: self.usage()?,
            own: Usage::of_myself()?,
        };
        self.wake();
        Ok(opened)
    }

    /// What was used since then.
    ///
    /// # Errors
    /// When a watched process ended.
    pub fn end_open(&mut self, opened: Opened) -> anyhow::Result<Measured> {
        let own = Usage::of_myself()?.cpu_ns - opened.own.cpu_ns;
        Ok(Measured {
            seconds: (self.shared.clock.now() - opened.start) as f64 / SECOND as f64,
            own_cpu_s: own as f64 / SECOND as f64,
            at_start: opened.usage,
            at_end: self.usage()?,
        })
    }

    /// After the measurement: waits until everything has arrived, at most for `patience`.
    ///
    /// # Errors
    /// When a worker ended.
    pub fn drain(&mut self, patience: Duration, arrived: impl Fn() -> bool) -> anyhow::Result<()> {
        let until = self.shared.clock.now() + ns(patience);
        while self.shared.clock.now() < until && !(self.shared.resting() == self.workers.len() && arrived()) {
            self.wait("draining", SECOND / 10)?;
        }
        Ok(())
    }

    /// Waits until a condition holds, at most for `patience`; returns whether it holds.
    ///
    /// # Errors
    /// When a worker ended.
    pub fn wait_for(&mut self, phase: &str, patience: Duration, holds: impl Fn() -> bool) -> anyhow::Result<bool> {
        let until = self.shared.clock.now() + ns(patience);
        while !holds() {
            if self.shared.clock.now() >= until {
                return Ok(false);
            }
            self.wait(phase, SECOND / 10)?;
        }
        Ok(true)
    }

    /// Ends the workers and returns their duties.
    ///
    /// # Errors
    /// When a worker failed.
    pub fn end(&mut self) -> anyhow::Result<Vec<(D, Net)>> {
        self.stop();
        let ended = std::mem::take(&mut self.workers)
            .into_iter()
            .map(|worker| match worker.join() {
                Ok(done) => done,
                Err(_) => bail!("a worker panicked; see above"),
            });
        ended.collect()
    }

    /// What the watched processes used, per delivery and per connection.
    #[must_use]
    pub fn processes(&self, measured: &Measured, deliveries: u64) -> Vec<ProcessReport> {
        let usages = self.before.iter().zip(measured.at_start.iter().zip(&measured.at_end));
        let reports = self
            .setup
            .pids
            .iter()
            .zip(usages)
            .map(|(watched, (before, (start, end)))| {
                let cpu_s = (end.cpu_ns - start.cpu_ns) as f64 / SECOND as f64;
                let grown = end.resident_bytes.saturating_sub(before.resident_bytes);
                ProcessReport {
                    name: watched.name.clone(),
                    pid: watched.pid,
                    cpu_s,
                    cpu_share: cpu_s / measured.seconds,
                    cpu_us_per_delivery: (deliveries > 0).then(|| cpu_s * 1e6 / deliveries as f64),
                    resident_before: before.resident_bytes,
                    resident_after: end.resident_bytes,
                    bytes_per_connection: (self.connections > 0).then(|| grown as f64 / self.connections as f64),
                }
            });
        reports.collect()
    }

    /// Makes every worker take a turn.
    pub fn wake(&self) {
        for waker in &self.wakers {
            // A full eventfd wakes, too.
            let _ = waker.wake();
        }
    }

    fn stop(&self) {
        self.shared.stop();
        self.wake();
    }

    fn usage(&self) -> anyhow::Result<Vec<Usage>> {
        self.setup.pids.iter().map(Usage::of).collect()
    }

    fn wait_until(&mut self, phase: &str, time: u64) -> anyhow::Result<()> {
        loop {
            let now = self.shared.clock.now();
            if now >= time {
                return Ok(());
            }
            self.wait(phase, (time - now).min(SECOND / 10))?;
        }
    }

    fn wait(&mut self, phase: &str, at_most: u64) -> anyhow::Result<()> {
        self.progress.show(phase, &self.shared);
        if let Some(at) = self.workers.iter().position(JoinHandle::is_finished) {
            match self.workers.swap_remove(at).join() {
                Ok(Ok(_)) => bail!("a worker ended too early"),
                Ok(Err(error)) => return Err(error),
                Err(_) => bail!("a worker panicked; see above"),
            }
        }
        thread::park_timeout(Duration::from_nanos(at_most));
        Ok(())
    }
}

/// The workers end, too, when it is dropped after an error.
impl<D> Drop for Stage<D> {
    fn drop(&mut self) {
        self.shared.stop();
        self.wakers.iter().for_each(|waker| drop(waker.wake()));
    }
}

fn listed(shared: &Shared) -> String {
    let lines = shared
        .ends()
        .into_iter()
        .map(|(label, count)| format!("\n  {count} x {label}"));
    lines.collect()
}
