//! What is counted about traces: the one list of these names. There is one exporter in a process, so there is one of these, too.

use std::sync::LazyLock;

use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, Opts};

use super::reason::Reason;

/// The counters of the traces of a process. Clones count together.
#[derive(Debug, Clone)]
pub(crate) struct TraceCounts {
    /// Spans that the collector took.
    pub(super) exported: IntCounter,
    /// Spans that never reached a collector: the queue was full, or nobody answered.
    pub(super) dropped: IntCounter,
    /// Spans that the collector answered, and did not take.
    pub(super) refused: IntCounter,
    kept_for_error: IntCounter,
    kept_for_slowness: IntCounter,
    /// Traces for which there was no room until they could be judged.
    pub(super) not_kept: IntCounter,
    spans: IntCounterVec,
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
        let counters = |name: &str, help: &str, label: &str| {
            IntCounterVec::new(Opts::new(name, help), &[label]).expect("names are constants of the program")
        };
        let spans = counters(
            "wsmesh_trace_spans_total",
            "Spans to be sent to the collector of traces: exported, refused by it, or dropped because it could not keep up.",
            "result",
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
            exported: spans.with_label_values(&["exported"]),
            dropped: spans.with_label_values(&["dropped"]),
            refused: spans.with_label_values(&["refused"]),
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
            Box::new(self.spans.clone()),
            Box::new(self.kept.clone()),
            Box::new(self.not_kept.clone()),
        ]
    }
}
