//! Interest: the channels that this server wants, and on which nodes each is confirmed. State without I/O.
//!
//! Joining resolves when every node that this server hears has confirmed the channel. A confirmation counts only for the
//! subscription that it answers: each carries the generation of the wish and the epoch of the connection, so a late one
//! from before an unsubscribe proves nothing. Unsubscribing is delayed: a quick rejoin costs nothing.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

use super::link::Channel;

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
    holders: usize,
    /// Which note in `idle` is the latest of this channel.
    idle_note: u64,
    /// Node index and the epoch of its connection, for each node that confirmed this generation.
    confirmed: Vec<(usize, u64)>,
    waiting: Vec<oneshot::Sender<()>>,
}

#[derive(Debug, Default)]
struct Side {
    epoch: u64,
    connected: bool,
    heard: bool,
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
}

/// The channels that this server wants.
#[derive(Debug)]
pub(crate) struct Interest {
    state: Mutex<State>,
    linger: Duration,
}

impl Interest {
    /// For so many nodes; channels that nobody holds linger for a while.
    pub(crate) fn new(nodes: usize, linger: Duration) -> Self {
        let sides = (0..nodes).map(|_| Side::default()).collect();
        Self {
            state: Mutex::new(State {
                sides,
                ..State::default()
            }),
            linger,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more holder of a channel.
    pub(crate) fn hold(&self, channel: &Channel) {
        let mut state = self.lock();
        if let Some(entry) = state.channels.get_mut(channel) {
            entry.holders += 1;
            return;
        }
        state.generations += 1;
        let generation = state.generations;
        let entry = Entry {
            generation,
            holders: 1,
            idle_note: 0,
            confirmed: Vec::new(),
            waiting: Vec::new(),
        };
        state.channels.insert(channel.clone(), entry);
        state.wish(|| Wish::Subscribe(channel.clone(), generation));
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
                state.channels.remove(&channel);
                state.wish(|| Wish::Unsubscribe(channel.clone()));
            }
        }
    }

    /// Resolves when every node that this server hears has confirmed the channel; at least one must.
    pub(crate) fn confirmed(&self, channel: &Channel) -> Option<oneshot::Receiver<()>> {
        let mut state = self.lock();
        let state = &mut *state;
        let entry = state.channels.get_mut(channel)?;
        if entry.is_resolved(&state.sides) {
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
        let side = &mut state.sides[node];
        side.epoch += 1;
        side.connected = true;
        side.wishes.clear();
        (side.epoch, wanted)
    }

    /// A node's subscriber ended.
    pub(crate) fn disconnected(&self, node: usize) {
        let mut state = self.lock();
        let side = &mut state.sides[node];
        side.connected = false;
        side.epoch += 1;
        side.wishes.clear();
        drop(state);
        self.heard(node, false);
    }

    /// What a node's connection is to do next.
    pub(crate) fn take_wishes(&self, node: usize) -> Vec<Wish> {
        std::mem::take(&mut self.lock().sides[node].wishes)
    }

    /// Woken when there are wishes for a node.
    pub(crate) fn wake(&self, node: usize) -> Arc<Notify> {
        self.lock().sides[node].wake.clone()
    }

    /// A node confirmed a subscription.
    pub(crate) fn confirm(&self, node: usize, epoch: u64, channel: &Channel, generation: Generation) {
        let mut state = self.lock();
        let state = &mut *state;
        let Some(entry) = state.channels.get_mut(channel) else {
            return;
        };
        if state.sides[node].epoch != epoch || entry.generation != generation {
            return;
        }
        entry.confirmed.retain(|(other, _)| *other != node);
        entry.confirmed.push((node, epoch));
        entry.resolve(&state.sides);
    }

    /// This server hears a node, or does not any more.
    pub(crate) fn heard(&self, node: usize, heard: bool) {
        let mut state = self.lock();
        let state = &mut *state;
        if std::mem::replace(&mut state.sides[node].heard, heard) == heard {
            return;
        }
        for entry in state.channels.values_mut() {
            entry.resolve(&state.sides);
        }
    }

    /// How many channels are wanted.
    pub(crate) fn len(&self) -> usize {
        self.lock().channels.len()
    }
}

impl State {
    fn wish(&mut self, wish: impl Fn() -> Wish) {
        for side in self.sides.iter_mut().filter(|side| side.connected) {
            side.wishes.push(wish());
            side.wake.notify_one();
        }
    }
}

impl Entry {
    fn is_resolved(&self, sides: &[Side]) -> bool {
        let mut any = false;
        for (node, side) in sides.iter().enumerate().filter(|(_, side)| side.heard) {
            any = true;
            if !self.confirmed.contains(&(node, side.epoch)) {
                return false;
            }
        }
        any
    }

