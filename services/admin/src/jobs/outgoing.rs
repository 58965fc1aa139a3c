//! What this admin still has to tell other admins about jobs. State without I/O: a set, so that a job that changes often is told once.

use std::collections::BTreeSet;

use wsmesh_adapter::ServerName;

/// Most that may wait. Beyond it nothing is taken: an admin that misses something asks for everything when it sees the others again.
const MOST: usize = 4096;

/// One thing to tell.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Letter {
    /// A job, to all other admins.
    Job(String),
    /// A job, to an admin that knows less about it.
    JobTo(ServerName, String),
    /// All jobs, to an admin that asked for them.
    AllTo(ServerName),
    /// The question for all jobs, to an admin that appeared.
    AskOf(ServerName),
}

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    letters: BTreeSet<Letter>,
}

impl Outgoing {
    pub(super) fn put(&mut self, letter: Letter) {
        if self.letters.len() < MOST {
            self.letters.insert(letter);
        } else {
            tracing::warn!(?letter, "too much waits to be told to other admins: this is not told");
        }
    }

    /// News first, in the order in which the variants are declared.
    pub(super) fn take(&mut self) -> Option<Letter> {
        self.letters.pop_first()
    }
}
