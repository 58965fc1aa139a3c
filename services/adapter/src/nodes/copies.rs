//! The queue of copies: messages to be published again. State without I/O.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use super::replay::Kept;
use crate::wire::ServerName;

/// Messages that wait to be published again, in order, each once per receiver.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    queue: Mutex<Queue>,
    pub(crate) waiting: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    copies: VecDeque<Kept>,
    bytes: usize,
    /// How far back the window was incomplete when a node was lost.
    truncated: Option<Duration>,
    /// The sequences that wait, each with its receiver.
    known: HashSet<(u64, Option<ServerName>)>,
}

impl Copies {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock()
    }

    /// Adds copies, except those that wait already. Returns how many were added.
    pub(crate) fn extend(&self, copies: impl IntoIterator<Item = Kept>) -> usize {
        let mut queue = self.lock();
        let before = queue.copies.len();
        for copy in copies {
            if queue.known.insert((copy.sequence, copy.server.clone())) {
                queue.bytes += copy.bytes.len();
                queue.copies.push_back(Kept { is_copy: true, ..copy });
            }
        }
        let added = queue.copies.len() - before;
        drop(queue);
        if added > 0 {
            self.waiting.notify_one();
        }
        added
    }

    /// A node was lost, and the window no longer held everything that went through it.
    pub(crate) fn note_truncated(&self, missing: Duration) {
        self.lock().truncated = Some(missing);
        self.waiting.notify_one();
    }

    /// How far back a window was incomplete, if it was since the last call.
    pub(crate) fn take_truncated(&self) -> Option<Duration> {
        self.lock().truncated.take()
    }

    /// Takes at most `most` copies with at most `bytes` bytes in all, but at least one, oldest first.
    pub(crate) fn take(&self, most: usize, bytes: usize) -> Vec<Kept> {
        let mut queue = self.lock();
        let (mut taken, mut sum) = (Vec::new(), 0);
        while taken.len() < most
            && let Some(copy) = queue
                .copies
                .pop_front_if(|copy| sum == 0 || sum + copy.bytes.len() <= bytes)
        {
            sum += copy.bytes.len();
            queue.bytes -= copy.bytes.len();
            queue.known.remove(&(copy.sequence, copy.server.clone()));
            taken.push(copy);
        }
        taken
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().copies.len()
    }

    /// The bytes of the waiting messages. Copies of one message share their bytes, but each counts.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[test]
    fn a_copy_waits_once_per_receiver() {
        let (copies, now) = (Copies::default(), Instant::now());
        let to = |server: Option<&str>, sequence| Kept {
            server: server.map(|name| ServerName::new(name).expect("valid")),
            ..Kept::sample(sequence, "c", now)
        };
        assert_eq!(
            copies.extend([to(None, 1), to(None, 1), to(Some("a"), 1), to(Some("b"), 1)]),
            3
        );
        assert_eq!(copies.take(2, 1000).len(), 2);
        assert_eq!(copies.extend([to(None, 1)]), 1, "it was taken out");
        assert_eq!((copies.len(), copies.bytes()), (2, 200));
        assert_eq!(copies.take(9, 150).len(), 1, "each has 100 bytes");
        assert_eq!(copies.take(9, 1).len(), 1, "at least one");
    }
}
