//! What a ws-node tells admin about its clients, read from its metrics: nothing is counted for it.

use std::collections::BTreeMap;

use prometheus::core::Collector;
use wsmesh_protocol::report::{EdgeReport, OTHER_CODES};

use super::Metrics;

/// The close code for a connection that broke, as RFC 6455 has it.
const BROKEN: u16 = 1006;

impl Metrics {
    /// All totals, and the slow clients. What is not a metric has its default.
    pub(crate) fn report(&self) -> EdgeReport {
        let engine = &self.engine;
        EdgeReport {
            draining: self.draining.get() > 0,
            frames_in: self.frames.received_in_all(),
            frames_out: engine.sent.get(),
            bytes_in: engine.bytes_in.get(),
            bytes_out: engine.bytes_out.get(),
            connects: engine.accepted.get(),
            closes: closes(&by_label(&engine.closed, "code")),
            errors: errors(by_label(&self.frames.refused_requests.0, "code")),
            slow_clients: engine.slow.list(),
            ..EdgeReport::default()
        }
    }
}

fn closes(by_label: &BTreeMap<String, u64>) -> BTreeMap<u16, u64> {
    let mut closes = BTreeMap::new();
    for (label, count) in by_label {
        let code = match label.as_str() {
            "none" => BROKEN,
            code => code.parse().unwrap_or(OTHER_CODES),
        };
        *closes.entry(code).or_default() += count;
    }
    closes
}

/// Only those that there were: each known code has a counter.
fn errors(mut by_code: BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    by_code.retain(|_, count| *count > 0);
    by_code
}

/// The sums of a counter by one of its labels.
fn by_label(counter: &impl Collector, label: &str) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    let families = counter.collect();
    for metric in families.iter().flat_map(|family| family.get_metric()) {
        let value = metric.get_label().iter().find(|pair| pair.name() == label);
        let value = value.map(|pair| pair.value().to_owned()).unwrap_or_default();
        *sums.entry(value).or_default() += metric.get_counter().get_value() as u64;
    }
    sums
}

#[cfg(test)]
mod tests {
    use prometheus::Registry;

    use super::*;
    use crate::metrics::Received;

    #[test]
    fn a_report_has_what_the_metrics_have() {
        let metrics = Metrics::register(&Registry::new()).expect("registers");
        for (kind, times) in [(Received::Event, 3), (Received::Request, 2)] {
            (0..times).for_each(|_| metrics.frames.received(kind));
        }
        metrics.engine.sent.inc_by(7);
        metrics.frames.refused_requests.count("TIMEOUT");
        metrics.frames.refused_requests.count("MY_OWN");
        metrics.draining.set(1);
        let report = metrics.report();
        assert_eq!((report.frames_in, report.frames_out, report.draining), (5, 7, true));
        assert_eq!(
            report.errors,
            [("TIMEOUT".to_owned(), 1), ("other".to_owned(), 1)].into()
        );
        assert_eq!(report.closes, BTreeMap::new());
    }

    #[test]
    fn closes_are_summed_over_who_closed_and_those_without_a_code_are_named() {
        let labels = [("1000", 3), ("none", 2), ("other", 4)].map(|(label, count)| (label.to_owned(), count));
        assert_eq!(
            closes(&labels.into()),
            [(1000, 3), (BROKEN, 2), (OTHER_CODES, 4)].into()
        );
    }
}
