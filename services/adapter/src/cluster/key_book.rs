//! Requests with an idempotency key, so that a request that is repeated with its key is carried out once. State without I/O:
//! time is handed in.
//!
//! While the first request with a key runs, its repeats wait for the same answer; afterwards they get the stored answer. The
//! book is bounded in time, number and bytes. What runs is not forgotten before its own deadline and the time for answers are over;
//! when too much runs, further requests are refused.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::deadline::Deadline;
use crate::wire::{Missing, Payload, Refusal};

/// Longest idempotency key, in bytes: enough for the id of a client and a key that the client chose.
pub const MAX_KEY_BYTES: usize = 1024;

/// How long an answer is kept.
const KEPT_FOR: Duration = Duration::from_secs(120);
/// The most keys.
const MOST_KEYS: usize = 100_000;
/// The most bytes of keys and answers.
const MOST_BYTES: usize = 32 * 1024 * 1024;
/// The most repeats that may wait for one answer.
const MOST_WAITING: usize = 64;
/// The bytes that a key costs besides its text and its answer.
const OVERHEAD: usize = 256;

/// Codes that mean: this was not carried out, and may be tried again.
const NOT_CARRIED_OUT: [&str; 3] = ["OVERLOADED", "UNAVAILABLE", "RATE_LIMITED"];

/// The answer to a request, or why there is none.
pub(crate) type Answered = Result<Payload, Missing>;

/// An event and a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) event: Arc<str>,
    pub(crate) key: Arc<str>,
}

/// The request that is carried out for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    key: Key,
    number: u64,
}

/// What to do with a request.
#[derive(Debug)]
pub(crate) enum Entered<W> {
    /// It is the first with its key: carry it out. The deadline is that of all who wait for the answer.
    First(W, Run, Deadline),
    /// The first one still runs: it is answered together with it.
    Waits,
    /// It is answered already.
    Answered(W, Answered),
    /// Another request has its key.
    Conflict(W),
    /// Too much runs or waits.
    Full(W),
}

/// The keys of one server. `W` is the way back of a request.
#[derive(Debug)]
pub(crate) struct KeyBook<W> {
    keys: HashMap<Key, Entry<W>>,
    /// The keys whose answers are stored, oldest first, with the number of their run.
    answered: VecDeque<(Instant, Run)>,
    bytes: usize,
    next: u64,
    evicted: u64,
}

#[derive(Debug)]
struct Entry<W> {
    number: u64,
    /// When its run counts as lost: a listener that never ends must not keep its key for ever.
    lost_at: Option<Instant>,
    fingerprint: Option<u64>,
    state: State<W>,
}

#[derive(Debug)]
enum State<W> {
    Running {
        deadline: Deadline,
        /// Whether a listener has got it.
        taken: bool,
        /// Repeats, each with its own deadline.
        waiting: Vec<(Deadline, W)>,
    },
    Answered(Answered),
}

impl<W> Default for KeyBook<W> {
    fn default() -> Self {
        Self {
            keys: HashMap::new(),
            answered: VecDeque::new(),
            bytes: 0,
            next: 0,
            evicted: 0,
        }
    }
}

impl<W> KeyBook<W> {
    /// A request came. The fingerprint tells requests with different contents apart, if there is one.
    pub(crate) fn enter(
        &mut self,
        key: Key,
        fingerprint: Option<u64>,
        deadline: &Deadline,
        way_back: W,
        now: Instant,
    ) -> Entered<W> {
        self.expire(now);
        let left = self.forget_lost(&key, now);
        if let Some(entry) = self.keys.get_mut(&key) {
            return entry.repeat(fingerprint, deadline, way_back, now);
        }
        while self.keys.len() >= MOST_KEYS || self.bytes > MOST_BYTES {
            if !self.evict() {
                return Entered::Full(way_back);
            }
        }
        self.next += 1;
        self.bytes += cost(&key, None);
        let lost_at = deadline.until().and_then(|until| until.checked_add(KEPT_FOR));
        let deadline = deadline.shared();
        left.iter().for_each(|(by, _)| deadline.extend(by));
        let entry = Entry {
            number: self.next,
            lost_at,
            fingerprint,
            state: State::Running {
                deadline: deadline.clone(),
                taken: false,
                waiting: left,
            },
        };
        self.keys.insert(key.clone(), entry);
        let run = Run { key, number: self.next };
        Entered::First(way_back, run, deadline)
    }

