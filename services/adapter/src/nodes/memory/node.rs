//! One node of the embedded bus: its subscribers, the messages that wait for them, and the calls held during a pause.
//! State only.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;

use super::Fault;
use crate::nodes::link::{Arrival, Channel};
use crate::wire::{NodeId, RunId};

/// The most bytes that wait for one subscriber before its connection ends, or inside a paused node. Redis's default
/// limit for subscribers (client-output-buffer-limit pubsub).
pub(super) const BUFFER: usize = 32 * 1024 * 1024;
/// The memory of a waiting message in addition to its bytes.
const OVERHEAD: usize = 64;

pub(super) struct MemoryNode {
    pub(super) id: NodeId,
    /// The beginning of its run ids.
    mark: u64,
    /// Changes only under the lock of `state`.
    pub(super) fault: watch::Sender<Fault>,
    state: Mutex<State>,
}

/// The state of a node.
#[derive(Default)]
pub(super) struct State {
    /// How often the node died. Connections of an earlier life have ended.
    pub(super) life: u64,
    pub(super) delay: Duration,
    subscribers: u64,
    queues: HashMap<u64, Queue>,
    channels: HashMap<Bytes, HashSet<u64>>,
    /// Calls that arrived while the node was paused.
    held: VecDeque<Held>,
    held_bytes: usize,
}

/// One subscriber, and what waits for it.
#[derive(Default)]
struct Queue {
    channels: HashSet<Bytes>,
    arrivals: VecDeque<(Instant, Arrival)>,
    bytes: usize,
    wake: Arc<Notify>,
}

/// The result of checking for arrivals: some, or when the next one is due.
pub(super) enum Found {
    Arrivals(Vec<Arrival>),
    Later(Option<Instant>),
}

/// A call to a paused node.
pub(super) enum Held {
    Publish(Channel, Bytes, oneshot::Sender<u64>),
    Subscribe(u64, Vec<Channel>),
    Unsubscribe(u64, Vec<Channel>),
}

fn cost(arrival: &Arrival) -> usize {
    match arrival {
        Arrival::Message { channel, payload } => channel.len() + payload.len() + OVERHEAD,
        // Their number is bounded by the subscriber's own calls.
        Arrival::Confirmed | Arrival::Rejected => 0,
    }
}

impl State {
    /// Adds a subscriber; returns its number and what wakes it.
    pub(super) fn attach(&mut self) -> (u64, Arc<Notify>) {
        self.subscribers += 1;
        let queue = Queue::default();
        let wake = queue.wake.clone();
        self.queues.insert(self.subscribers, queue);
        (self.subscribers, wake)
    }

    /// How many subscribers there are.
    pub(super) fn subscriber_count(&self) -> usize {
        self.queues.len()
    }

    /// How many channels have a subscriber.
    pub(super) fn channel_count(&self) -> usize {
        self.channels.len()
    }

    /// The bytes that wait for a subscriber, if it is attached.
    pub(super) fn waiting_for(&self, subscriber: u64) -> Option<usize> {
        self.queues.get(&subscriber).map(|queue| queue.bytes)
    }

    pub(super) fn is_attached(&self, subscriber: u64) -> bool {
        self.queues.contains_key(&subscriber)
    }

    /// At most `most` arrivals for a subscriber, or when the next one is due. `None` if the subscriber was
    /// disconnected.
    pub(super) fn take(&mut self, subscriber: u64, most: usize) -> Option<Found> {
        let queue = self.queues.get_mut(&subscriber)?;
        let now = Instant::now();
        let due = queue.arrivals.iter().take(most).take_while(|(due, _)| *due <= now);
        let due = due.count();
        if due == 0 {
            return Some(Found::Later(queue.arrivals.front().map(|(due, _)| *due)));
        }
        let arrivals: Vec<Arrival> = queue.arrivals.drain(..due).map(|(_, arrival)| arrival).collect();
        queue.bytes -= arrivals.iter().map(cost).sum::<usize>();
        Some(Found::Arrivals(arrivals))
    }

    /// Holds a call during a pause; `false` if too much is held already.
    pub(super) fn hold(&mut self, held: Held) -> bool {
        if let Held::Publish(_, payload, _) = &held {
            let bytes = self.held_bytes + payload.len() + OVERHEAD;
            if bytes > BUFFER {
                return false;
            }
            self.held_bytes = bytes;
        }
        self.held.push_back(held);
        true
    }

