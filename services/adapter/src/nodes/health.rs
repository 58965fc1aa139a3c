//! Hearing one node: judged from this server's own probes, whatever a client library believes.
//!
//! About once an interval a numbered probe is published through the node and must come back through its subscriber. A
//! node silent for three intervals is not heard. Judged anew at every publish, so the check is a few atomic loads.
//! State without I/O; time is handed in.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::link::LinkErrorKind;

/// Silent for so many intervals: not heard.
pub(crate) const SILENT_INTERVALS: u32 = 3;

#[derive(Debug, Default)]
struct Detail {
    /// Probes that are under way: number and time of sending.
    sent: Vec<(u64, Instant)>,
    next: u64,
    last_returned: u64,
    rtt: Option<Duration>,
    error: Option<String>,
    /// Kinds of trouble that were told since the node was heard last.
    told: Vec<LinkErrorKind>,
}

/// What this server knows of one node's health.
#[derive(Debug)]
pub(crate) struct Health {
    start: Instant,
    interval: Duration,
    /// Milliseconds after `start` of the last probe's return, plus 1; 0 for never on this connection.
    returned_ms: AtomicU64,
    publishing: AtomicBool,
    subscribed: AtomicBool,
    reconnects: AtomicU64,
    gaps: AtomicU64,
    detail: Mutex<Detail>,
}

impl Health {
    pub(crate) fn new(interval: Duration, now: Instant) -> Self {
        Self {
            start: now,
            interval,
            returned_ms: AtomicU64::new(0),
            publishing: AtomicBool::new(false),
            subscribed: AtomicBool::new(false),
            reconnects: AtomicU64::new(0),
            gaps: AtomicU64::new(0),
            detail: Mutex::default(),
        }
    }

    fn detail(&self) -> MutexGuard<'_, Detail> {
        self.detail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long a node may be silent.
    pub(crate) fn patience(&self) -> Duration {
        self.interval * SILENT_INTERVALS
    }

    /// Whether this server hears the node now.
    pub(crate) fn heard(&self, now: Instant) -> bool {
        let returned = self.returned_ms.load(Ordering::Acquire);
        returned > 0
            && self.publishing.load(Ordering::Acquire)
            && self.subscribed.load(Ordering::Acquire)
            && now.saturating_duration_since(self.start + Duration::from_millis(returned - 1)) <= self.patience()
    }

    /// The publishing connection is up, or not.
    pub(crate) fn publishing(&self, up: bool) {
        self.publishing.store(up, Ordering::Release);
        if !up {
            self.returned_ms.store(0, Ordering::Release);
            self.detail().sent.clear();
        }
    }

    /// The subscriber is up and has confirmed everything that was wanted when it connected, or not.
    pub(crate) fn subscribed(&self, up: bool) {
        self.subscribed.store(up, Ordering::Release);
        if !up {
            self.returned_ms.store(0, Ordering::Release);
            self.detail().sent.clear();
        }
    }

    /// Whether both connections are up, so that a probe can come back.
    pub(crate) fn can_probe(&self) -> bool {
        self.publishing.load(Ordering::Acquire) && self.subscribed.load(Ordering::Acquire)
    }

    /// A probe goes out: its number.
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

    /// A probe came back. One from before the last reconnect proves nothing; a number that was jumped over is a gap in
    /// hearing.
    pub(crate) fn probe_returned(&self, number: u64, now: Instant) {
        let mut detail = self.detail();
        let Some(position) = detail.sent.iter().position(|(sent, _)| *sent == number) else {
            return;
        };
        if position > 0 && detail.last_returned > 0 {
            self.gaps.fetch_add(1, Ordering::Relaxed);
        }
        let (_, sent) = detail.sent[position];
        detail.sent.drain(..=position);
        detail.last_returned = number;
        detail.rtt = Some(now.saturating_duration_since(sent));
        detail.error = None;
        detail.told.clear();
        let ms = now.saturating_duration_since(self.start).as_millis() as u64;
        self.returned_ms.store(ms + 1, Ordering::Release);
    }

    /// A connection failed or ended: why, for the status. `true` if this kind of trouble is news since the node was heard.
    pub(crate) fn failed(&self, kind: LinkErrorKind, error: String) -> bool {
        let mut detail = self.detail();
        detail.error = Some(error);
        let news = !detail.told.contains(&kind);
        if news {
            detail.told.push(kind);
        }
        news
    }

    /// A connection that was up is opened again.
    pub(crate) fn reconnected(&self) {
        self.reconnects.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.detail().rtt
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
        let health = Health::new(Duration::from_secs(1), now);
        health.publishing(true);
        health.subscribed(true);
        (health, now)
    }

    #[test]
    fn a_node_is_heard_from_its_first_probe_until_three_silent_intervals() {
        let (health, now) = up();
        assert!(!health.heard(now), "connected is not heard");
        let number = health.probe(now);
        health.probe_returned(number, now + Duration::from_millis(3));
        assert!(health.heard(now + Duration::from_secs(3)));
        assert!(!health.heard(now + Duration::from_millis(3100)));
        assert_eq!(health.rtt(), Some(Duration::from_millis(3)));
    }

    #[test]
    fn losing_either_connection_ends_hearing_at_once_and_an_old_probe_does_not_bring_it_back() {
        for lose in [Health::publishing, Health::subscribed] {
            let (health, now) = up();
            let number = health.probe(now);
            health.probe_returned(number, now);
            let old = health.probe(now);
            lose(&health, false);
            assert!(!health.heard(now));
            lose(&health, true);
            health.probe_returned(old, now);
            assert!(!health.heard(now), "sent before the connection ended");
        }
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
