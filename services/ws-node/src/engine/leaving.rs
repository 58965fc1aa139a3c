//! Clients that are sent away: all of them when this server stops, some when it has more than its share, each when its
//! connection is old. Every connection gets a moment of its own; the sweep closes it then.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::core::{Core, Drain};
use super::handle::Handle;

/// A connection's limit of age varies by this part, so that clients that came together do not leave together.
const AGE_JITTER: f64 = 0.1;

/// A client that sent nothing for this long is idle.
const IDLE: Duration = Duration::from_secs(10);

impl<H> Core<H> {
    /// Sends every client away during `waves`, clients whose requests are still being answered within `at_most`, and new
    /// ones at once.
    pub(super) fn drain(&self, waves: Duration, at_most: Duration) {
        let now = Instant::now();
        self.leaving.set(Some(Drain {
            waves_end: now + waves,
            until: now + at_most,
        }));
        for handle in self.handles(Handle::is_open) {
            handle.away_if_idle.set(false);
            handle.send_away_by(now + waves.mul_f64(rand::random_range(0.0..=1.0)));
        }
    }

    /// Ends the drain: connections are sent away for their age only.
    pub(super) fn resume(&self) {
        if self.leaving.take().is_some() {
            for handle in self.handles(Handle::is_open) {
                self.let_stay(&handle);
            }
        }
    }

    /// A connection is sent away for its age only.
    pub(super) fn let_stay(&self, handle: &Handle<H>) {
        handle.away_if_idle.set(false);
        handle.away_at.set(self.end_of_life(handle.opened_at));
    }

    /// Sends at most `most` idle clients away within `over`, first those that were silent for longest.
    pub(super) fn shed(&self, most: usize, over: Duration) {
        let now = Instant::now();
        let mut idle: Vec<Rc<Handle<H>>> = self.handles(|handle| handle.is_open() && is_idle(handle, now));
        idle.sort_by_key(|handle| handle.active_at.get());
        for handle in idle.iter().take(most) {
            let at = now + over.mul_f64(rand::random_range(0.0..=1.0));
            if handle.away_at.get().is_none_or(|before| at < before) {
                handle.away_at.set(Some(at));
                handle.away_if_idle.set(self.leaving.get().is_none());
            }
        }
    }

    /// When a connection that was opened then is to be replaced by a new one.
    pub(super) fn end_of_life(&self, opened_at: Instant) -> Option<Instant> {
        let age = self.settings.max_connection_age;
        (!age.is_zero()).then(|| opened_at + age.mul_f64(rand::random_range(1.0 - AGE_JITTER..=1.0 + AGE_JITTER)))
    }
}

/// Whether sending this client away interrupts nothing.
pub(super) fn is_idle<H>(handle: &Handle<H>, now: Instant) -> bool {
    !handle.awaits_reply(now) && now.saturating_duration_since(handle.active_at.get()) >= IDLE
}

/// Whether this connection is to be sent away now. One whose requests are being answered may stay longer: by `requests`, and
/// no longer than `until`.
pub(super) fn is_time_to_go<H>(handle: &Handle<H>, now: Instant, requests: Duration, until: Option<Instant>) -> bool {
    let Some(at) = handle.away_at.get().filter(|at| *at <= now) else {
        return false;
    };
    let latest = at + requests;
    let latest = until.map_or(latest, |until| latest.min(until));
    !handle.awaits_reply(now) || now >= latest
}
