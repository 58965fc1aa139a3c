//! Requests with an idempotency key, so that a request that is repeated with its key is carried out once. State without I/O:
//! time is handed in.
//!
//! While the first request with a key runs, its repeats wait for the same answer; afterwards they get the stored answer. The
//! book is bounded in time, number and bytes. What runs is never forgotten; when too much runs, further requests are refused.

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
    fingerprint: Option<u64>,
    state: State<W>,
}

#[derive(Debug)]
enum State<W> {
    Running {
        deadline: Deadline,
        /// Whether a listener has got it.
        taken: bool,
        waiting: Vec<W>,
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
        if let Some(entry) = self.keys.get_mut(&key) {
            return entry.repeat(fingerprint, deadline, way_back);
        }
        while self.keys.len() >= MOST_KEYS || self.bytes > MOST_BYTES {
            if !self.evict() {
                return Entered::Full(way_back);
            }
        }
        self.next += 1;
        self.bytes += cost(&key, None);
        let deadline = deadline.shared();
        let entry = Entry {
            number: self.next,
            fingerprint,
            state: State::Running {
                deadline: deadline.clone(),
                taken: false,
                waiting: Vec::new(),
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
        if is_kept(answer, was_taken) {
            self.bytes += cost_of(answer);
            if let Some(entry) = self.entry(run) {
                entry.state = State::Answered(answer.clone());
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
    fn repeat(&mut self, fingerprint: Option<u64>, by: &Deadline, way_back: W) -> Entered<W> {
        if let (Some(first), Some(this)) = (self.fingerprint, fingerprint)
            && first != this
        {
            return Entered::Conflict(way_back);
        }
        match &mut self.state {
            State::Answered(answer) => Entered::Answered(way_back, answer.clone()),
            State::Running { waiting, .. } if waiting.len() >= MOST_WAITING => Entered::Full(way_back),
            State::Running { deadline, waiting, .. } => {
                deadline.extend(by);
                waiting.push(way_back);
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
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn key(name: &str) -> Key {
        Key {
            event: "buy".into(),
            key: name.into(),
        }
    }

    fn reply(json: &str) -> Answered {
        Ok(Payload::from_json(json.to_owned()))
    }

    fn enter(book: &mut KeyBook<u32>, name: &str, number: u32, now: Instant) -> Entered<u32> {
        book.enter(key(name), Some(7), &Deadline::At(now + 4 * SECOND), number, now)
    }

    /// The first request with this key.
    fn run(book: &mut KeyBook<u32>, name: &str, now: Instant) -> Run {
        match enter(book, name, 0, now) {
            Entered::First(_, run, _) => run,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_repeat_waits_while_the_first_runs_and_gets_its_answer_afterwards() {
        let (mut book, now) = (KeyBook::default(), Instant::now());
        let first = run(&mut book, "a", now);
        assert!(book.take(&first, now));
        assert!(matches!(enter(&mut book, "a", 1, now), Entered::Waits));
        assert!(matches!(enter(&mut book, "a", 2, now), Entered::Waits));
        assert_eq!(book.settle(&first, &reply("1"), now), [1, 2]);
        assert!(
            book.settle(&first, &reply("2"), now).is_empty(),
            "the first answer counts"
        );
        let Entered::Answered(3, answer) = enter(&mut book, "a", 3, now + 119 * SECOND) else {
            panic!("it is stored")
        };
        assert_eq!(answer, reply("1"));
        run(&mut book, "a", now + KEPT_FOR);
        run(&mut book, "b", now);
    }

    #[test]
    fn a_refusal_is_kept_unless_it_says_that_nothing_was_carried_out() {
        let now = Instant::now();
        let refused = |code: &str| reply(&format!(r#"{{"error":"no","errorCode":"{code}"}}"#));
        for (answer, is_kept) in [
            (refused("NOT_ALLOWED"), true),
            (refused("CONFLICT"), true),
            (refused("OVERLOADED"), false),
            (refused("UNAVAILABLE"), false),
            (refused("RATE_LIMITED"), false),
            (Err(Missing::NoReply), true),
            (Err(Missing::Overloaded), false),
            (Err(Missing::Unhandled), false),
        ] {
            let mut book = KeyBook::default();
            let first = run(&mut book, "a", now);
            assert!(book.take(&first, now));
            book.settle(&first, &answer, now);
            let again = enter(&mut book, "a", 1, now);
            assert_eq!(matches!(again, Entered::Answered(..)), is_kept, "{answer:?}");
            assert_eq!(matches!(again, Entered::First(..)), !is_kept, "{answer:?}");
        }
    }

    #[test]
    fn a_request_whose_listener_ended_before_it_got_it_may_be_repeated() {
        let (mut book, now) = (KeyBook::default(), Instant::now());
        let first = run(&mut book, "a", now);
        book.settle(&first, &Err(Missing::NoReply), now);
        run(&mut book, "a", now);
    }

    #[test]
    fn another_request_with_the_same_key_is_a_conflict_before_and_after_the_answer() {
        let (mut book, now) = (KeyBook::default(), Instant::now());
        let first = run(&mut book, "a", now);
        let other = |book: &mut KeyBook<u32>| book.enter(key("a"), Some(8), &Deadline::Never, 1, now);
        assert!(matches!(other(&mut book), Entered::Conflict(1)));
        book.settle(&first, &reply("1"), now);
        assert!(matches!(other(&mut book), Entered::Conflict(1)));
        let without = book.enter(key("a"), None, &Deadline::Never, 1, now);
        assert!(matches!(without, Entered::Answered(..)), "nothing to compare");
        let elsewhere = Key {
            event: "sell".into(),
            ..key("a")
        };
        assert!(matches!(
            book.enter(elsewhere, Some(8), &Deadline::Never, 1, now),
            Entered::First(..)
        ));
    }

    #[test]
    fn a_repeat_keeps_the_request_wanted_after_the_first_has_given_up() {
        let (mut book, now) = (KeyBook::default(), Instant::now());
        let first = run(&mut book, "a", now);
        enter(&mut book, "a", 1, now + 2 * SECOND);
        assert!(book.take(&first, now + 5 * SECOND), "the repeat waits until second 6");
        let unwanted = run(&mut book, "b", now);
        assert!(!book.take(&unwanted, now + 4 * SECOND));
        run(&mut book, "b", now + 4 * SECOND);
    }

    #[test]
    fn a_late_answer_does_not_settle_a_newer_request_with_the_same_key() {
        let (mut book, now) = (KeyBook::default(), Instant::now());
        let old = run(&mut book, "a", now);
        assert!(!book.take(&old, now + 4 * SECOND));
        let new = run(&mut book, "a", now + 4 * SECOND);
        book.settle(&old, &reply("1"), now + 5 * SECOND);
        assert!(book.take(&new, now + 5 * SECOND));
    }

    #[test]
    fn the_book_is_bounded_in_bytes_and_number_and_counts_what_it_evicts() {
        let (mut book, now) = (KeyBook::default(), Instant::now());
        let answer = reply(&format!("\"{}\"", "x".repeat(1024 * 1024)));
        for n in 0..40 {
            let first = run(&mut book, &n.to_string(), now);
            book.settle(&first, &answer, now);
            assert!(book.bytes <= MOST_BYTES);
        }
        assert!(book.take_evicted() >= 8);
        run(&mut book, "0", now);
        assert!(matches!(enter(&mut book, "39", 1, now), Entered::Answered(..)));
        // Everything is given back.
        run(&mut book, "later", now + KEPT_FOR);
        let left: usize = book.keys.keys().map(|key| cost(key, None)).sum();
        assert_eq!((book.answered.len(), book.bytes), (0, left));
    }

    #[test]
    fn what_runs_is_never_forgotten_and_too_much_is_refused() {
        let (mut book, now) = (KeyBook::default(), Instant::now());
        for n in 0..MOST_KEYS.min(MOST_BYTES / OVERHEAD) {
            run(&mut book, &n.to_string(), now);
            if book.bytes > MOST_BYTES {
                break;
            }
        }
        assert!(matches!(enter(&mut book, "x", 1, now), Entered::Full(1)));
        assert!(matches!(enter(&mut book, "0", 1, now), Entered::Waits), "it still runs");
        for n in 2..=MOST_WAITING as u32 {
            assert!(matches!(enter(&mut book, "0", n, now), Entered::Waits));
        }
        assert!(matches!(enter(&mut book, "0", 99, now), Entered::Full(99)));
        assert_eq!(book.take_evicted(), 0);
    }

    #[test]
    fn the_codes_are_those_of_the_client_protocol() {
        use wsmesh_protocol::ErrorCode;
        let codes = [ErrorCode::Overloaded, ErrorCode::Unavailable, ErrorCode::RateLimited];
        assert_eq!(NOT_CARRIED_OUT, codes.map(ErrorCode::as_str));
    }
}
