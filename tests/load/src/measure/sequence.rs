//! Checks that one receiver got every message of one publisher, once, in order.

use std::ops::Range;

/// The kind of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// The next one, or one after a gap.
    New,
    /// A message that was missing: it is out of order.
    Late,
    /// A message that arrived before.
    Doubled,
}

/// The sequence numbers that one receiver has seen of one publisher. Costs one comparison while nothing is wrong.
#[derive(Debug, Clone)]
pub struct Sequence {
    next: u64,
    missing: Vec<Range<u64>>,
    /// Nothing was seen yet, and messages before the first one do not count.
    open: bool,
}

impl Sequence {
    /// Every message from 0 on is expected.
    #[must_use]
    pub fn from_start() -> Self {
        Self {
            next: 0,
            missing: Vec::new(),
            open: false,
        }
    }

    /// Every message from the first one seen is expected: for receivers that come while messages flow.
    #[must_use]
    pub fn from_first_seen() -> Self {
        Self {
            open: true,
            ..Self::from_start()
        }
    }

    /// Notes a message.
    #[inline]
    pub fn see(&mut self, sequence: u64) -> Seen {
        if sequence == self.next {
            self.next += 1;
            self.open = false;
            return Seen::New;
        }
        self.see_unusual(sequence)
    }

    #[cold]
    fn see_unusual(&mut self, sequence: u64) -> Seen {
        if self.open {
            self.open = false;
            self.next = sequence + 1;
            return Seen::New;
        }
        if sequence > self.next {
            self.missing.push(self.next..sequence);
            self.next = sequence + 1;
            return Seen::New;
        }
        let Some(index) = self.missing.iter().position(|gap| gap.contains(&sequence)) else {
            return Seen::Doubled;
        };
        let gap = self.missing.swap_remove(index);
        let rest = [gap.start..sequence, sequence + 1..gap.end];
        self.missing.extend(rest.into_iter().filter(|part| !part.is_empty()));
        Seen::Late
    }

    /// How many messages did not arrive, if the publisher sent this many.
    #[must_use]
    pub fn lost_of(&self, sent: u64) -> u64 {
        if self.open {
            0
        } else {
            self.gaps() + sent.saturating_sub(self.next)
        }
    }

    /// How many messages between the first and the last one seen did not arrive.
    #[must_use]
    pub fn gaps(&self) -> u64 {
        self.missing.iter().map(|gap| gap.end - gap.start).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(sequence: &mut Sequence, numbers: &[u64]) -> Vec<Seen> {
        numbers.iter().map(|&number| sequence.see(number)).collect()
    }

    #[test]
    fn everything_in_order_is_new_and_nothing_is_lost() {
        let mut sequence = Sequence::from_start();
        assert_eq!(seen(&mut sequence, &[0, 1, 2]), [Seen::New; 3]);
        assert_eq!(sequence.lost_of(3), 0);
    }

    #[test]
    fn gaps_and_the_missing_end_are_lost() {
        let mut sequence = Sequence::from_start();
        seen(&mut sequence, &[2, 3, 6]);
        assert_eq!(sequence.gaps(), 4);
        assert_eq!(sequence.lost_of(9), 6);
        assert_eq!(Sequence::from_start().lost_of(5), 5);
    }

    #[test]
    fn a_message_that_fills_a_gap_is_late_and_once_more_it_is_doubled() {
        let mut sequence = Sequence::from_start();
        assert_eq!(
            seen(&mut sequence, &[0, 4, 2, 2, 1, 3, 3, 0]),
            [
                Seen::New,
                Seen::New,
                Seen::Late,
                Seen::Doubled,
                Seen::Late,
                Seen::Late,
                Seen::Doubled,
                Seen::Doubled
            ]
        );
        assert_eq!(sequence.lost_of(5), 0);
    }

    #[test]
    fn a_receiver_that_comes_later_lost_nothing_sent_before() {
        let mut sequence = Sequence::from_first_seen();
        assert_eq!(sequence.lost_of(100), 0);
        assert_eq!(seen(&mut sequence, &[50, 51, 53]), [Seen::New; 3]);
        assert_eq!(sequence.gaps(), 1);
    }
}
