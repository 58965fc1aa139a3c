//! When the frames in the outbox of a watched connection were queued. Other connections have none of these.
//!
//! An outbox is looked at once per turn, so a time is that of the end of the turn in which a frame was queued.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// One time for each frame that waits, in order.
#[derive(Debug, Default)]
pub(super) struct QueueTimes(VecDeque<Instant>);

impl QueueTimes {
    /// So many frames wait now. Those that are new were queued now.
    pub(super) fn note(&mut self, waiting: usize, now: Instant) {
        if self.0.len() > waiting {
            // The outbox was emptied, and nothing that waited before is left.
            self.0.clear();
        }
        self.0.resize(waiting, now);
    }

    /// How long the oldest frame has waited, which is taken out now.
    pub(super) fn taken(&mut self, now: Instant) -> Duration {
        let queued = self.0.pop_front();
        queued.map_or(Duration::ZERO, |queued| now.saturating_duration_since(queued))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn each_frame_has_waited_since_it_was_first_seen_in_the_queue() {
        let (mut times, start) = (QueueTimes::default(), Instant::now());
        times.note(1, start);
        times.note(3, start + SECOND);
        let now = start + 3 * SECOND;
        assert_eq!(times.taken(now), 3 * SECOND);
        assert_eq!(times.taken(now), 2 * SECOND);
        times.note(1, now);
        assert_eq!(times.taken(now), 2 * SECOND);
        assert_eq!(times.taken(now), Duration::ZERO, "of a frame that nobody saw waiting");
    }

    #[test]
    fn after_the_queue_was_emptied_nothing_has_waited() {
        let (mut times, start) = (QueueTimes::default(), Instant::now());
        times.note(5, start);
        times.note(2, start + SECOND);
        assert_eq!(times.taken(start + SECOND), Duration::ZERO);
    }
}
