//! Clients that are sent away in good order: all of them when this server goes, some when it has more than its share, each
//! when its connection is old. Every connection gets a moment of its own; the sweep closes it then.

use std::rc::Rc;
use std::time::{Duration, Instant};

use wsmesh_protocol::CloseCode;

use super::core::Core;
use super::link::{Farewell, Link};
use super::sweep::Limits;

/// A connection's age may be so much more or less than the setting says, so that those who came together go apart.
const AGE_JITTER: f64 = 0.1;
/// Who sent nothing for so long is idle.
const IDLE: Duration = Duration::from_secs(10);

/// A drain under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Drain {
    /// When everyone has had its moment.
    waves_end: Instant,
    /// When nobody is to be left, whatever its requests.
    pub(super) until: Instant,
}

impl Core {
    /// Sends every client away during `waves`, those whose requests are still being answered within `at_most`, and those
    /// still to come at once.
    pub(super) fn drain(&self, waves: Duration, at_most: Duration) {
        let now = Instant::now();
        self.leaving.set(Some(Drain {
            waves_end: now + waves,
            until: now + at_most,
        }));
        for link in self.links(Link::is_open) {
            link.away_if_idle.set(false);
            link.send_away_by(now + waves.mul_f64(rand::random_range(0.0..=1.0)));
        }
    }

    /// Nobody is sent away any more, but for age.
    pub(super) fn resume(&self) {
        if self.leaving.take().is_some() {
            for link in self.links(Link::is_open) {
                self.let_stay(&link);
            }
        }
    }

    /// A connection is sent away for its age only.
    pub(super) fn let_stay(&self, link: &Link) {
        link.away_if_idle.set(false);
        link.away_at.set(self.end_of_life(link.opened_at));
    }

    /// Sends at most so many idle clients away within `over`, those first that were silent for longest.
    pub(super) fn shed(&self, most: usize, over: Duration) {
        let now = Instant::now();
        let mut idle: Vec<Rc<Link>> = self.links(|link| link.is_open() && is_idle(link, now));
        idle.sort_by_key(|link| link.active_at.get());
        for link in idle.iter().take(most) {
            let at = now + over.mul_f64(rand::random_range(0.0..=1.0));
            if link.away_at.get().is_none_or(|before| at < before) {
                link.away_at.set(Some(at));
                link.away_if_idle.set(self.leaving.get().is_none());
            }
        }
    }

    /// When a connection that was opened then is to be replaced by a new one.
    pub(super) fn end_of_life(&self, opened_at: Instant) -> Option<Instant> {
        let age = self.edge.settings.max_connection_age;
        (!age.is_zero()).then(|| opened_at + age.mul_f64(rand::random_range(1.0 - AGE_JITTER..=1.0 + AGE_JITTER)))
    }

    /// What a client hears that is to come back, to this server or another one: each a delay of its own, so that they do
    /// not all come at once. Those of a drain come back during the rest of it.
    pub(super) fn come_back(&self, now: Instant) -> Farewell {
        let rest = self
            .leaving
            .get()
            .map_or(Duration::ZERO, |drain| drain.waves_end.saturating_duration_since(now));
        come_back_within(rest.max(self.edge.settings.reconnect_spread))
    }
}

/// What a client hears that is to come back at some moment within this time.
pub(crate) fn come_back_within(spread: Duration) -> Farewell {
    let delay_ms = rand::random_range(0..=spread.as_millis() as u64);
    let reason = CloseCode::ServiceRestart.reason_with_delay(delay_ms);
    Farewell::new(CloseCode::ServiceRestart, reason)
}

/// Whether nothing would be interrupted by sending this client away.
pub(super) fn is_idle(link: &Link, now: Instant) -> bool {
    !link.awaits_reply(now) && now.saturating_duration_since(link.active_at.get()) >= IDLE
}

/// Whether it is time for this connection to go: at its moment, or while requests are being answered, at the latest time.
pub(super) fn is_time_to_go(link: &Link, now: Instant, limits: &Limits) -> bool {
    let Some(at) = link.away_at.get().filter(|at| *at <= now) else {
        return false;
    };
    let latest = at + limits.requests;
    let latest = limits.until.map_or(latest, |until| latest.min(until));
    !link.awaits_reply(now) || now >= latest
}
