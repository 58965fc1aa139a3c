//! The largest message that may be published: limited by the setting, and by what every node can buffer for a
//! subscriber.
//!
//! Redis ends the connection of a subscriber whose buffer exceeds `client-output-buffer-limit pubsub`. A larger message
//! would reach no subscriber and would cost each its connection, on every node that it is tried on. State without I/O.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::select::MAX_NODES;

/// The largest message that may be published at the moment.
#[derive(Debug)]
pub(crate) struct Largest {
    setting: usize,
    /// How many bytes each node buffers for a subscriber; `usize::MAX` if unknown or unlimited.
    holds: Mutex<[usize; MAX_NODES]>,
    now: AtomicUsize,
}

impl Largest {
    /// At most `setting` bytes, whatever the nodes buffer.
    pub(crate) fn new(setting: usize) -> Self {
        Self {
            setting,
            holds: Mutex::new([usize::MAX; MAX_NODES]),
            now: AtomicUsize::new(setting),
        }
    }

    /// The most bytes of one message, including its channel's name.
    pub(crate) fn now(&self) -> usize {
        self.now.load(Ordering::Relaxed)
    }

    /// Notes how many bytes a node buffers for a subscriber, if it says so. A message may have half of that, because it
    /// may not be the only one that waits. `true` if this lowers the limit.
    pub(crate) fn note(&self, node: usize, holds: Option<usize>) -> bool {
        // Several nodes may connect at the same time; under the lock, the last one sees all values.
        let mut nodes = self.holds.lock();
        let before = self.now();
        nodes[node] = holds.unwrap_or(usize::MAX);
        let least = nodes.iter().min().map_or(usize::MAX, |holds| holds / 2);
        let now = least.min(self.setting);
        self.now.store(now, Ordering::Relaxed);
        now < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_may_have_half_of_the_smallest_buffer_but_no_more_than_the_setting() {
        let largest = Largest::new(1000);
        assert!(!largest.note(0, Some(32_000)));
        assert_eq!(largest.now(), 1000);
        assert!(largest.note(1, Some(800)) && !largest.note(2, Some(900)));
        assert_eq!(largest.now(), 400);
        assert!(!largest.note(1, None), "it is gone, or does not say");
        assert_eq!(largest.now(), 450);
    }
}
