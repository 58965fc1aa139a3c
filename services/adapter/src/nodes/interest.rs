//! Interest: the channels that this server needs, and the nodes that have confirmed each of them. State without I/O.
//!
//! A join resolves when every node that this server hears has confirmed the channel. A confirmation counts only for the
//! subscription that it answers, identified by the generation of the wish and the epoch of the connection: a late one
//! from before an unsubscribe proves nothing. Unsubscribing is delayed, so that a quick rejoin costs nothing.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::link::Channel;
use super::select::MAX_NODES;

/// A change that a node's connection must make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    Subscribe(Channel, Generation),
    Unsubscribe(Channel),
}

/// Identifies the wish that a confirmation answers.
pub(crate) type Generation = u64;

/// One channel.
#[derive(Debug)]
struct Entry {
    generation: Generation,
    /// Whether the channel is needed for the server's whole life: a node that rejects it cannot be used.
    always: bool,
    holders: usize,
    /// The channel's latest note in `idle`.
    idle_note: u64,
    /// Whether a join has resolved, or the channel is always needed: a node without it is not heard.
    resolved: bool,
    /// The nodes that confirmed this generation, each with the epoch of its connection.
    confirmed: Vec<(usize, u64)>,
    /// The nodes that do not allow this server's user to use the channel: joins do not wait for them.
    rejected: Vec<(usize, u64)>,
    waiting: Vec<oneshot::Sender<()>>,
}

/// One node's subscriber.
#[derive(Debug, Default)]
struct Side {
    epoch: u64,
    connected: bool,
    /// Whether its probes return: then joins wait for the node.
    returning: bool,
    /// The number of resolved channels that it has not confirmed.
    owing: Arc<AtomicUsize>,
    wishes: Vec<Wish>,
    wake: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    channels: HashMap<Channel, Entry>,
    /// Channels whose last holder left, in order of that time.
    idle: VecDeque<(Instant, Channel, u64)>,
    idle_notes: u64,
    sides: Vec<Side>,
    generations: u64,
    /// Whether this server counts. Before that nothing resolves, because other servers do not consider what it hears.
    counted: bool,
}

/// The channels that this server needs.
#[derive(Debug)]
pub(crate) struct Interest {
    state: Mutex<State>,
    linger: Duration,
}