    fn resolve(&mut self, sides: &[Side]) {
        if !self.waiting.is_empty() && self.is_resolved(sides) {
            for waiting in self.waiting.drain(..) {
                let _ = waiting.send(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(name: &str) -> Channel {
        Channel::from(name)
    }

    /// Two nodes that are connected and heard, wanting nothing.
    fn interest() -> (Interest, [u64; 2]) {
        let interest = Interest::new(2, Duration::from_secs(5));
        let epochs = [interest.connected(0).0, interest.connected(1).0];
        interest.heard(0, true);
        interest.heard(1, true);
        (interest, epochs)
    }

    fn generation(interest: &Interest, node: usize) -> Generation {
        match &interest.take_wishes(node)[..] {
            [Wish::Subscribe(_, generation)] => *generation,
            other => panic!("expected one subscribe, got {other:?}"),
        }
    }

    fn resolved(waiting: &mut oneshot::Receiver<()>) -> bool {
        waiting.try_recv().is_ok()
    }

    #[test]
    fn a_join_resolves_when_every_node_that_is_heard_confirmed_it() {
        let (interest, epochs) = interest();
        let room = channel("room");
        interest.hold(&room);
        let (first, second) = (generation(&interest, 0), generation(&interest, 1));
        let mut waiting = interest.confirmed(&room).expect("not confirmed yet");
        interest.confirm(0, epochs[0], &room, first);
        assert!(!resolved(&mut waiting));
        interest.confirm(1, epochs[1], &room, second);
        assert!(resolved(&mut waiting));
        assert!(interest.confirmed(&room).is_none(), "resolved at once from now on");
    }

    #[test]
    fn a_join_does_not_wait_for_a_node_that_is_not_heard_but_for_at_least_one() {
        let (interest, epochs) = interest();
        let room = channel("room");
        interest.hold(&room);
        let first = generation(&interest, 0);
        let mut waiting = interest.confirmed(&room).expect("not confirmed yet");
        interest.confirm(0, epochs[0], &room, first);
        interest.heard(1, false);
        assert!(resolved(&mut waiting));
        interest.heard(0, false);
        assert!(interest.confirmed(&room).is_some(), "nobody hears it");
    }

    #[test]
    fn a_confirmation_from_before_an_unsubscribe_proves_nothing() {
        let (interest, epochs) = interest();
        let (room, now) = (channel("room"), Instant::now());
        interest.hold(&room);
        let old = generation(&interest, 0);
        interest.release(&room, now);
        interest.sweep(now + Duration::from_secs(6));
        interest.hold(&room);
        interest.heard(1, false);
        let mut waiting = interest.confirmed(&room).expect("not confirmed yet");
        interest.confirm(0, epochs[0], &room, old);
        assert!(!resolved(&mut waiting));
        let wishes = interest.take_wishes(0);
        let [Wish::Unsubscribe(_), Wish::Subscribe(_, new)] = &wishes[..] else {
            panic!("{wishes:?}")
        };
        interest.confirm(0, epochs[0], &room, *new);
        assert!(resolved(&mut waiting));
    }

    #[test]
    fn a_confirmation_of_a_former_connection_proves_nothing() {
        let (interest, epochs) = interest();
        let room = channel("room");
        interest.hold(&room);
        let old = generation(&interest, 0);
        interest.heard(1, false);
        interest.disconnected(0);
        let (epoch, wanted) = interest.connected(0);
        interest.heard(0, true);
        let mut waiting = interest.confirmed(&room).expect("not confirmed on the new connection");
        interest.confirm(0, epochs[0], &room, old);
        assert!(!resolved(&mut waiting));
        assert_eq!(wanted, [(room.clone(), old)]);
        interest.confirm(0, epoch, &room, old);
        assert!(resolved(&mut waiting));
    }

    #[test]
    fn a_quick_rejoin_costs_nothing_and_a_long_absence_unsubscribes_once() {
        let (interest, _) = interest();
        let (room, start) = (channel("room"), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        interest.hold(&room);
        interest.take_wishes(0);
        interest.release(&room, at(0));
        interest.hold(&room);
        interest.release(&room, at(3000));
        interest.sweep(at(5100));
        assert_eq!(interest.take_wishes(0), [], "left again only two seconds ago");
        interest.sweep(at(8100));
        assert_eq!(interest.take_wishes(0), [Wish::Unsubscribe(room)]);
        assert_eq!(interest.len(), 0);
    }

    #[test]
    fn holders_are_counted() {
        let (interest, _) = interest();
        let (room, now) = (channel("room"), Instant::now());
        interest.hold(&room);
        interest.hold(&room);
        interest.release(&room, now);
        interest.sweep(now + Duration::from_secs(60));
        assert_eq!(interest.len(), 1);
    }
}
