//! Whether this server hears one node, judged only by this server's own probes.
//!
//! About once per interval, a numbered probe is published through the node and must come back through its subscriber. A
//! node that is silent for three intervals is not heard. This is checked at every publish, so the check costs only a
//! few atomic loads. After a gap, a node is on probation for a while, longer each time: an unstable node must not carry
//! copies of messages that it has just lost. State without I/O; the time is passed in.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::link::LinkErrorKind;

/// A node that is silent for this many intervals is not heard.
pub(crate) const SILENT_INTERVALS: u32 = 3;

/// Probation after a gap, in probe intervals: the first value, doubled for each earlier gap that is not forgotten, up
/// to the second value.
const PROBATION: (u32, u32) = (2, 32);
/// After this many probe intervals, a gap is forgotten.
const FORGOTTEN: u32 = 60;

#[derive(Debug, Default)]
struct Detail {
    /// The times of recent gaps.
    gaps_at: VecDeque<Instant>,
    /// Probes that have not returned yet: number and time of sending.
    sent: Vec<(u64, Instant)>,
    next: u64,
    last_returned: u64,
    /// Since when a probe could have returned: both connections are up, and the process was running.
    waiting_since: Option<Instant>,
    rtt: Option<Duration>,
    /// The smoothed round trip: each new one counts a fifth.
    smooth_rtt: Option<Duration>,
    error: Option<String>,
    /// Kinds of failures that were logged since the node was last heard.
    logged: Vec<LinkErrorKind>,
}

/// The health of one node.
#[derive(Debug)]
pub(crate) struct Health {
    start: Instant,
    interval: Duration,
    /// When the last probe returned, in milliseconds after `start`, plus 1; 0 if none returned on these connections.
    returned_ms: AtomicU64,
    publishing: AtomicBool,
    subscribed: AtomicBool,
    reconnects: AtomicU64,
    gaps: AtomicU64,
    /// The end of the probation, in milliseconds after `start`.
    probation_ms: AtomicU64,
    /// The number of resolved channels that the node has not confirmed.
    owing: Arc<AtomicUsize>,
    detail: Mutex<Detail>,
}

impl Health {
    pub(crate) fn new(interval: Duration, owing: Arc<AtomicUsize>, now: Instant) -> Self {
        Self {
            owing,
            start: now,
            interval,
            returned_ms: AtomicU64::new(0),
            publishing: AtomicBool::new(false),
            subscribed: AtomicBool::new(false),
            reconnects: AtomicU64::new(0),
            gaps: AtomicU64::new(0),
            probation_ms: AtomicU64::new(0),
            detail: Mutex::default(),
        }
    }