impl Interest {
    /// No channels yet. Channels without holders stay subscribed for `linger`.
    pub(crate) fn new(linger: Duration) -> Self {
        let sides = (0..MAX_NODES).map(|_| Side::default()).collect();
        Self {
            state: Mutex::new(State {
                sides,
                ..State::default()
            }),
            linger,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Adds a holder of a channel.
    pub(crate) fn hold(&self, channel: &Channel) {
        self.lock().hold(channel, false);
    }

    /// Adds a channel that is needed for the server's whole life: no node is heard without it.
    pub(crate) fn hold_always(&self, channel: &Channel) {
        self.lock().hold(channel, true);
    }

    /// Removes a holder of a channel.
    pub(crate) fn release(&self, channel: &Channel, now: Instant) {
        let mut state = self.lock();
        let state = &mut *state;
        let Some(entry) = state.channels.get_mut(channel) else {
            return;
        };
        entry.holders = entry.holders.saturating_sub(1);
        if entry.holders == 0 {
            state.idle_notes += 1;
            entry.idle_note = state.idle_notes;
            state.idle.push_back((now, channel.clone(), entry.idle_note));
        }
    }

    /// Gives up channels that had no holder for the lingering time. Call it about once per second.
    pub(crate) fn sweep(&self, now: Instant) {
        let mut state = self.lock();
        while let Some((since, channel, note)) = state.idle.pop_front() {
            if now.saturating_duration_since(since) < self.linger {
                state.idle.push_front((since, channel, note));
                break;
            }
            // If the channel was held again since, a later note decides.
            let entry = state.channels.get(&channel);
            if entry.is_some_and(|entry| entry.holders == 0 && entry.idle_note == note) {
                if let Some(entry) = state.channels.remove(&channel)
                    && entry.resolved
                {
                    entry.each_missing(&state.sides, |side| _ = side.owing.fetch_sub(1, Ordering::AcqRel));
                }
                state.wish(|| Wish::Unsubscribe(channel.clone()));
            }
        }
    }

    /// From now on, this server counts.
    pub(crate) fn count(&self) {
        let mut state = self.lock();
        let state = &mut *state;
        state.counted = true;
        state.resolve_all();
    }

    /// Resolves when this server counts and every node that it hears, at least one, has confirmed the channel. `None`
    /// if that is so already.
    pub(crate) fn confirmed(&self, channel: &Channel) -> Option<oneshot::Receiver<()>> {
        let mut state = self.lock();
        let state = &mut *state;
        let entry = state.channels.get_mut(channel)?;
        if state.counted && entry.is_confirmed(&state.sides) {
            entry.resolve(&state.sides);
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        entry.waiting.retain(|waiting| !waiting.is_closed());
        entry.waiting.push(sender);
        Some(receiver)
    }

    /// A node's subscriber connected. Returns the epoch of the connection and everything that it must subscribe to.
    pub(crate) fn connected(&self, node: usize) -> (u64, Vec<(Channel, Generation)>) {
        let mut state = self.lock();
        let wanted = state
            .channels
            .iter()
            .map(|(channel, entry)| (channel.clone(), entry.generation))
            .collect();
        let resolved = state.channels.values().filter(|entry| entry.resolved).count();
        let side = &mut state.sides[node];
        side.epoch += 1;
        side.connected = true;
        side.returning = false;
        side.wishes.clear();
        side.owing.store(resolved, Ordering::Release);
        (side.epoch, wanted)
    }

    /// A node's subscriber ended.
    pub(crate) fn disconnected(&self, node: usize) {
        let mut state = self.lock();
        let side = &mut state.sides[node];
        side.connected = false;
        side.epoch += 1;
        side.returning = false;
        side.wishes.clear();
        state.resolve_all();
    }

    /// The number of resolved channels that a node has not confirmed. It is not heard before that is 0.
    pub(crate) fn owing(&self, node: usize) -> Arc<AtomicUsize> {
        self.lock().sides[node].owing.clone()
    }

    /// Takes the changes that a node's connection must make.
    pub(crate) fn take_wishes(&self, node: usize) -> Vec<Wish> {
        std::mem::take(&mut self.lock().sides[node].wishes)
    }

    /// Notified when there are wishes for a node.
    pub(crate) fn wake(&self, node: usize) -> Arc<Notify> {
        self.lock().sides[node].wake.clone()
    }

    /// A node confirmed a subscription. Returns whether that was the last one that it owed.
    pub(crate) fn confirm(&self, node: usize, epoch: u64, channel: &Channel, generation: Generation) -> bool {
        let mut state = self.lock();
        let state = &mut *state;
        let Some(entry) = state.channels.get_mut(channel) else {
            return false;
        };
        let side = &state.sides[node];
        if side.epoch != epoch || entry.generation != generation || entry.confirmed.contains(&(node, epoch)) {
            return false;
        }
        let owed = entry.resolved && !entry.is_answered(node, epoch);
        entry.rejected.retain(|(other, _)| *other != node);
        entry.confirmed.retain(|(other, _)| *other != node);
        entry.confirmed.push((node, epoch));
        let last = owed && side.owing.fetch_sub(1, Ordering::AcqRel) == 1;
        if state.counted {
            entry.try_resolve(&state.sides);
        }
        last
    }

    /// A node rejected a subscription: joins do not wait for it, and it is heard without the channel. Returns whether
    /// that was the last one that it owed.
    pub(crate) fn reject(&self, node: usize, epoch: u64, channel: &Channel, generation: Generation) -> bool {
        let mut state = self.lock();
        let state = &mut *state;
        let Some(entry) = state.channels.get_mut(channel) else {
            return false;
        };
        let side = &state.sides[node];
        if side.epoch != epoch || entry.generation != generation || entry.is_answered(node, epoch) {
            return false;
        }
        entry.rejected.retain(|(other, _)| *other != node);
        entry.rejected.push((node, epoch));
        let last = entry.resolved && side.owing.fetch_sub(1, Ordering::AcqRel) == 1;
        if state.counted {
            entry.try_resolve(&state.sides);
        }
        last
    }

    /// A node's probes return, or no longer do.
    pub(crate) fn returning(&self, node: usize, returning: bool) {
        let mut state = self.lock();
        let side = &mut state.sides[node];
        let returning = returning && side.connected;
        if std::mem::replace(&mut side.returning, returning) != returning {
            state.resolve_all();
        }
    }

    /// Whether a channel is subscribed: needed now, or until a moment ago.
    pub(crate) fn wants(&self, channel: &Channel) -> bool {
        self.lock().channels.contains_key(channel)
    }

    /// Whether a requested subscription is still needed. If the channel was given up and held again since, there is
    /// another wish for it.
    pub(crate) fn is_current(&self, wish: &Wish) -> bool {
        let Wish::Subscribe(channel, generation) = wish else {
            return false;
        };
        let state = self.lock();
        state
            .channels
            .get(channel)
            .is_some_and(|entry| entry.generation == *generation)
    }

    /// Whether a node cannot be used without this channel.
    pub(crate) fn is_needed(&self, channel: &Channel) -> bool {
        self.lock().channels.get(channel).is_some_and(|entry| entry.always)
    }

    /// The channels that are subscribed now.
    pub(crate) fn channels(&self) -> Vec<Channel> {
        self.lock().channels.keys().cloned().collect()
    }

    /// The number of subscribed channels.
    pub(crate) fn len(&self) -> usize {
        self.lock().channels.len()
    }
}

impl State {
    fn hold(&mut self, channel: &Channel, always: bool) {
        if let Some(entry) = self.channels.get_mut(channel) {
            entry.holders += 1;
            return;
        }
        self.generations += 1;
        let generation = self.generations;
        let mut entry = Entry {
            generation,
            always,
            holders: 1,
            idle_note: 0,
            resolved: false,
            confirmed: Vec::new(),
            rejected: Vec::new(),
            waiting: Vec::new(),
        };
        if always {
            entry.resolve(&self.sides);
        }
        self.channels.insert(channel.clone(), entry);
        self.wish(|| Wish::Subscribe(channel.clone(), generation));
    }

    fn resolve_all(&mut self) {
        if self.counted {
            for entry in self.channels.values_mut() {
                entry.try_resolve(&self.sides);
            }
        }
    }

    fn wish(&mut self, wish: impl Fn() -> Wish) {
        for side in self.sides.iter_mut().filter(|side| side.connected) {
            side.wishes.push(wish());
            side.wake.notify_one();
        }
    }
}

impl Entry {
    /// Whether a node has confirmed or rejected the channel.
    fn is_answered(&self, node: usize, epoch: u64) -> bool {
        self.confirmed.contains(&(node, epoch)) || self.rejected.contains(&(node, epoch))
    }

    /// Whether at least one node whose probes return has confirmed the channel, and all others have confirmed or
    /// rejected it.
    fn is_confirmed(&self, sides: &[Side]) -> bool {
        let mut any = false;
        for (node, side) in sides.iter().enumerate().filter(|(_, side)| side.returning) {
            if self.rejected.contains(&(node, side.epoch)) {
                continue;
            }
            any = true;
            if !self.confirmed.contains(&(node, side.epoch)) {
                return false;
            }
        }
        any
    }

    fn try_resolve(&mut self, sides: &[Side]) -> bool {
        let confirmed = (!self.resolved || !self.waiting.is_empty()) && self.is_confirmed(sides);
        if confirmed {
            self.resolve(sides);
        }
        confirmed
    }

    fn resolve(&mut self, sides: &[Side]) {
        if !std::mem::replace(&mut self.resolved, true) {
            self.each_missing(sides, |side| _ = side.owing.fetch_add(1, Ordering::AcqRel));
        }
        for waiting in self.waiting.drain(..) {
            let _ = waiting.send(());
        }
    }

    /// Calls `act` for the connected nodes that have not answered yet.
    fn each_missing(&self, sides: &[Side], act: impl Fn(&Side)) {
        let connected = sides.iter().enumerate().filter(|(_, side)| side.connected);
        for (_, side) in connected.filter(|(node, side)| !self.is_answered(*node, side.epoch)) {
            act(side);
        }
    }
}

#[cfg(test)]
#[path = "interest_tests.rs"]
mod tests;
