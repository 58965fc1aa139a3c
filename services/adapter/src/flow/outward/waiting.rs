//! Messages that no node takes for now, in the order of publishing. Bounded in bytes: a message for which there is no room is
//! rejected. While the queue is closed every message waits, even if a node would take it. State without I/O; time is handed in.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::error::PublishError;
use crate::nodes::Kept;

/// Where the result of a message goes. The message is no longer wanted when the other end is dropped.
pub(crate) type ResultSender = oneshot::Sender<Result<u64, PublishError>>;

/// A message that waits.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) message: Kept,
    /// None: it was accepted already.
    pub(crate) result: Option<ResultSender>,
}

impl Held {
    fn is_wanted(&self) -> bool {
        self.result.as_ref().is_none_or(|result| !result.is_closed())
    }
}

#[derive(Debug, Default)]
struct Queue {
    held: VecDeque<Held>,
    /// Of all that count.
    bytes: usize,
    /// Since when nothing may go out.
    closed: Option<Instant>,
}

/// The messages that wait for a node.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// How many wait, with those that are being handed over.
    count: AtomicUsize,
    /// The same, and one more while the queue is closed: new messages come here unless this is 0.
    gate: AtomicUsize,
    queue: Mutex<Queue>,
    limit: usize,
    /// Woken when a message comes, when it was closed, and when it may be time to open.
    pub(crate) arrived: Notify,
    /// Woken when it opens.
    pub(crate) opened: Notify,
    /// Woken when none waits any more.
    pub(crate) emptied: Notify,
}

impl Waiting {
    /// A queue of at most this many bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            count: AtomicUsize::new(0),
            gate: AtomicUsize::new(0),
            queue: Mutex::default(),
            limit,
            arrived: Notify::new(),
            opened: Notify::new(),
            emptied: Notify::new(),
        }
    }

    /// Whether new messages must wait here: behind others, or because the queue is closed.
    pub(crate) fn is_next(&self) -> bool {
        self.gate.load(Ordering::Acquire) > 0
    }

    /// Lets nothing go out from now on.
    pub(crate) fn close(&self, now: Instant) {
        let mut queue = self.queue.lock();
        if queue.closed.is_none() {
            queue.closed = Some(now);
            self.gate.fetch_add(1, Ordering::AcqRel);
            self.arrived.notify_one();
        }
    }

    /// Lets messages go out again.
    pub(crate) fn open(&self) {
        if self.queue.lock().closed.take().is_some() {
            self.gate.fetch_sub(1, Ordering::AcqRel);
            self.opened.notify_waiters();
        }
    }

    /// Since when it is closed; none while it is open.
    pub(crate) fn closed_since(&self) -> Option<Instant> {
        self.queue.lock().closed
    }

    /// How many messages wait.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Adds a message in its place; `false` if there is no room.
    pub(crate) fn push(&self, message: Kept, result: Option<ResultSender>) -> bool {
        let mut queue = self.queue.lock();
        let bytes = queue.bytes + message.cost();
        if bytes > self.limit {
            return false;
        }
        queue.bytes = bytes;
        queue.insert(Held {
            message: Kept {
                waited: true,
                ..message
            },
            result,
        });
        self.count.fetch_add(1, Ordering::AcqRel);
        self.gate.fetch_add(1, Ordering::AcqRel);
        drop(queue);
        self.arrived.notify_one();
        true
    }

    /// Takes the oldest messages: at least one, at most `most`, and at most this many bytes. They count until they are
    /// [`done`](Self::done). Messages that nobody waits for any more are left out.
    pub(crate) fn take(&self, most: usize, bytes: usize) -> Vec<Held> {
        let mut queue = self.queue.lock();
        let (mut taken, mut sum) = (Vec::new(), 0);
        while taken.len() < most
            && let Some(held) = queue
                .held
                .pop_front_if(|held| sum == 0 || sum + held.message.bytes.len() <= bytes)
        {
            if held.is_wanted() {
                sum += held.message.bytes.len();
                taken.push(held);
            } else {
                self.settle(&mut queue, &held.message);
            }
        }
        taken
    }

    /// Takes the messages that are older than `age`, and no longer counts them.
    pub(crate) fn take_older(&self, age: Duration, now: Instant) -> Vec<Held> {
        let mut queue = self.queue.lock();
        let mut taken = Vec::new();
        while let Some(held) = queue
            .held
            .pop_front_if(|held| now.saturating_duration_since(held.message.at) > age)
        {
            self.settle(&mut queue, &held.message);
            taken.push(held);
        }
        taken
    }

    /// A message that was taken waits no longer.
    pub(crate) fn done(&self, message: &Kept) {
        self.settle(&mut self.queue.lock(), message);
    }

    /// A message that was taken waits again, in its place.
    pub(crate) fn put_back(&self, held: Held) {
        self.queue.lock().insert(held);
    }

    fn settle(&self, queue: &mut Queue, message: &Kept) {
        queue.bytes = queue.bytes.saturating_sub(message.cost());
        self.gate.fetch_sub(1, Ordering::AcqRel);
        if self.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.emptied.notify_waiters();
        }
    }
}

