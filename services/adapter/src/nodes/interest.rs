//! Interest: the channels that this server wants, and on which nodes each is confirmed. State without I/O.
//!
//! Joining resolves when every node that this server hears has confirmed the channel. A confirmation counts only for the
//! subscription that it answers: each carries the generation of the wish and the epoch of the connection, so a late one
//! from before an unsubscribe proves nothing. Unsubscribing is delayed: a quick rejoin costs nothing.

use parking_lot::{Mutex, MutexGuard};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

use tokio::sync::{Notify, oneshot};

use super::link::Channel;
use super::select::MAX_NODES;

/// What a node's connection is to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    Subscribe(Channel, Generation),
    Unsubscribe(Channel),
}

/// Which wish for a channel a confirmation answers.
pub(crate) type Generation = u64;

#[derive(Debug)]
struct Entry {
    generation: Generation,
    /// Wanted as long as this server lives: a node that refuses it is of no use.
    always: bool,
    holders: usize,
    /// Which note in `idle` is the latest of this channel.
    idle_note: u64,
    /// Somebody was told that it is confirmed, or it is always wanted: a node without it is not heard.
    resolved: bool,
    /// Node index and the epoch of its connection, for each node that confirmed this generation.
    confirmed: Vec<(usize, u64)>,
    /// As `confirmed`, for those that refuse it to this server's user: nobody waits for them.
    refused: Vec<(usize, u64)>,
    waiting: Vec<oneshot::Sender<()>>,
}

#[derive(Debug, Default)]
struct Side {
    epoch: u64,
    connected: bool,
    /// Its probes come back: joins wait for it.
    returning: bool,
    /// How many resolved channels it has not confirmed yet.
    owing: Arc<AtomicUsize>,
    wishes: Vec<Wish>,
    wake: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    channels: HashMap<Channel, Entry>,
    /// Channels whose last holder left, by the time of leaving.
    idle: VecDeque<(Instant, Channel, u64)>,
    idle_notes: u64,
    sides: Vec<Side>,
    generations: u64,
    /// Whether this server counts: before that nothing resolves, because others do not ask it what it hears.
    counted: bool,
}

/// The channels that this server wants.
#[derive(Debug)]
pub(crate) struct Interest {
    state: Mutex<State>,
    linger: Duration,
}

impl Interest {
    /// Wants nothing yet; channels that nobody holds linger for a while.
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

    /// One more holder of a channel.
    pub(crate) fn hold(&self, channel: &Channel) {
        self.lock().hold(channel, false);
    }

    /// A channel that is wanted as long as this server lives: no node is heard without it.
    pub(crate) fn hold_always(&self, channel: &Channel) {
        self.lock().hold(channel, true);
    }

    /// One holder less.
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

    /// Gives up the channels that nobody held for the lingering time. Call it about once a second.
    pub(crate) fn sweep(&self, now: Instant) {
        let mut state = self.lock();
        while let Some((since, channel, note)) = state.idle.pop_front() {
            if now.saturating_duration_since(since) < self.linger {
                state.idle.push_front((since, channel, note));
                break;
            }
            // Rejoined, or left again later: then a later note decides.
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

    /// This server counts from now on.
    pub(crate) fn count(&self) {
        let mut state = self.lock();
        let state = &mut *state;
        state.counted = true;
        state.resolve_all();
    }

    /// Resolves when this server counts and every node that it hears has confirmed the channel; at least one must.
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

    /// A node's subscriber connected: everything that it must subscribe to, and the epoch of the connection.
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

    /// How many resolved channels a node has not confirmed yet: it is not heard before that is 0.
    pub(crate) fn owing(&self, node: usize) -> Arc<AtomicUsize> {
        self.lock().sides[node].owing.clone()
    }

    /// What a node's connection is to do next.
    pub(crate) fn take_wishes(&self, node: usize) -> Vec<Wish> {
        std::mem::take(&mut self.lock().sides[node].wishes)
    }

    /// Woken when there are wishes for a node.
    pub(crate) fn wake(&self, node: usize) -> Arc<Notify> {
        self.lock().sides[node].wake.clone()
    }

    /// A node confirmed a subscription. Whether that was the last one that it owed.
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
        entry.refused.retain(|(other, _)| *other != node);
        entry.confirmed.retain(|(other, _)| *other != node);
        entry.confirmed.push((node, epoch));
        let last = owed && side.owing.fetch_sub(1, Ordering::AcqRel) == 1;
        if state.counted {
            entry.try_resolve(&state.sides);
        }
        last
    }

    /// A node refused a subscription: it is not waited for, and is heard without it. Whether that was the last one that it owed.
    pub(crate) fn refuse(&self, node: usize, epoch: u64, channel: &Channel, generation: Generation) -> bool {
        let mut state = self.lock();
        let state = &mut *state;
        let Some(entry) = state.channels.get_mut(channel) else {
            return false;
        };
        let side = &state.sides[node];
        if side.epoch != epoch || entry.generation != generation || entry.is_answered(node, epoch) {
            return false;
        }
        entry.refused.retain(|(other, _)| *other != node);
        entry.refused.push((node, epoch));
        let last = entry.resolved && side.owing.fetch_sub(1, Ordering::AcqRel) == 1;
        if state.counted {
            entry.try_resolve(&state.sides);
        }
        last
    }

    /// A node's probes come back, or do so no longer.
    pub(crate) fn returning(&self, node: usize, returning: bool) {
        let mut state = self.lock();
        let side = &mut state.sides[node];
        let returning = returning && side.connected;
        if std::mem::replace(&mut side.returning, returning) != returning {
            state.resolve_all();
        }
    }

    /// Whether a channel is wanted now, or was until a moment ago.
    pub(crate) fn wants(&self, channel: &Channel) -> bool {
        self.lock().channels.contains_key(channel)
    }

    /// Whether a subscription that was asked for is wanted still. If the channel was given up and wanted anew since, another one
    /// is asked for.
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

    /// Whether no node is of use without a channel.
    pub(crate) fn is_needed(&self, channel: &Channel) -> bool {
        self.lock().channels.get(channel).is_some_and(|entry| entry.always)
    }

    /// The channels that are wanted now.
    pub(crate) fn channels(&self) -> Vec<Channel> {
        self.lock().channels.keys().cloned().collect()
    }

    /// How many channels are wanted.
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
            refused: Vec::new(),
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
    /// Whether a node has said yes or no.
    fn is_answered(&self, node: usize, epoch: u64) -> bool {
        self.confirmed.contains(&(node, epoch)) || self.refused.contains(&(node, epoch))
    }

    /// Whether every node whose probes come back has confirmed it, unless it refuses it, and there is one.
    fn is_confirmed(&self, sides: &[Side]) -> bool {
        let mut any = false;
        for (node, side) in sides.iter().enumerate().filter(|(_, side)| side.returning) {
            if self.refused.contains(&(node, side.epoch)) {
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

    /// The connected nodes that have not answered yet.
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
