//! Lapses: spans of time for which the promise did not hold, as this server noticed them. Loss is never silent.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::lapse::{Lapse, LapseReason};
use super::unix_time::now_ms;
use crate::metrics::Metrics;

/// How many lapses are remembered.
const REMEMBERED: usize = 100;

/// The lapses that this server noticed.
#[derive(Debug)]
pub(crate) struct Lapses {
    noticed: watch::Sender<Arc<Vec<Lapse>>>,
    /// When each reason was reported last.
    reported: Mutex<HashMap<LapseReason, Instant>>,
    /// [`Lapses::report_once`] reports the same reason once in this time.
    quiet: Duration,
    metrics: Arc<Metrics>,
}

impl Lapses {
    pub(crate) fn new(quiet: Duration, metrics: Arc<Metrics>) -> Self {
        Self {
            noticed: watch::Sender::default(),
            reported: Mutex::default(),
            quiet,
            metrics,
        }
    }

    /// The last [`REMEMBERED`] lapses, oldest first; the receiver is notified of each new one.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Vec<Lapse>>> {
        self.noticed.subscribe()
    }

    /// As [`Lapses::report`], but each reason at most once per replay window: for lapses that every message would report.
    pub(crate) fn report_once(&self, reason: LapseReason, length: Duration) {
        let now = Instant::now();
        let before = self.reported.lock().insert(reason, now);
        let is_known = before.is_some_and(|before| now.saturating_duration_since(before) < self.quiet);
        if !is_known {
            self.report(reason, length);
        }
    }

    /// Reports that the promise did not hold for `length`, until now.
    pub(crate) fn report(&self, reason: LapseReason, length: Duration) {
        let length_ms = length.as_millis() as u64;
        self.metrics.lapses.with_label_values(&[reason.label()]).inc();
        let lapse = Lapse {
            reason,
            node: None,
            started_ms_ago: length_ms,
            length_ms,
            noticed_ms: now_ms(),
        };
        self.noticed.send_modify(|lapses| {
            let lapses = Arc::make_mut(lapses);
            if lapses.len() == REMEMBERED {
                lapses.remove(0);
            }
            lapses.push(lapse);
        });
        log(reason, length_ms);
    }
}

fn log(reason: LapseReason, length_ms: u64) {
    match reason {
        LapseReason::Isolated => tracing::error!(
            length_ms,
            "this server heard no Redis node for longer than the replay window: messages of others may be missing here; check the Redis \
             nodes and the network"
        ),
        LapseReason::Stalled => tracing::error!(
            length_ms,
            "this process was stopped for longer than the replay window: messages of others may be missing here; find out what \
             stopped it (too little CPU, a suspended machine)"
        ),
        LapseReason::WindowTooSmall => tracing::error!(
            length_ms,
            "the replay window ran out of bytes: messages of this server may be missing at others; raise replay_bytes"
        ),
        LapseReason::Expired => tracing::error!(
            length_ms,
            "copies did not find, in time, a Redis node that their receivers hear: messages of this server may be missing there; \
             check which Redis nodes each server hears (admin doctor)"
        ),
    }
}

#[cfg(test)]
mod tests {
    use prometheus::Registry;

    use super::*;

    fn lapses() -> Lapses {
        let metrics = Metrics::new(&Registry::new()).expect("registered");
        Lapses::new(Duration::from_secs(6), Arc::new(metrics))
    }

    #[tokio::test(start_paused = true)]
    async fn one_kind_is_reported_once_per_window_and_other_kinds_beside_it() {
        let (lapses, length) = (lapses(), Duration::from_secs(7));
        let seen = lapses.subscribe();
        for reason in [LapseReason::Expired, LapseReason::Expired, LapseReason::WindowTooSmall] {
            lapses.report_once(reason, length);
        }
        assert_eq!(seen.borrow().len(), 2);
        tokio::time::advance(Duration::from_secs(6)).await;
        lapses.report_once(LapseReason::Expired, length);
        assert_eq!(seen.borrow().len(), 3);
        let counted = lapses.metrics.lapses.with_label_values(&["expired"]).get();
        assert_eq!((counted, seen.borrow()[2].length_ms), (2, 7_000));
    }

    #[test]
    fn only_the_last_hundred_are_remembered() {
        let lapses = lapses();
        for length in 0..=REMEMBERED as u64 {
            lapses.report(LapseReason::Stalled, Duration::from_millis(length));
        }
        let seen = lapses.subscribe();
        assert_eq!((seen.borrow().len(), seen.borrow()[0].length_ms), (REMEMBERED, 1));
    }
}