    /// Queues an arrival for a subscriber; `false` if the subscriber is gone, or is disconnected because too much
    /// waits.
    fn push(&mut self, subscriber: u64, arrival: Arrival) -> bool {
        let due = Instant::now() + self.delay;
        let Some(queue) = self.queues.get_mut(&subscriber) else {
            return false;
        };
        queue.bytes += cost(&arrival);
        if queue.bytes > BUFFER {
            self.forget(subscriber);
            return false;
        }
        queue.arrivals.push_back((due, arrival));
        queue.wake.notify_one();
        true
    }

    pub(super) fn publish(&mut self, channel: &Channel, payload: &Bytes, lose: bool) -> u64 {
        let Some((channel, subscribed)) = self.channels.get_key_value(channel.as_bytes()) else {
            return 0;
        };
        if lose {
            return subscribed.len() as u64;
        }
        let (channel, subscribed) = (channel.clone(), subscribed.iter().copied().collect::<Vec<_>>());
        let message = || Arrival::Message {
            channel: channel.clone(),
            payload: payload.clone(),
        };
        subscribed.into_iter().filter(|&to| self.push(to, message())).count() as u64
    }

    pub(super) fn subscribe(&mut self, subscriber: u64, channels: &[Channel]) {
        for channel in channels {
            let Some(queue) = self.queues.get_mut(&subscriber) else {
                return;
            };
            let name = Bytes::copy_from_slice(channel.as_bytes());
            queue.channels.insert(name.clone());
            self.channels.entry(name).or_default().insert(subscriber);
            self.push(subscriber, Arrival::Confirmed);
        }
    }

    pub(super) fn unsubscribe(&mut self, subscriber: u64, channels: &[Channel]) {
        for channel in channels {
            if let Some(queue) = self.queues.get_mut(&subscriber) {
                queue.channels.remove(channel.as_bytes());
            }
            self.leave(subscriber, channel.as_bytes());
            self.push(subscriber, Arrival::Confirmed);
        }
    }

    /// Removes a subscriber from a channel, and the channel with its last subscriber.
    fn leave(&mut self, subscriber: u64, channel: &[u8]) {
        if let Some(subscribed) = self.channels.get_mut(channel) {
            subscribed.remove(&subscriber);
            if subscribed.is_empty() {
                self.channels.remove(channel);
            }
        }
    }

    pub(super) fn forget(&mut self, subscriber: u64) {
        if let Some(queue) = self.queues.remove(&subscriber) {
            for channel in &queue.channels {
                self.leave(subscriber, channel);
            }
            queue.wake.notify_one();
        }
    }

    pub(super) fn cut_subscribers(&mut self) {
        self.channels.clear();
        for (_, queue) in self.queues.drain() {
            queue.wake.notify_one();
        }
    }

    /// Handles the calls held during a pause, in order.
    fn resume(&mut self, lose: bool) {
        self.held_bytes = 0;
        for held in std::mem::take(&mut self.held) {
            match held {
                Held::Publish(channel, payload, answer) => {
                    // The message is delivered even if its sender gave up waiting.
                    let _ = answer.send(self.publish(&channel, &payload, lose));
                }
                Held::Subscribe(subscriber, channels) => self.subscribe(subscriber, &channels),
                Held::Unsubscribe(subscriber, channels) => self.unsubscribe(subscriber, &channels),
            }
        }
    }
}

impl MemoryNode {
    pub(super) fn new(id: NodeId) -> Self {
        Self {
            id,
            mark: rand::random(),
            fault: watch::Sender::default(),
            state: Mutex::default(),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// What it calls one of its lives.
    pub(super) fn run(&self, life: u64) -> Option<RunId> {
        RunId::new(&format!("embedded{:016x}x{life:x}", self.mark))
    }

    pub(super) fn set_fault(&self, fault: Fault) {
        let mut state = self.state();
        self.fault.send_replace(fault);
        match fault {
            Fault::None => state.resume(false),
            Fault::Lose => state.resume(true),
            Fault::Pause => {}
            Fault::Fail => {
                state.life += 1;
                state.held.clear();
                state.held_bytes = 0;
                state.cut_subscribers();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_without_subscribers_leave_nothing_behind() {
        let mut state = State::default();
        let (first, _) = state.attach();
        let (second, _) = state.attach();
        let channels: Vec<Channel> = ["a", "b", "c"].map(Channel::from).to_vec();
        state.subscribe(first, &channels);
        state.subscribe(second, &channels[..1]);
        state.unsubscribe(first, &channels[..2]);
        assert_eq!(state.channels.len(), 2, "a of the second, c of the first");
        state.forget(first);
        state.forget(second);
        assert!(state.channels.is_empty() && state.queues.is_empty());
    }
}