impl Queue {
    /// Messages come nearly in order: those that were under way when the last node was lost come a little late.
    fn insert(&mut self, held: Held) {
        let sequence = held.message.sequence;
        let place = self.held.partition_point(|other| other.message.sequence < sequence);
        self.held.insert(place, held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(sequence: u64, at: Instant) -> Kept {
        Kept::sample(sequence, "c", at)
    }

    fn sequences(held: &[Held]) -> Vec<u64> {
        held.iter().map(|held| held.message.sequence).collect()
    }

    #[test]
    fn messages_wait_in_the_order_of_publishing_even_if_they_come_in_another() {
        let (waiting, now) = (Waiting::new(1 << 20), Instant::now());
        for sequence in [2, 4, 1, 3] {
            assert!(waiting.push(message(sequence, now), None));
        }
        let mut taken = waiting.take(3, 1 << 20);
        assert_eq!((sequences(&taken), waiting.len()), (vec![1, 2, 3], 4));
        waiting.put_back(taken.pop().expect("the third"));
        taken.iter().for_each(|held| waiting.done(&held.message));
        assert_eq!(
            (sequences(&waiting.take(9, 1)), waiting.len()),
            (vec![3], 2),
            "one at least"
        );
    }

    #[test]
    fn new_messages_wait_while_the_queue_is_closed_or_not_empty() {
        let (waiting, now) = (Waiting::new(1 << 20), Instant::now());
        assert!(!waiting.is_next());
        waiting.close(now);
        waiting.close(now + Duration::from_secs(1));
        assert_eq!((waiting.is_next(), waiting.closed_since()), (true, Some(now)));
        assert!(waiting.push(message(1, now), None));
        waiting.open();
        waiting.open();
        assert_eq!((waiting.is_next(), waiting.closed_since()), (true, None));
        waiting.done(&waiting.take(1, 1)[0].message);
        assert!(!waiting.is_next());
    }

    #[test]
    fn a_full_queue_refuses_and_has_room_again_when_messages_are_done() {
        let now = Instant::now();
        let waiting = Waiting::new(2 * message(1, now).cost());
        assert!(waiting.push(message(1, now), None) && waiting.push(message(2, now), None));
        assert!(!waiting.push(message(3, now), None));
        let taken = waiting.take(1, 1000);
        assert!(!waiting.push(message(3, now), None), "it counts until it is done");
        waiting.done(&taken[0].message);
        assert!(waiting.push(message(3, now), None));
    }

    #[test]
    fn unwanted_and_old_messages_leave() {
        let (waiting, now) = (Waiting::new(1 << 20), Instant::now());
        let (result, answer) = oneshot::channel();
        assert!(waiting.push(message(1, now), None) && waiting.push(message(2, now), Some(result)));
        let later = now + Duration::from_secs(7);
        assert!(waiting.push(message(3, later), None));
        assert_eq!(sequences(&waiting.take_older(Duration::from_secs(6), later)), [1, 2]);
        let (result, unwanted) = oneshot::channel();
        assert!(waiting.push(message(4, later), Some(result)));
        drop((answer, unwanted));
        assert_eq!((sequences(&waiting.take(9, 1 << 20)), waiting.len()), (vec![3], 1));
    }
}
