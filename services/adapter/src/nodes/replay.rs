//! The window: the messages that this server published recently, with the nodes that they went through.
//!
//! The window is bounded in time and bytes. Older messages are forgotten. When it is full, the oldest messages are
//! evicted and this is reported, because a replay is incomplete then. A copy for one server, and a message that had to
//! wait for a node, gets a new window, because it may be lost like any message; this ends at twice the window after the
//! first publishing. While a server is owed something, messages that were young when the debt arose stay for up to one
//! more window, because asking that server for its topics takes time. State without I/O; the time is passed in.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::link::Channel;
use super::select::{Mask, RETIRED};
use crate::wire::ServerName;

/// The memory of one entry in addition to its bytes.
const OVERHEAD: usize = 160;

/// One published envelope.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    /// When it was first published; copies keep this time.
    pub(crate) at: Instant,
    pub(crate) sequence: u64,
    pub(crate) channel: Channel,
    /// The server that it is for, if it is for a single one.
    pub(crate) server: Option<ServerName>,
    /// The encoded envelope as first published; a copy shares these bytes.
    pub(crate) bytes: Bytes,
    pub(crate) is_copy: bool,
    /// Whether it has already been published as a copy.
    pub(crate) was_copied: bool,
    /// Whether it waited because no node was heard.
    pub(crate) waited: bool,
    /// The key that orders it instead of its channel.
    pub(crate) order_key: Option<Arc<str>>,
}

impl Kept {
    /// The memory that it uses: a copy shares its bytes.
    pub(crate) fn cost(&self) -> usize {
        if self.is_copy {
            OVERHEAD
        } else {
            self.bytes.len() + self.channel.len() + OVERHEAD
        }
    }
}

#[cfg(test)]
impl Kept {
    /// A message of a hundred bytes to everyone, for tests.
    pub(crate) fn sample(sequence: u64, channel: &str, at: Instant) -> Self {
        Self {
            at,
            sequence,
            channel: Channel::from(channel),
            server: None,
            bytes: Bytes::from_static(&[0; 100]),
            is_copy: false,
            was_copied: false,
            waited: false,
            order_key: None,
        }
    }
}

/// A kept envelope, the nodes that it went through, and until when it is kept.
#[derive(Debug)]
struct Held {
    nodes: Mask,
    until: Instant,
    kept: Kept,
}

#[derive(Debug, Default)]
struct State {
    held: VecDeque<Held>,
    bytes: usize,
    /// The publishing time of the youngest entry that was evicted because the window was full.
    evicted: Option<Instant>,
    /// Since when a server is owed something: entries that were young then stay.
    owed_since: Option<Instant>,
}

/// The messages that this server published recently.
#[derive(Debug)]
pub(crate) struct Window {
    state: Mutex<State>,
    length: Duration,
    limit: usize,
}

