//! What the async runtimes of this process do: how long their threads work, how many tasks they have, and how late they wake.
//!
//! Read only when metrics are asked for, from what tokio counts anyway. Beside that, each runtime has one task that sleeps for a
//! second and notes how late it wakes: a runtime whose thread is blocked, or has too much to do, wakes late. It costs one timer a
//! second and nothing per message.

use std::sync::LazyLock;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{CounterVec, Histogram, HistogramOpts, HistogramVec, IntGaugeVec, Opts};
use tokio::runtime::{Handle, RuntimeMetrics};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// Time between two looks at how late a runtime wakes.
const LOOK: Duration = Duration::from_secs(1);

/// The resolution of tokio's timers, which fire up to this late by themselves.
const RESOLUTION: Duration = Duration::from_millis(1);

/// Bounds of the lateness, in seconds.
const LATE: [f64; 9] = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// Of this process.
static RUNTIMES: LazyLock<Option<Runtimes>> = LazyLock::new(|| Runtimes::new().ok());

/// What a runtime is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuntimeKind {
    /// The runtime that [`main`](crate::main()) starts.
    Main,
    /// Those of a ws-node's shards, taken together.
    Shards,
}

impl RuntimeKind {
    fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Shards => "shards",
        }
    }
}

/// A runtime that is measured until this is dropped.
#[derive(Debug)]
pub struct MeasuredRuntime {
    kind: RuntimeKind,
    id: u64,
    _looking: AbortOnDropHandle<()>,
}

/// Shows a runtime among the metrics of this process.
pub fn measure_runtime(kind: RuntimeKind, runtime: &Handle) -> MeasuredRuntime {
    let late = RUNTIMES.as_ref().map(|all| all.late.with_label_values(&[kind.name()]));
    let looking = AbortOnDropHandle::new(runtime.spawn(look(late)));
    let id = RUNTIMES
        .as_ref()
        .map_or(0, |all| all.measured.lock().add(kind, runtime.metrics()));
    MeasuredRuntime {
        kind,
        id,
        _looking: looking,
    }
}

impl Drop for MeasuredRuntime {
    fn drop(&mut self) {
        if let Some(all) = RUNTIMES.as_ref() {
            all.measured.lock().remove(self.kind, self.id);
        }
    }
}

/// Notes how late this runtime wakes. Never returns.
async fn look(late: Option<Histogram>) {
    let Some(late) = late else { return };
    loop {
        let due = Instant::now() + LOOK;
        tokio::time::sleep_until(due).await;
        late.observe(due.elapsed().saturating_sub(RESOLUTION).as_secs_f64());
    }
}

/// The metrics of all runtimes.
struct Runtimes {
    late: HistogramVec,
    measured: Mutex<Measured>,
}

/// The runtimes there are, and what those worked that have ended: the sum must not fall.
#[derive(Default)]
struct Measured {
    next: u64,
    now: Vec<(u64, RuntimeKind, RuntimeMetrics)>,
    ended: Vec<(RuntimeKind, Duration)>,
}

impl Measured {
    fn add(&mut self, kind: RuntimeKind, metrics: RuntimeMetrics) -> u64 {
        self.next += 1;
        self.now.push((self.next, kind, metrics));
        if self.ended.iter().all(|(ended, _)| *ended != kind) {
            self.ended.push((kind, Duration::ZERO));
        }
        self.next
    }

    fn remove(&mut self, kind: RuntimeKind, id: u64) {
        let Some(index) = self.now.iter().position(|(at, ..)| *at == id) else {
            return;
        };
        let (.., metrics) = self.now.swap_remove(index);
        if let Some((_, sum)) = self.ended.iter_mut().find(|(ended, _)| *ended == kind) {
            *sum += busy(&metrics);
        }
    }
}

impl Runtimes {
    fn new() -> Result<Self, prometheus::Error> {
        let about = "How late a runtime wakes a task that slept for a second: it is blocked, or has too much to do.";
        let late = HistogramOpts::new("wsmesh_runtime_late_seconds", about).buckets(LATE.to_vec());
        Ok(Self {
            late: HistogramVec::new(late, &["runtime"])?,
            measured: Mutex::default(),
        })
    }

