//! What all threads know about one publisher: how much it sent, and which of its messages every receiver has.

use std::sync::atomic::{AtomicU64, Ordering};

/// A publisher, shared by the threads of publishers and receivers.
#[derive(Debug)]
pub struct Flow {
    sent: AtomicU64,
    done: AtomicU64,
    receivers: u64,
    /// Per message under way: the lower half of its sequence number, and how many have it.
    under_way: Box<[AtomicU64]>,
}

impl Flow {
    /// A publisher whose messages go to this many receivers each. With a window, it counts which messages all receivers have.
    #[must_use]
    pub fn new(receivers: u64, window: Option<u64>) -> Self {
        // Twice the number that can be under way, so that a message that was given up does not share a slot with a new one.
        let places = window.map_or(0, |window| (window as usize * 2).next_power_of_two());
        Self {
            sent: AtomicU64::new(0),
            done: AtomicU64::new(0),
            receivers,
            under_way: std::iter::repeat_with(|| AtomicU64::new(u64::MAX))
                .take(places)
                .collect(),
        }
    }

    /// How many messages it sent.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Acquire)
    }

    /// How many deliveries that makes.
    #[must_use]
    pub fn expected(&self) -> u64 {
        self.sent() * self.receivers
    }

    /// How many messages all receivers have.
    #[inline]
    #[must_use]
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Acquire)
    }

    /// The publisher is about to send this message.
    pub fn send(&self, sequence: u64) {
        if let Some(place) = self.place(sequence) {
            place.store(sequence << 32, Ordering::Release);
        }
        self.sent.store(sequence + 1, Ordering::Release);
    }

    /// One more receiver has this message; `true` if it was the last one.
    #[inline]
    pub fn deliver(&self, sequence: u64) -> bool {
        let Some(place) = self.place(sequence) else {
            return false;
        };
        if place.load(Ordering::Acquire) >> 32 != sequence & 0xFFFF_FFFF {
            // It was given up before.
            return false;
        }
        let having = (place.fetch_add(1, Ordering::AcqRel) & 0xFFFF_FFFF) + 1;
        if having == self.receivers {
            self.done.fetch_add(1, Ordering::AcqRel);
        }
        having == self.receivers
    }

    #[inline]
    fn place(&self, sequence: u64) -> Option<&AtomicU64> {
        let mask = self.under_way.len().checked_sub(1)?;
        self.under_way.get(sequence as usize & mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_done_when_all_receivers_have_it() {
        let flow = Flow::new(2, Some(4));
        (0..3).for_each(|sequence| flow.send(sequence));
        assert!(!flow.deliver(1) && !flow.deliver(0));
        assert!(flow.deliver(1));
        assert_eq!((flow.done(), flow.sent(), flow.expected()), (1, 3, 6));
    }

    #[test]
    fn a_message_that_was_given_up_does_not_count_for_the_next_one_in_its_slot() {
        let flow = Flow::new(1, Some(1));
        flow.send(0);
        flow.send(2);
        assert!(!flow.deliver(0));
        assert!(flow.deliver(2));
    }

    #[test]
    fn without_a_window_only_what_was_sent_is_counted() {
        let flow = Flow::new(3, None);
        flow.send(0);
        assert!(!flow.deliver(0));
        assert_eq!((flow.done(), flow.expected()), (0, 3));
    }
}