impl Window {
    /// Keeps entries for `length`, with at most `limit` bytes.
    pub(crate) fn new(length: Duration, limit: usize) -> Self {
        Self {
            state: Mutex::default(),
            length,
            limit,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Keeps an envelope that is about to go through a node. Returns how many bytes were evicted to make room.
    pub(crate) fn push(&self, node: usize, kept: Kept, now: Instant) -> usize {
        let until = if kept.is_copy && kept.server.is_some() || kept.waited {
            (now + self.length).min(kept.at + self.length * 2)
        } else {
            kept.at + self.length
        };
        let mut state = self.lock();
        let state = &mut *state;
        state.forget_older(now, self.length);
        state.bytes += kept.cost();
        let was_copied = kept.is_copy;
        state.held.push_back(Held {
            nodes: 1 << node,
            until,
            kept: Kept { was_copied, ..kept },
        });
        let mut evicted = 0;
        while state.bytes > self.limit
            && let Some(oldest) = state.held.pop_front()
        {
            state.bytes -= oldest.kept.cost();
            evicted += oldest.kept.cost();
            state.evicted = state.evicted.max(Some(oldest.kept.at));
        }
        evicted
    }

    /// Removes and returns the messages that went through a lost node, oldest first.
    pub(crate) fn take(&self, node: usize, now: Instant) -> Vec<Kept> {
        let mut state = self.lock();
        let state = &mut *state;
        let (went, rest): (VecDeque<Held>, _) = std::mem::take(&mut state.held)
            .into_iter()
            .partition(|held| held.nodes & 1 << node != 0);
        state.held = rest;
        state.bytes -= went.iter().map(|held| held.kept.cost()).sum::<usize>();
        let oldest = state.oldest(now, self.length);
        let young = went.into_iter().filter(|held| oldest <= held.until);
        young.map(|held| held.kept).collect()
    }

    /// The wanted messages that went through any of these nodes and were first published at most `age` ago, oldest
    /// first, each once.
    pub(crate) fn matching(
        &self,
        nodes: Mask,
        age: Duration,
        now: Instant,
        wanted: impl Fn(&Kept) -> bool,
    ) -> Vec<Kept> {
        let mut seen = HashSet::new();
        let state = self.lock();
        let oldest = state.oldest(now, self.length);
        let young = |held: &Held| oldest <= held.until && now.saturating_duration_since(held.kept.at) <= age;
        let matching = state
            .held
            .iter()
            .filter(|held| held.nodes & nodes != 0 && young(held) && wanted(&held.kept))
            .filter(|held| seen.insert(held.kept.sequence));
        matching.map(|held| held.kept.clone()).collect()
    }

    /// The sequences of messages larger than `larger_than` that were already sent to a server as copies through any of
    /// these nodes.
    pub(crate) fn copied_to(&self, server: &ServerName, nodes: Mask, larger_than: usize) -> HashSet<u64> {
        let state = self.lock();
        let copied = state.held.iter().filter(|held| {
            let kept = &held.kept;
            held.nodes & nodes != 0
                && kept.was_copied
                && kept.server.as_ref() == Some(server)
                && kept.bytes.len() > larger_than
        });
        copied.map(|held| held.kept.sequence).collect()
    }

    /// Whether the window holds anything that went through these nodes.
    pub(crate) fn any(&self, nodes: Mask, now: Instant) -> bool {
        let state = self.lock();
        let oldest = state.oldest(now, self.length);
        let young = |held: &&Held| held.nodes & nodes != 0 && oldest <= held.until;
        state.held.iter().rev().any(|held| young(&held))
    }

    /// A node was removed and its bit may be reused: its messages are kept for servers that missed them.
    pub(crate) fn retire(&self, node: usize) {
        for held in &mut self.lock().held {
            if held.nodes & 1 << node != 0 {
                held.nodes = held.nodes & !(1 << node) | RETIRED;
            }
        }
    }

    /// Forgets messages that are too old.
    pub(crate) fn sweep(&self, now: Instant) {
        self.lock().forget_older(now, self.length);
    }

    /// Sets since when a server is owed something, if any is.
    pub(crate) fn owe_since(&self, since: Option<Instant>) {
        self.lock().owed_since = since;
    }

    /// If the window lacks messages that it should hold: how old the youngest of them is.
    pub(crate) fn truncated(&self, now: Instant) -> Option<Duration> {
        let evicted = self.lock().evicted?;
        let age = now.saturating_duration_since(evicted);
        (age <= self.length).then_some(age)
    }
}

impl State {
    /// The oldest `until` that still counts as young.
    fn oldest(&self, now: Instant, length: Duration) -> Instant {
        let owed = self
            .owed_since
            .map(|since| since.max(now.checked_sub(length).unwrap_or(since)));
        owed.map_or(now, |owed| owed.min(now))
    }

    fn forget_older(&mut self, now: Instant, length: Duration) {
        let young = self.oldest(now, length);
        while let Some(oldest) = self.held.pop_front_if(|held| held.until < young) {
            self.bytes -= oldest.kept.cost();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_secs(9);

    fn sequences(kept: &[Kept]) -> Vec<u64> {
        kept.iter().map(|kept| kept.sequence).collect()
    }

    #[test]
    fn the_young_messages_of_a_lost_node_are_taken_once() {
        let (window, start) = (Window::new(LENGTH, 1 << 20), Instant::now());
        let at = |secs| start + Duration::from_secs(secs);
        for (sequence, node, secs) in [(1, 0, 0), (2, 0, 5), (3, 1, 5), (4, 0, 6)] {
            window.push(node, Kept::sample(sequence, "c", at(secs)), at(secs));
        }
        assert_eq!(sequences(&window.take(0, at(10))), [2, 4]);
        assert!(window.take(0, at(10)).is_empty());
        assert!(window.any(0b10, at(10)) && !window.any(0b01, at(10)));
        assert_eq!(sequences(&window.take(1, at(10))), [3]);
        assert_eq!(window.lock().bytes, 0);
    }

    #[test]
    fn a_server_that_missed_messages_gets_the_wanted_ones_once_each() {
        let (window, now) = (Window::new(LENGTH, 1 << 20), Instant::now());
        window.push(0, Kept::sample(1, "mine", now), now);
        window.push(1, Kept::sample(1, "mine", now), now);
        window.push(0, Kept::sample(2, "other", now), now);
        window.push(1, Kept::sample(3, "mine", now), now);
        let mine = |kept: &Kept| &*kept.channel == "mine";
        assert_eq!(sequences(&window.matching(0b11, LENGTH, now, mine)), [1, 3]);
        assert_eq!(sequences(&window.matching(0b01, LENGTH, now, mine)), [1]);
        let later = now + Duration::from_secs(3);
        assert!(window.matching(0b11, Duration::from_secs(2), later, mine).is_empty());
    }

    #[test]
    fn messages_that_were_young_when_a_debt_arose_stay_for_another_window() {
        let (window, start) = (Window::new(LENGTH, 1 << 20), Instant::now());
        let at = |secs| start + Duration::from_secs(secs);
        window.push(0, Kept::sample(1, "c", at(0)), at(0));
        window.push(0, Kept::sample(2, "c", at(2)), at(2));
        window.owe_since(Some(at(10)));
        window.push(0, Kept::sample(3, "c", at(12)), at(12));
        let all = |secs| sequences(&window.matching(1, LENGTH * 4, at(secs), |_| true));
        assert_eq!(all(12), [2, 3], "the first one was already too old");
        assert_eq!(all(20), [2, 3]);
        assert_eq!(all(21), [3], "but not forever");
        window.owe_since(None);
        window.sweep(at(22));
        assert!(!window.any(1, at(22)));
    }

    #[test]
    fn a_full_window_evicts_the_oldest_messages_and_reports_how_far_back_it_is_incomplete() {
        let (window, now) = (Window::new(LENGTH, 3 * (100 + OVERHEAD + 1)), Instant::now());
        for sequence in 1..=3 {
            assert_eq!(window.push(0, Kept::sample(sequence, "c", now), now), 0);
        }
        assert_eq!(window.truncated(now), None);
        let later = now + Duration::from_secs(4);
        assert!(window.push(0, Kept::sample(4, "c", later), later) > 0);
        assert_eq!(window.truncated(later), Some(Duration::from_secs(4)));
        assert_eq!(
            window.truncated(now + LENGTH * 2),
            None,
            "the evicted message would be forgotten by now"
        );
        assert_eq!(sequences(&window.take(0, later)), [2, 3, 4]);
    }

    #[test]
    fn messages_of_a_removed_node_are_kept_for_servers_that_missed_them() {
        let (window, now) = (Window::new(LENGTH, 1 << 20), Instant::now());
        window.push(0, Kept::sample(1, "c", now), now);
        window.push(1, Kept::sample(2, "c", now), now);
        window.retire(0);
        assert!(window.take(0, now).is_empty(), "the slot belongs to another node now");
        assert_eq!(sequences(&window.matching(!0, LENGTH, now, |_| true)), [1, 2]);
        assert_eq!(sequences(&window.matching(RETIRED, LENGTH, now, |_| true)), [1]);
    }

    #[test]
    fn a_copy_for_one_server_gets_a_new_window_but_is_not_kept_forever() {
        let (window, now) = (Window::new(LENGTH, 1 << 20), Instant::now());
        let at = |secs| now + Duration::from_secs(secs);
        let copy = Kept {
            server: Some(ServerName::new("a").expect("valid")),
            is_copy: true,
            ..Kept::sample(1, "server:a", now)
        };
        for (pushed, last) in [(5, 14), (12, 18)] {
            window.push(0, copy.clone(), at(pushed));
            assert_eq!(sequences(&window.matching(1, LENGTH * 4, at(last), |_| true)), [1]);
            assert!(!window.any(1, at(last + 1)));
        }
    }
}
