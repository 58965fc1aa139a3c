//! Logins as servers describe them to each other, and the rule that ranks them.

use serde::{Deserialize, Serialize};
use wsmesh_adapter::ClientId;

use super::LoginPolicy;

/// Microseconds of this process's monotonic clock.
pub(super) type Micros = u64;

/// One login, as its server describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Login {
    /// The process that has it.
    pub(super) instance: u64,
    pub(super) connection: u64,
    pub(super) generation: u64,
    /// How long ago it came, at the time of the message.
    pub(super) age_us: Micros,
    /// Whether it counts against others; for `Oldest`.
    pub(super) settled: bool,
}

impl Login {
    pub(super) fn rank(&self) -> (u64, u64, u64) {
        (self.generation, self.instance, self.connection)
    }
}

/// The purpose of a message about logins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Purpose {
    /// A login came, was raised or has settled. Every server that gets this answers and repeats its number.
    Claim(u64),
    /// The answer: the logins of the sender, possibly none.
    Answer(u64),
    /// What a claimant knows after the answers, for servers whose logins lose.
    Verdict,
}

/// A message between servers about one client's logins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct News {
    pub(super) client: ClientId,
    pub(super) purpose: Purpose,
    /// The process that sent it.
    pub(super) instance: u64,
    /// When it was sent, by its own clock: its latest message counts.
    pub(super) said_us: Micros,
    pub(super) logins: Vec<Login>,
}

/// What does not change during the life of a process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) policy: LoginPolicy,
    /// How many logins of one client stay.
    pub(super) most: usize,
    /// This process.
    pub(super) instance: u64,
    /// The wall clock, in microseconds since the Unix epoch, when the monotonic one was 0.
    pub(super) epoch_us: u64,
}

impl Rules {
    /// Whether a login loses against the others among these.
    pub(super) fn loses(&self, login: &Login, all: &[Login]) -> bool {
        let beats = |other: &&Login| match self.policy {
            LoginPolicy::Newest => other.rank() > login.rank(),
            LoginPolicy::Oldest => other.settled && other.rank() < login.rank(),
            LoginPolicy::Many => false,
        };
        all.iter().filter(beats).count() >= self.most
    }
}
