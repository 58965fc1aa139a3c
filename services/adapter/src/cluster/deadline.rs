//! When the sender of a request gives up. A plain value: time is handed in.
//!
//! The deadline of a request with an idempotency key can move: it is the latest of all who wait for the answer.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// When nobody waits for an answer any more. Clones of a shared one move together.
#[derive(Debug, Clone, Default)]
pub(crate) enum Deadline {
    /// Nobody says when: an event, or a request of a version that does not.
    #[default]
    Never,
    At(Instant),
    /// `None` is never.
    Shared(Arc<Mutex<Option<Instant>>>),
}

impl Deadline {
    /// The deadline of a request that was sent with this limit, and that is at least this old.
    pub(crate) fn of(limit: Option<Duration>, age: Duration, now: Instant) -> Self {
        let until = limit.and_then(|limit| now.checked_add(limit.saturating_sub(age)));
        until.map_or(Self::Never, Self::At)
    }

    pub(crate) fn until(&self) -> Option<Instant> {
        match self {
            Self::Never => None,
            Self::At(until) => Some(*until),
            Self::Shared(until) => *until.lock(),
        }
    }

    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.until().is_some_and(|until| until <= now)
    }

    /// The same deadline, that can be moved.
    pub(crate) fn shared(&self) -> Self {
        Self::Shared(Arc::new(Mutex::new(self.until())))
    }

    /// Somebody else waits for the same answer. Does nothing unless this one is shared.
    pub(crate) fn extend(&self, by: &Self) {
        if let Self::Shared(until) = self {
            let by = by.until();
            let mut until = until.lock();
            *until = until.and_then(|until| by.map(|by| by.max(until)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_age_of_a_copy_is_taken_off_its_limit() {
        let now = Instant::now();
        assert_eq!(
            Deadline::of(Some(3 * SECOND), SECOND, now).until(),
            Some(now + 2 * SECOND)
        );
        let late = Deadline::of(Some(SECOND), 2 * SECOND, now);
        assert!(late.is_over(now));
        assert!(!Deadline::of(None, SECOND, now).is_over(now + 1000 * SECOND));
    }

    #[test]
    fn a_limit_beyond_the_end_of_time_is_none() {
        let now = Instant::now();
        let deadline = Deadline::of(Some(Duration::from_millis(u64::MAX)), Duration::ZERO, now);
        assert!(!deadline.is_over(now + SECOND));
        assert!(!Deadline::of(Some(Duration::MAX), Duration::ZERO, now).is_over(now));
    }

    #[test]
    fn a_shared_deadline_is_the_latest_of_all_who_wait() {
        let now = Instant::now();
        let own = Deadline::At(now + 2 * SECOND);
        let shared = own.shared();
        shared.extend(&Deadline::At(now + SECOND));
        assert_eq!(shared.until(), Some(now + 2 * SECOND));
        shared.clone().extend(&Deadline::At(now + 3 * SECOND));
        assert_eq!(shared.until(), Some(now + 3 * SECOND));
        shared.extend(&Deadline::Never);
        assert_eq!(shared.until(), None);
        shared.extend(&own);
        assert_eq!((shared.until(), own.until()), (None, Some(now + 2 * SECOND)));
    }
}
