//! Logins as servers describe them to each other, and by which rule they are ranked.

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
    /// How long ago it came, when this was said.
    pub(super) age_us: Micros,
    /// Whether it counts against others, with `Oldest`.
    pub(super) settled: bool,
}

impl Login {
    pub(super) fn rank(&self) -> (u64, u64, u64) {
        (self.generation, self.instance, self.connection)
    }
}

/// What a message about logins is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Purpose {
    /// A login came, was raised or has settled. Every server that gets this answers and repeats its number.
    Claim(u64),
    /// The answer: what the sender has, possibly nothing.
    Answer(u64),
    /// What a claimant knows after answers, for those that lose by it.
    Verdict,
}

/// What servers tell each other about one client's logins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct News {
    pub(super) client: ClientId,
    pub(super) purpose: Purpose,
    /// The process that says it.
    pub(super) instance: u64,
    /// When, by its own clock: what it says later counts.
    pub(super) said_us: Micros,
    pub(super) logins: Vec<Login>,
}

/// What does not change.
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
