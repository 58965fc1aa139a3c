//! What is counted about what is sent to collectors: the one list of these names. There is one exporter of each signal in a process, so
//! there is one of each of these, too.

use std::sync::LazyLock;

use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, Opts};

use super::failure::Failure;
use super::reason::Reason;

/// What became of what was to be sent. Clones count together.
#[derive(Debug, Clone)]
pub(crate) struct Results {
    /// The collector took them.
    pub(super) exported: IntCounter,
    /// They never reached a collector: the queue was full, or nobody answered.
    pub(super) dropped: IntCounter,
    /// The collector answered, and did not take them.
    pub(super) refused: IntCounter,
    counters: IntCounterVec,
}

impl Results {
    fn new(name: &str, help: &str) -> Self {
        let counters = counters(name, help, "result");
        Self {
            exported: counters.with_label_values(&["exported"]),
            dropped: counters.with_label_values(&["dropped"]),
            refused: counters.with_label_values(&["refused"]),
            counters,
        }
    }

    /// Counts a batch of so many, of which this came.
    pub(super) fn count(&self, items: usize, outcome: &Result<(), Failure>) {
        let items = items as u64;
        match outcome {
            Ok(()) => self.exported.inc_by(items),
            Err(Failure::NoAnswer(_)) => self.dropped.inc_by(items),
            Err(Failure::Refused(_)) => self.refused.inc_by(items),
            Err(Failure::Rejected(part)) => {
                // A collector may say anything.
                let rejected = part.items.min(items);
                self.refused.inc_by(rejected);
                self.exported.inc_by(items - rejected);
            }
        }
    }

    /// For `/metrics`.
    pub(crate) fn collector(&self) -> Box<dyn Collector> {
        Box::new(self.counters.clone())
    }

    /// Exported, dropped, refused.
    #[cfg(test)]
    pub(super) fn all(&self) -> (u64, u64, u64) {
        (self.exported.get(), self.dropped.get(), self.refused.get())
    }
}

fn counters(name: &str, help: &str, label: &str) -> IntCounterVec {
    IntCounterVec::new(Opts::new(name, help), &[label]).expect("names are constants of the program")
}

/// The lines of this process that are pushed. They exist, with zeros, in a process that pushes none, too.
static PUSHED_LINES: LazyLock<Results> = LazyLock::new(new_pushed_lines);

/// The counters of the log lines of this process that are pushed.
pub(crate) fn pushed_lines() -> &'static Results {
    &PUSHED_LINES
}

pub(super) fn new_pushed_lines() -> Results {
    Results::new(
        "wsmesh_pushed_log_lines_total",
        "Lines of the log to be sent to the collector of logs: exported, refused by it, or dropped because they did not fit into the queue or \
         nobody answered. All of them are on stderr.",
    )
}

/// The counters of the traces of a process. Clones count together.
#[derive(Debug, Clone)]
pub(crate) struct TraceCounts {
    pub(super) spans: Results,
    kept_for_error: IntCounter,
    kept_for_slowness: IntCounter,
    /// Traces for which there was no room until they could be judged.
    pub(super) not_kept: IntCounter,
    kept: IntCounterVec,
}

/// They exist, with zeros, in a process without a collector, too.
static OF_THIS_PROCESS: LazyLock<TraceCounts> = LazyLock::new(TraceCounts::new);

impl TraceCounts {
    /// Those of this process.
    pub(crate) fn of_this_process() -> &'static Self {
        &OF_THIS_PROCESS
    }

    pub(super) fn new() -> Self {
        let spans = Results::new(
            "wsmesh_trace_spans_total",
            "Spans to be sent to the collector of traces: exported, refused by it, or dropped because they did not fit into the queue or nobody \
             answered.",
        );
        let kept = counters(
            "wsmesh_traces_kept_total",
            "Traces of requests that sampling left out and that were kept, because of an error or because they were slow.",
            "reason",
        );
        let not_kept = IntCounter::new(
            "wsmesh_traces_not_kept_total",
            "Traces of requests that sampling left out and for which there was no room: it is unknown how they ended, or there were too many.",
        );
        Self {
            kept_for_error: kept.with_label_values(&[Reason::Error.name()]),
            kept_for_slowness: kept.with_label_values(&[Reason::Slow.name()]),
            not_kept: not_kept.expect("the name is a constant of the program"),
            spans,
            kept,
        }
    }

    pub(super) fn kept(&self, reason: Reason) -> &IntCounter {
        match reason {
            Reason::Error => &self.kept_for_error,
            Reason::Slow => &self.kept_for_slowness,
        }
    }

    /// For `/metrics`.
    pub(crate) fn collectors(&self) -> [Box<dyn Collector>; 3] {
        [
            self.spans.collector(),
            Box::new(self.kept.clone()),
            Box::new(self.not_kept.clone()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::failure::Rejected;
    use super::*;

    #[test]
    fn what_a_collector_rejects_of_a_batch_counts_as_refused_and_never_as_more_than_there_was() {
        let results = new_pushed_lines();
        let rejected = |items| {
            let why = String::new();
            Err(Failure::Rejected(Rejected { items, why }))
        };
        results.count(10, &rejected(3));
        assert_eq!(results.all(), (7, 0, 3));
        results.count(10, &rejected(u64::MAX));
        assert_eq!(results.all(), (7, 0, 13));
        results.count(5, &Ok(()));
        results.count(6, &Err(Failure::NoAnswer("dead".to_owned())));
        assert_eq!(results.all(), (12, 6, 13));
    }
}