    fn detail(&self) -> MutexGuard<'_, Detail> {
        self.detail.lock()
    }

    /// How long a node may be silent and is still heard.
    pub(crate) fn patience(&self) -> Duration {
        self.interval * SILENT_INTERVALS
    }

    /// Whether this server hears the node: its probes return, and all resolved channels are confirmed there.
    pub(crate) fn heard(&self, now: Instant) -> bool {
        self.owing.load(Ordering::Acquire) == 0 && self.returning(now)
    }

    /// Whether the node is heard and not on probation.
    pub(crate) fn steady(&self, now: Instant) -> bool {
        self.heard(now) && self.ms(now) >= self.probation_ms.load(Ordering::Acquire)
    }

    fn ms(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_millis() as u64
    }

    /// Whether the node's probes return.
    pub(crate) fn returning(&self, now: Instant) -> bool {
        let returned = self.returned_ms.load(Ordering::Acquire);
        returned > 0
            && self.publishing.load(Ordering::Acquire)
            && self.subscribed.load(Ordering::Acquire)
            && now.saturating_duration_since(self.start + Duration::from_millis(returned - 1)) <= self.patience()
    }

    /// Notes whether the publishing connection is up.
    pub(crate) fn publishing(&self, up: bool, now: Instant) {
        self.set(&self.publishing, up, now);
    }

    /// Notes whether the subscriber is up and everything that the node needs to be heard is confirmed.
    pub(crate) fn subscribed(&self, up: bool, now: Instant) {
        self.set(&self.subscribed, up, now);
    }

    fn set(&self, half: &AtomicBool, up: bool, now: Instant) {
        let mut detail = self.detail();
        half.store(up, Ordering::Release);
        if !up {
            self.returned_ms.store(0, Ordering::Release);
            detail.sent.clear();
        }
        detail.waiting_since = self.can_probe().then_some(now);
    }

    /// The process was stopped for a while: it must read what its connections hold before it judges.
    pub(crate) fn be_patient(&self, now: Instant) {
        let mut detail = self.detail();
        detail.waiting_since = detail.waiting_since.map(|_| now);
    }

    /// Whether no probe returned for three intervals although both connections are up.
    pub(crate) fn silent(&self, now: Instant) -> bool {
        let waiting_since = self.detail().waiting_since;
        waiting_since.is_some_and(|since| now.saturating_duration_since(since) > self.patience())
    }

    /// A subscriber connection ended: messages may have been missed.
    pub(crate) fn interrupted(&self, now: Instant) {
        let mut detail = self.detail();
        detail.last_returned = 0;
        self.note_gap(&mut detail, now);
    }

    fn note_gap(&self, detail: &mut Detail, now: Instant) {
        self.gaps.fetch_add(1, Ordering::Relaxed);
        let forgotten = self.interval * FORGOTTEN;
        detail
            .gaps_at
            .retain(|at| now.saturating_duration_since(*at) < forgotten);
        let (first, longest) = PROBATION;
        let before = detail.gaps_at.len().min(16) as u32;
        let intervals = first.saturating_mul(1 << before).min(longest);
        detail.gaps_at.push_back(now);
        self.probation_ms
            .store(self.ms(now + self.interval * intervals), Ordering::Release);
    }

    /// No node is heard, so none is more trustworthy than this one: forgets its gaps.
    pub(crate) fn forgive(&self) {
        let mut detail = self.detail();
        detail.gaps_at.clear();
        self.probation_ms.store(0, Ordering::Release);
    }

    /// Whether both connections are up, so that a probe can return.
    pub(crate) fn can_probe(&self) -> bool {
        self.publishing.load(Ordering::Acquire) && self.subscribed.load(Ordering::Acquire)
    }

    /// Notes that a probe is sent, and returns its number.
    pub(crate) fn probe(&self, now: Instant) -> u64 {
        let mut detail = self.detail();
        detail.next += 1;
        let number = detail.next;
        detail.sent.push((number, now));
        if detail.sent.len() > 16 {
            detail.sent.remove(0);
        }
        number
    }

    /// Notes that a probe returned. A probe from before the last reconnect proves nothing. A skipped number is a gap in
    /// hearing; returns whether there is one.
    pub(crate) fn probe_returned(&self, number: u64, now: Instant) -> bool {
        let mut detail = self.detail();
        let Some(position) = detail.sent.iter().position(|(sent, _)| *sent == number) else {
            return false;
        };
        let gap = position > 0 && detail.last_returned > 0;
        if gap {
            self.note_gap(&mut detail, now);
        }
        let (_, sent) = detail.sent[position];
        detail.sent.drain(..=position);
        detail.last_returned = number;
        detail.waiting_since = detail.waiting_since.map(|_| now);
        let rtt = now.saturating_duration_since(sent);
        detail.rtt = Some(rtt);
        detail.smooth_rtt = Some(
            detail
                .smooth_rtt
                .map_or(rtt, |smooth| smooth.mul_f64(0.8) + rtt.mul_f64(0.2)),
        );
        detail.error = None;
        detail.logged.clear();
        self.returned_ms.store(self.ms(now) + 1, Ordering::Release);
        gap
    }

    /// Notes why a connection failed or ended, for the status. `true` if this kind of failure has not been logged since
    /// the node was last heard.
    pub(crate) fn failed(&self, kind: LinkErrorKind, error: String) -> bool {
        let mut detail = self.detail();
        detail.error = Some(error);
        let news = !detail.logged.contains(&kind);
        if news {
            detail.logged.push(kind);
        }
        news
    }

    /// For how long no probe has returned, if none ever has.
    pub(crate) fn never_heard_for(&self, now: Instant) -> Option<Duration> {
        let is_new = self.detail().rtt.is_none();
        is_new.then(|| now.saturating_duration_since(self.start))
    }

    /// Counts a connection that was opened again.
    pub(crate) fn reconnected(&self) {
        self.reconnects.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.detail().rtt
    }

    pub(crate) fn smooth_rtt(&self) -> Option<Duration> {
        self.detail().smooth_rtt
    }

    pub(crate) fn error(&self) -> Option<String> {
        self.detail().error.clone()
    }

    pub(crate) fn reconnects(&self) -> u64 {
        self.reconnects.load(Ordering::Relaxed)
    }

    pub(crate) fn gaps(&self) -> u64 {
        self.gaps.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn up() -> (Health, Instant) {
        let now = Instant::now();
        let health = Health::new(Duration::from_secs(1), Arc::default(), now);
        health.publishing(true, now);
        health.subscribed(true, now);
        (health, now)
    }

    #[test]
    fn a_node_is_heard_from_its_first_probe_until_three_silent_intervals() {
        let (health, now) = up();
        assert!(!health.heard(now), "connected, but not heard yet");
        let number = health.probe(now);
        health.probe_returned(number, now + Duration::from_millis(3));
        assert!(health.heard(now + Duration::from_secs(3)));
        assert!(!health.heard(now + Duration::from_millis(3100)));
        assert_eq!(health.rtt(), Some(Duration::from_millis(3)));
    }

    #[test]
    fn losing_either_connection_ends_hearing_at_once_and_an_old_probe_does_not_restore_it() {
        for lose in [Health::publishing, Health::subscribed] {
            let (health, now) = up();
            let number = health.probe(now);
            health.probe_returned(number, now);
            let old = health.probe(now);
            lose(&health, false, now);
            assert!(!health.heard(now));
            lose(&health, true, now);
            health.probe_returned(old, now);
            assert!(!health.heard(now), "sent before the connection ended");
        }
    }

    #[test]
    fn a_node_is_silent_when_both_connections_are_up_and_no_probe_returns() {
        let (health, now) = up();
        let at = |ms| now + Duration::from_millis(ms);
        assert!(!health.silent(at(3000)) && health.silent(at(3001)));
        let number = health.probe(at(2000));
        health.probe_returned(number, at(2000));
        assert!(!health.silent(at(5000)) && health.silent(at(5001)));
        health.be_patient(at(9000));
        assert!(!health.silent(at(12_000)), "the process was stopped");
        health.publishing(false, at(12_000));
        assert!(!health.silent(at(20_000)), "no probe can return");
    }

    #[test]
    fn a_node_that_has_not_confirmed_all_resolved_channels_is_not_heard() {
        let (health, now) = up();
        let number = health.probe(now);
        health.probe_returned(number, now);
        health.owing.store(1, Ordering::Release);
        assert!(!health.heard(now) && health.returning(now));
    }

    #[test]
    fn a_node_is_on_probation_after_a_gap_and_longer_each_time() {
        let (health, now) = up();
        let at = |ms| now + Duration::from_millis(ms);
        let hear = |ms| {
            let number = health.probe(at(ms));
            health.probe_returned(number, at(ms));
        };
        hear(0);
        assert!(health.steady(at(0)));
        health.interrupted(at(10));
        hear(100);
        assert!(health.heard(at(100)) && !health.steady(at(100)));
        hear(2010);
        assert!(health.steady(at(2010)));
        health.interrupted(at(3000));
        hear(6900);
        assert!(!health.steady(at(6900)) && health.steady(at(7000)));
        health.interrupted(at(80_000));
        hear(82_000);
        assert!(health.steady(at(82_000)), "the earlier gaps are forgotten");
    }

    #[test]
    fn gaps_from_before_an_outage_of_all_nodes_are_forgiven() {
        let (health, now) = up();
        for _ in 0..5 {
            health.interrupted(now);
        }
        health.forgive();
        let number = health.probe(now);
        health.probe_returned(number, now);
        assert!(health.steady(now));
        health.interrupted(now);
        let number = health.probe(now);
        health.probe_returned(number, now);
        assert!(
            !health.steady(now) && health.steady(now + Duration::from_secs(2)),
            "as after a first gap"
        );
    }

    #[test]
    fn a_missing_number_among_the_probes_is_a_gap() {
        let (health, now) = up();
        let numbers: Vec<u64> = (0..4).map(|_| health.probe(now)).collect();
        health.probe_returned(numbers[0], now);
        health.probe_returned(numbers[1], now);
        assert_eq!(health.gaps(), 0);
        health.probe_returned(numbers[3], now);
        assert_eq!(health.gaps(), 1);
    }
}