    /// A listener is about to get a request; `false` if it still runs and nobody waits for it any more. Then it is forgotten,
    /// unless another listener has got it.
    pub(crate) fn take(&mut self, run: &Run, now: Instant) -> bool {
        let Some(Entry {
            state: State::Running { deadline, taken, .. },
            ..
        }) = self.entry(run)
        else {
            return true;
        };
        if !deadline.is_over(now) {
            *taken = true;
            return true;
        }
        if !*taken {
            self.remove(&run.key);
        }
        false
    }

    /// A request was answered, or will not be. Returns those that wait for the same answer.
    pub(crate) fn settle(&mut self, run: &Run, answer: &Answered, now: Instant) -> Vec<W> {
        self.expire(now);
        let Some(Entry {
            state: State::Running { taken, waiting, .. },
            ..
        }) = self.entry(run)
        else {
            return Vec::new();
        };
        let (was_taken, waiting) = (*taken, std::mem::take(waiting));
        let waiting = waiting.into_iter().map(|(_, waits)| waits).collect();
        if is_kept(answer, was_taken) {
            self.bytes += cost_of(answer);
            if let Some(entry) = self.entry(run) {
                entry.state = State::Answered(answer.clone().map(|payload| payload.in_memory_of_its_own()));
            }
            self.answered.push_back((now, run.clone()));
            while self.bytes > MOST_BYTES && self.evict() {}
        } else {
            self.remove(&run.key);
        }
        waiting
    }

    /// How many answers had to leave before their time, since this was asked last.
    pub(crate) fn take_evicted(&mut self) -> u64 {
        std::mem::take(&mut self.evicted)
    }

    fn entry(&mut self, run: &Run) -> Option<&mut Entry<W>> {
        self.keys.get_mut(&run.key).filter(|entry| entry.number == run.number)
    }

    /// Forgets a run that counts as lost. Returns those that still wait for it.
    fn forget_lost(&mut self, key: &Key, now: Instant) -> Vec<(Deadline, W)> {
        match self.keys.get_mut(key) {
            Some(Entry {
                lost_at: Some(lost_at),
                state: State::Running { waiting, .. },
                ..
            }) if *lost_at <= now => {
                let mut left = std::mem::take(waiting);
                left.retain(|(deadline, _)| !deadline.is_over(now));
                self.remove(key);
                left
            }
            _ => Vec::new(),
        }
    }

    fn expire(&mut self, now: Instant) {
        while let Some((at, run)) = self.answered.front() {
            if now.saturating_duration_since(*at) < KEPT_FOR {
                return;
            }
            let key = run.key.clone();
            self.remove(&key);
            self.answered.pop_front();
        }
    }

    /// Forgets the oldest answer; `false` if there is none.
    fn evict(&mut self) -> bool {
        let Some((_, run)) = self.answered.pop_front() else {
            return false;
        };
        self.remove(&run.key);
        self.evicted += 1;
        true
    }

    fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.keys.remove(key) {
            let answer = match &entry.state {
                State::Running { .. } => None,
                State::Answered(answer) => Some(answer),
            };
            self.bytes -= cost(key, answer);
        }
    }
}

impl<W> Entry<W> {
    fn repeat(&mut self, fingerprint: Option<u64>, by: &Deadline, way_back: W, now: Instant) -> Entered<W> {
        if let (Some(first), Some(this)) = (self.fingerprint, fingerprint)
            && first != this
        {
            return Entered::Conflict(way_back);
        }
        match &mut self.state {
            State::Answered(answer) => Entered::Answered(way_back, answer.clone()),
            State::Running { deadline, waiting, .. } => {
                waiting.retain(|(deadline, _)| !deadline.is_over(now));
                if waiting.len() >= MOST_WAITING {
                    return Entered::Full(way_back);
                }
                deadline.extend(by);
                waiting.push((by.clone(), way_back));
                Entered::Waits
            }
        }
    }
}

/// Whether repeats get this answer, too. What was not carried out may be tried again.
fn is_kept(answer: &Answered, was_taken: bool) -> bool {
    match answer {
        Ok(payload) => !Refusal::of(payload).is_some_and(|refusal| NOT_CARRIED_OUT.contains(&&*refusal.code)),
        // Its listener ended, and may have done all or some of it.
        Err(Missing::NoReply) => was_taken,
        Err(_) => false,
    }
}

fn cost(key: &Key, answer: Option<&Answered>) -> usize {
    OVERHEAD + key.event.len() + key.key.len() + answer.map_or(0, cost_of)
}

fn cost_of(answer: &Answered) -> usize {
    answer.as_ref().map_or(0, |payload| payload.bytes().len())
}

#[cfg(test)]
#[path = "key_book_tests.rs"]
mod tests;
