//! The tickets that this server issued and that nobody has used yet. Bounded in number and bytes; each is taken out once.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

/// Most tickets that are outstanding at once.
const MOST: usize = 100_000;

/// Most bytes of what the tickets stand for.
const MOST_BYTES: usize = 32 * 1024 * 1024;

/// The number of a ticket: random, nobody can guess it.
pub(super) type Nonce = u128;

/// Outstanding tickets.
#[derive(Debug, Default)]
pub(super) struct Book<T> {
    tickets: HashMap<Nonce, Entry<T>>,
    /// When each ticket ends, soonest first.
    ends: BTreeSet<(Instant, Nonce)>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry<T> {
    content: T,
    until: Instant,
    bytes: usize,
}

impl<T> Book<T> {
    pub(super) fn new() -> Self {
        Self {
            tickets: HashMap::new(),
            ends: BTreeSet::new(),
            bytes: 0,
        }
    }

    /// Adds a ticket; `bytes` is about what it takes. `false` if the book is full.
    pub(super) fn put(&mut self, nonce: Nonce, content: T, until: Instant, bytes: usize, now: Instant) -> bool {
        self.forget_ended(now);
        if self.tickets.len() >= MOST || self.bytes + bytes > MOST_BYTES {
            return false;
        }
        self.bytes += bytes;
        self.ends.insert((until, nonce));
        let entry = Entry { content, until, bytes };
        self.tickets.insert(nonce, entry);
        true
    }

    /// Takes a ticket out: None if it was used, has ended, or never existed.
    pub(super) fn take(&mut self, nonce: Nonce, now: Instant) -> Option<T> {
        self.forget_ended(now);
        let Entry { content, until, bytes } = self.tickets.remove(&nonce)?;
        self.ends.remove(&(until, nonce));
        self.bytes -= bytes;
        Some(content)
    }

    /// How many are outstanding.
    pub(super) fn len(&self) -> usize {
        self.tickets.len()
    }

    fn forget_ended(&mut self, now: Instant) {
        while let Some((until, nonce)) = self.ends.first().copied().filter(|(until, _)| *until <= now) {
            self.ends.remove(&(until, nonce));
            if let Some(entry) = self.tickets.remove(&nonce) {
                self.bytes -= entry.bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_ticket_is_taken_out_once_and_not_after_its_end() {
        let (mut book, now) = (Book::new(), Instant::now());
        assert!(book.put(1, "one", now + SECOND, 10, now) && book.put(2, "two", now + SECOND, 10, now));
        assert_eq!(
            (book.take(1, now), book.take(1, now), book.take(3, now)),
            (Some("one"), None, None)
        );
        assert_eq!(book.take(2, now + SECOND), None);
        assert_eq!((book.len(), book.bytes, book.ends.len()), (0, 0, 0));
    }

    #[test]
    fn a_full_book_takes_no_more_until_some_have_ended_or_were_used() {
        let (mut book, now) = (Book::new(), Instant::now());
        for nonce in 0..MOST as u128 {
            let lasts = if nonce % 2 == 0 { SECOND } else { 2 * SECOND };
            assert!(book.put(nonce, (), now + lasts, 1, now));
        }
        assert!(!book.put(u128::MAX, (), now + SECOND, 1, now));
        assert!(book.take(1, now).is_some() && book.put(u128::MAX, (), now + 2 * SECOND, 1, now));
        assert!(book.put(u128::MAX - 1, (), now + 2 * SECOND, MOST_BYTES / 2, now + SECOND));
        assert_eq!(book.len(), MOST / 2 + 1);
        assert!(
            !book.put(u128::MAX - 2, (), now + 2 * SECOND, MOST_BYTES / 2, now + SECOND),
            "bytes are limited, too"
        );
    }
}
