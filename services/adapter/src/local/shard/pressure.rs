//! How much memory the outboxes of a shard hold, and which connections must go if that is too much.
//!
//! The sum over all outboxes is kept up to date at the end of each turn. It counts a frame for every connection that waits for it,
//! though all of them share it. What the outboxes really hold is counted only when somebody asks, because that looks at each frame.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::{ConnectionId, Shard};
use crate::local::outbox::Outbox;
use crate::wire::Frame;

/// The memory of frames, each counted once.
#[derive(Debug, Default)]
struct Held {
    /// How many outboxes have a frame, by the place of its bytes.
    shares: HashMap<*const u8, usize>,
    bytes: usize,
}

impl Held {
    fn add(&mut self, outbox: &Outbox) {
        for frame in outbox.frames() {
            let shares = self.shares.entry(frame.bytes().as_ptr()).or_default();
            *shares += 1;
            self.bytes += size_of::<Frame>() + if *shares == 1 { frame.len() } else { 0 };
        }
    }

    fn remove(&mut self, outbox: &Outbox) {
        for frame in outbox.frames() {
            self.bytes -= size_of::<Frame>();
            if let Some(shares) = self.shares.get_mut(&frame.bytes().as_ptr()) {
                *shares -= 1;
                if *shares == 0 {
                    self.bytes -= frame.len();
                }
            }
        }
    }
}

impl<S> Shard<S> {
    /// The bytes that waited in all outboxes when the last turn ended; a frame counts for each connection that waits for it.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// The connections to close so that the outboxes hold at most this many bytes, and what they hold now: those with most in
    /// their outboxes, which are the slowest ones. Looks at every frame that waits.
    pub fn slowest_beyond(&self, most: usize) -> (Vec<ConnectionId>, usize) {
        let mut waiting: Vec<_> = self
            .entries
            .iter()
            .filter(|(_, entry)| !entry.outbox.is_empty())
            .collect();
        let mut held = Held::default();
        waiting.iter().for_each(|(_, entry)| held.add(&entry.outbox));
        let now = held.bytes;
        if now <= most {
            return (Vec::new(), now);
        }
        waiting.sort_unstable_by_key(|(_, entry)| Reverse(entry.outbox.weight()));
        let mut slowest = Vec::new();
        for (_, entry) in waiting {
            if held.bytes <= most {
                break;
            }
            held.remove(&entry.outbox);
            slowest.push(entry.connection);
        }
        (slowest, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::outbox::OutboxLimits;
    use crate::wire::ClientId;

    const ONE: usize = 1000 + size_of::<Frame>();

    fn shard(connections: u64) -> Shard<()> {
        let mut shard = Shard::new(OutboxLimits::default());
        for connection in 1..=connections {
            let client = ClientId::new(format!("c{connection}")).expect("valid");
            shard.insert(ConnectionId(connection), client, ());
        }
        shard
    }

    fn frame() -> Frame {
        Frame::new("x".repeat(1000))
    }

    /// A turn in which no socket takes anything.
    fn turn(shard: &mut Shard<()>) {
        shard.drain_dirty(|_, (), _| {});
    }

    #[test]
    fn what_waits_is_counted_at_the_end_of_each_turn_and_leaves_with_its_connection() {
        let mut shard = shard(2);
        shard.push(ConnectionId(1), frame());
        shard.push(ConnectionId(2), frame());
        turn(&mut shard);
        assert_eq!(shard.waiting(), 2 * ONE);
        shard.push(ConnectionId(2), frame());
        shard.drain_dirty(|_, (), outbox| drop(outbox.pop()));
        assert_eq!(shard.waiting(), 2 * ONE, "one was added and one was written");
        shard.remove(ConnectionId(2));
        assert_eq!(shard.waiting(), ONE);
        shard.mark_dirty(ConnectionId(1));
        shard.drain_dirty(|_, (), outbox| outbox.clear());
        assert_eq!(shard.waiting(), 0);
    }

    #[test]
    fn the_connections_with_most_in_their_outboxes_go_first_and_no_more_than_needed() {
        let mut shard = shard(4);
        for connection in 1..=4 {
            (0..connection).for_each(|_| shard.push(ConnectionId(connection), frame()));
        }
        turn(&mut shard);
        assert_eq!(shard.slowest_beyond(10 * ONE), (vec![], 10 * ONE));
        assert_eq!(shard.slowest_beyond(6 * ONE), (vec![ConnectionId(4)], 10 * ONE));
        assert_eq!(shard.slowest_beyond(5 * ONE).0, [ConnectionId(4), ConnectionId(3)]);
    }

    #[test]
    fn a_frame_that_many_wait_for_is_held_once() {
        let (mut shard, shared) = (shard(100), frame());
        for connection in 1..=100 {
            shard.push(ConnectionId(connection), shared.clone());
        }
        turn(&mut shard);
        assert_eq!(shard.waiting(), 100 * ONE);
        let held = 1000 + 100 * size_of::<Frame>();
        assert_eq!(shard.slowest_beyond(held), (vec![], held));
        // Only the last one that goes frees the frame.
        assert_eq!(shard.slowest_beyond(size_of::<Frame>()).0.len(), 100);
    }
}
