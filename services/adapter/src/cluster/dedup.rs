//! Duplicates: an envelope that was published again through another node arrives twice; the second is dropped.
//!
//! What was seen is remembered per sender instance, in two generations: at least one rotation period, at most two.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::wire::Instance;

/// How long an envelope is remembered at least: far longer than any retry takes.
const PERIOD: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Dedup {
    current: HashMap<Instance, HashSet<u64>>,
    previous: HashMap<Instance, HashSet<u64>>,
    rotated: Instant,
}

impl Dedup {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            current: HashMap::new(),
            previous: HashMap::new(),
            rotated: now,
        }
    }

    /// Whether this envelope is new. Notes it.
    pub(crate) fn first(&mut self, sender: Instance, sequence: u64, now: Instant) -> bool {
        if now.saturating_duration_since(self.rotated) > PERIOD {
            self.previous = std::mem::take(&mut self.current);
            self.rotated = now;
        }
        let before = self.previous.get(&sender).is_some_and(|seen| seen.contains(&sequence));
        !before && self.current.entry(sender).or_default().insert(sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_copy_is_told_from_the_first_for_at_least_a_period() {
        let now = Instant::now();
        let mut dedup = Dedup::new(now);
        assert!(dedup.first(Instance(1), 7, now));
        assert!(!dedup.first(Instance(1), 7, now));
        assert!(dedup.first(Instance(2), 7, now), "another sender");
        assert!(dedup.first(Instance(1), 6, now), "a gap is no duplicate");
        assert!(
            !dedup.first(Instance(1), 7, now + PERIOD + Duration::from_secs(1)),
            "one rotation later"
        );
    }

    #[test]
    fn memory_of_it_ends_after_two_periods() {
        let now = Instant::now();
        let mut dedup = Dedup::new(now);
        dedup.first(Instance(1), 7, now);
        for turn in 1..=3 {
            dedup.first(
                Instance(1),
                100 + u64::from(turn),
                now + (PERIOD + Duration::from_secs(1)) * turn,
            );
        }
        assert!(!dedup.previous.get(&Instance(1)).is_some_and(|seen| seen.contains(&7)));
    }
}
