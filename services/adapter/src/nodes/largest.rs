//! The largest message that may be published: what the settings allow, and what every node can hold for a subscriber.
//!
//! Redis ends the connection of a subscriber for whom more waits than it holds (client-output-buffer-limit pubsub). A message
//! beyond that reaches nobody, and costs every subscriber its connection, on every node that it is tried on. State without I/O.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::select::MAX_NODES;

/// The largest message that may be published now.
#[derive(Debug)]
pub(crate) struct Largest {
    setting: usize,
    /// What each node holds for a subscriber; `usize::MAX` if that is unknown or without limit.
    holds: Mutex<[usize; MAX_NODES]>,
    now: AtomicUsize,
}

impl Largest {
    /// At most so many bytes, whatever nodes hold.
    pub(crate) fn new(setting: usize) -> Self {
        Self {
            setting,
            holds: Mutex::new([usize::MAX; MAX_NODES]),
            now: AtomicUsize::new(setting),
        }
    }

    /// Most bytes of one message, its channel's name included.
    pub(crate) fn now(&self) -> usize {
        self.now.load(Ordering::Relaxed)
    }

    /// A node says how many bytes it holds for a subscriber, or does not say it. A message may have half of that, as it is not
    /// the only one that waits. Whether this node allows less than all others did before.
    pub(crate) fn note(&self, node: usize, holds: Option<usize>) -> bool {
        // Nodes are connected to at the same time: the last one to write must have seen all.
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
    fn a_message_may_have_half_of_what_the_least_node_holds_and_no_more_than_the_setting() {
        let largest = Largest::new(1000);
        assert!(!largest.note(0, Some(32_000)));
        assert_eq!(largest.now(), 1000);
        assert!(largest.note(1, Some(800)) && !largest.note(2, Some(900)));
        assert_eq!(largest.now(), 400);
        assert!(!largest.note(1, None), "it is no more, or does not say");
        assert_eq!(largest.now(), 450);
    }
}
