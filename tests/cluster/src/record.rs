//! What is written down: messages that were sent, messages that arrived, times in which a client was connected, its closes. Plain
//! values; times are microseconds since the start of the run.

use std::time::Instant;

use parking_lot::Mutex;

/// The start of the run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now_us(self) -> u64 {
        self.0.elapsed().as_micros() as u64
    }
}

/// The identity of a message: its sender, and its number among those of this sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) sender: u32,
    pub(crate) number: u32,
}

/// Whom a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    /// The members of a room, the sender included.
    Room(u32),
    /// One client.
    Client(u32),
}

/// What became of a message, as its sender knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The server said that it has it.
    Accepted,
    /// The server said why it does not take it.
    Refused,
    /// The sender's connection broke before the answer: nobody promised anything.
    Unknown,
    /// The connection lasted, and no answer came.
    Silent,
}

/// A message that was sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) key: Key,
    pub(crate) to: To,
    pub(crate) at_us: u64,
    pub(crate) outcome: Outcome,
}

/// A message that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Received {
    pub(crate) key: Key,
    pub(crate) at_us: u64,
}

/// A time in which a client was connected and in its room, as the server had confirmed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Presence {
    pub(crate) from_us: u64,
    pub(crate) until_us: Option<u64>,
}

/// The end of an open connection.
#[derive(Debug, Clone)]
pub(crate) struct Close {
    pub(crate) at_us: u64,
    /// The close code, or what else ended it.
    pub(crate) why: String,
    /// When the client was connected again.
    pub(crate) back_us: Option<u64>,
}

/// Everything that one client wrote down.
#[derive(Debug, Default, Clone)]
pub(crate) struct Diary {
    pub(crate) room: u32,
    pub(crate) sent: Vec<Sent>,
    pub(crate) received: Vec<Received>,
    pub(crate) presences: Vec<Presence>,
    pub(crate) closes: Vec<Close>,
    /// Attempts to connect that failed.
    pub(crate) failed_attempts: u64,
    /// Refusals, as the server put them.
    pub(crate) refusals: Vec<String>,
    /// Messages that this program itself did not keep up with: then its counts mean nothing.
    pub(crate) missed: u64,
    /// Messages that were not sent because too many waited for their answers.
    pub(crate) held_back: u64,
}

/// A client's diary, which its tasks share.
#[derive(Debug, Default)]
pub(crate) struct Book(Mutex<Diary>);

impl Book {
    pub(crate) fn new(room: u32) -> Self {
        Self(Mutex::new(Diary {
            room,
            ..Diary::default()
        }))
    }

    pub(crate) fn write<T>(&self, note: impl FnOnce(&mut Diary) -> T) -> T {
        note(&mut self.0.lock())
    }

    pub(crate) fn is_present(&self) -> bool {
        let open = |presence: &Presence| presence.until_us.is_none();
        self.0.lock().presences.last().is_some_and(open)
    }
}