    fn collect(&self) -> Result<Vec<MetricFamily>, prometheus::Error> {
        let gauge = |name: &str, about: &str| IntGaugeVec::new(Opts::new(name, about), &["runtime"]);
        let about = "Time that the threads of a runtime did not sleep.";
        let busy_seconds = CounterVec::new(Opts::new("wsmesh_runtime_busy_seconds_total", about), &["runtime"])?;
        let threads = gauge("wsmesh_runtime_threads", "Threads that run the tasks of a runtime.")?;
        let about = "Tasks that wait in the queue that all threads of a runtime share.";
        let queue = gauge("wsmesh_runtime_queue_depth", about)?;
        let tasks = gauge("wsmesh_runtime_tasks", "Tasks of a runtime that have not ended.")?;
        let measured = self.measured.lock();
        for (kind, time) in &measured.ended {
            busy_seconds
                .with_label_values(&[kind.name()])
                .inc_by(time.as_secs_f64());
        }
        let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        for (_, kind, metrics) in &measured.now {
            let label = &[kind.name()];
            busy_seconds
                .with_label_values(label)
                .inc_by(busy(metrics).as_secs_f64());
            threads.with_label_values(label).add(whole(metrics.num_workers()));
            queue.with_label_values(label).add(whole(metrics.global_queue_depth()));
            tasks.with_label_values(label).add(whole(metrics.num_alive_tasks()));
        }
        let parts: [&dyn Collector; 5] = [&busy_seconds, &threads, &queue, &tasks, &self.late];
        Ok(parts.into_iter().flat_map(Collector::collect).collect())
    }
}

/// How long the threads of a runtime have worked.
fn busy(metrics: &RuntimeMetrics) -> Duration {
    (0..metrics.num_workers())
        .map(|worker| metrics.worker_total_busy_duration(worker))
        .sum()
}

/// What `/metrics` shows about the runtimes of this process.
pub(crate) fn runtime_metrics() -> Vec<MetricFamily> {
    RUNTIMES.as_ref().and_then(|all| all.collect().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(name: &str, kind: RuntimeKind) -> f64 {
        let families = runtime_metrics();
        let family = families.iter().find(|family| family.name() == name).expect("a family");
        let of_kind = |metric: &&prometheus::proto::Metric| metric.get_label()[0].value() == kind.name();
        family.get_metric().iter().find(of_kind).map_or(0.0, |metric| {
            metric.get_gauge().get_value() + metric.get_counter().get_value() + metric.get_histogram().get_sample_sum()
        })
    }

    /// Blocks the only thread of a runtime while it looks how late it wakes.
    #[test]
    fn a_blocked_runtime_wakes_late_and_what_it_worked_stays_counted_when_it_has_ended() {
        let blocked = Duration::from_millis(300);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.expect("starts");
        let measured = measure_runtime(RuntimeKind::Shards, runtime.handle());
        assert_eq!(value("wsmesh_runtime_threads", RuntimeKind::Shards), 1.0);
        assert_eq!(
            value("wsmesh_runtime_tasks", RuntimeKind::Shards),
            1.0,
            "the one that looks"
        );
        runtime.block_on(async {
            // So that it sleeps.
            tokio::task::yield_now().await;
            std::thread::sleep(LOOK + blocked);
            tokio::time::sleep(Duration::from_millis(1)).await;
        });
        let late = value("wsmesh_runtime_late_seconds", RuntimeKind::Shards);
        assert!(late >= blocked.as_secs_f64() * 0.9, "{late}");
        runtime.block_on(async { tokio::time::sleep(Duration::from_millis(1)).await });
        let busy = value("wsmesh_runtime_busy_seconds_total", RuntimeKind::Shards);
        assert!(busy >= 1.0, "{busy}");
        drop(measured);
        assert_eq!(value("wsmesh_runtime_threads", RuntimeKind::Shards), 0.0);
        let after = value("wsmesh_runtime_busy_seconds_total", RuntimeKind::Shards);
        assert!(after >= busy, "{after} < {busy}");
    }
}
