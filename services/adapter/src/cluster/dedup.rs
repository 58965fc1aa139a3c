//! Detection of duplicates: an envelope that is published again through another node may arrive twice, and the second
//! copy is dropped.
//!
//! Sequences are remembered per sender instance, down to the sender's *mark*: the oldest sequence that it may still
//! publish again. Copies below the mark (from a Redis that was suspended for a while) are dropped as well. An instance
//! is forgotten some minutes after its last beacon. State without I/O; the time is passed in.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::wire::Instance;

/// An instance that was silent for this long is forgotten, with all its sequences.
const REMEMBER: Duration = Duration::from_secs(600);

/// Whether an envelope was seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// No.
    First,
    /// Yes: this is another copy.
    Duplicate,
    /// Unknown, because it is below its sender's mark; it is too old in any case.
    Old,
}

#[derive(Debug)]
struct Sender {
    mark: u64,
    /// A bit for each sequence that was seen, in blocks of 64 by sequence / 64. Small both for a few scattered
    /// sequences and for all of them.
    seen: HashMap<u64, u64>,
    /// The number of blocks after the last cleaning. The next one is due when there are twice as many.
    cleaned: usize,
    last: Instant,
}

/// The sequences seen from every sender.
#[derive(Debug, Default)]
pub(crate) struct Dedup {
    senders: HashMap<Instance, Sender>,
}

impl Dedup {
    fn sender(&mut self, instance: Instance, now: Instant) -> &mut Sender {
        self.senders.entry(instance).or_insert_with(|| Sender {
            mark: 0,
            seen: HashMap::new(),
            cleaned: 0,
            last: now,
        })
    }

    /// Notes an envelope that arrived, and tells whether it was seen before.
    pub(crate) fn see(&mut self, instance: Instance, sequence: u64, now: Instant) -> Seen {
        let sender = self.sender(instance, now);
        if sequence < sender.mark {
            return Seen::Old;
        }
        let bits = sender.seen.entry(sequence / 64).or_insert(0);
        let bit = 1 << (sequence % 64);
        if *bits & bit != 0 {
            return Seen::Duplicate;
        }
        *bits |= bit;
        Seen::First
    }

    /// Takes the mark from a sender's beacon. Late beacons change nothing.
    pub(crate) fn on_mark(&mut self, instance: Instance, mark: u64, now: Instant) {
        let sender = self.sender(instance, now);
        sender.last = now;
        if mark > sender.mark {
            sender.mark = mark;
            if sender.seen.len() > sender.cleaned * 2 + 64 {
                sender.seen.retain(|block, _| *block >= mark / 64);
                sender.cleaned = sender.seen.len();
            }
        }
    }

    /// Drops whatever this sender sends: it is not of this cluster. Its messages count as old.
    pub(crate) fn shut_out(&mut self, instance: Instance, now: Instant) {
        self.on_mark(instance, u64::MAX, now);
    }

    /// Forgets senders that were silent for too long.
    pub(crate) fn sweep(&mut self, now: Instant) {
        self.senders
            .retain(|_, sender| now.saturating_duration_since(sender.last) <= REMEMBER);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    const ONE: Instance = Instance(1);

    #[test]
    fn a_second_copy_is_a_duplicate_and_the_same_sequence_of_another_sender_is_not() {
        let (mut dedup, now) = (Dedup::default(), Instant::now());
        assert_eq!(dedup.see(ONE, 7, now), Seen::First);
        assert_eq!(dedup.see(ONE, 7, now), Seen::Duplicate);
        assert_eq!(dedup.see(Instance(2), 7, now), Seen::First);
        assert_eq!(dedup.see(ONE, 6, now), Seen::First, "arrives later, but was not seen");
    }

    #[test]
    fn sequences_below_the_mark_are_old_and_a_late_beacon_does_not_lower_the_mark() {
        let (mut dedup, now) = (Dedup::default(), Instant::now());
        dedup.see(ONE, 7, now);
        dedup.on_mark(ONE, 100, now);
        dedup.on_mark(ONE, 5, now);
        assert_eq!(dedup.see(ONE, 7, now), Seen::Old);
        assert_eq!(dedup.see(ONE, 99, now), Seen::Old);
        assert_eq!(dedup.see(ONE, 100, now), Seen::First);
    }

    #[test]
    fn nothing_is_taken_from_a_sender_that_is_shut_out() {
        let (mut dedup, now) = (Dedup::default(), Instant::now());
        dedup.see(ONE, 7, now);
        dedup.shut_out(ONE, now);
        dedup.on_mark(ONE, 5, now);
        for sequence in [0, 8, 1 << 60] {
            assert_eq!(dedup.see(ONE, sequence, now), Seen::Old);
        }
    }

    #[test]
    fn memory_is_bounded_by_the_sequences_above_the_mark() {
        let (mut dedup, now) = (Dedup::default(), Instant::now());
        for sequence in 0..200_000u64 {
            assert_eq!(dedup.see(ONE, sequence, now), Seen::First);
            if sequence % 1000 == 0 {
                dedup.on_mark(ONE, sequence.saturating_sub(5000), now);
            }
        }
        assert!(
            dedup.senders[&ONE].seen.len() < 400,
            "{}",
            dedup.senders[&ONE].seen.len()
        );
    }

    #[test]
    fn a_sender_is_forgotten_ten_minutes_after_its_last_beacon() {
        let (mut dedup, now) = (Dedup::default(), Instant::now());
        dedup.see(ONE, 7, now);
        dedup.on_mark(ONE, 1, now + Duration::from_secs(300));
        dedup.sweep(now + Duration::from_secs(899));
        assert_eq!(dedup.see(ONE, 7, now), Seen::Duplicate);
        dedup.sweep(now + Duration::from_secs(901));
        assert!(dedup.senders.is_empty());
    }

    proptest! {
        /// Compared with a plain set: at or above the mark, each envelope is first exactly once.
        #[test]
        fn every_envelope_is_first_once(steps in proptest::collection::vec((0..3u64, 0..500u64, any::<bool>()), 1..400)) {
            let (mut dedup, now) = (Dedup::default(), Instant::now());
            let (mut seen, mut marks) = (HashSet::new(), [0; 3]);
            for (sender, number, is_mark) in steps {
                if is_mark {
                    dedup.on_mark(Instance(sender), number, now);
                    marks[sender as usize] = number.max(marks[sender as usize]);
                    continue;
                }
                let expected = if number < marks[sender as usize] {
                    Seen::Old
                } else if seen.insert((sender, number)) {
                    Seen::First
                } else {
                    Seen::Duplicate
                };
                prop_assert_eq!(dedup.see(Instance(sender), number, now), expected);
            }
        }
    }
}
