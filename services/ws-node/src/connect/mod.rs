//! The connect hook: a backend says who may connect, as whom, and what the client may do.
//!
//! It is asked before an upgrade is answered, once for each. `question` is what it is told, `answer` what it may say; every
//! answer that cannot be used lets nobody in. A call waits in the upgrade that it is for, and ends with it. Nothing of a
//! question or an answer is logged or counted, except what is wrong with an answer.

mod answer;
mod question;
pub(crate) mod settings;

use std::time::Duration;

use wsmesh_adapter::{ClientId, Room, ServerName};

use crate::auth::{Overrides, Proof};
use crate::backends::{Backend, Failure, Shared};
use crate::metrics::{HookMetrics, HookOutcome};
use crate::quiet::Quiet;
use answer::Permission;
pub(crate) use question::{Asked, Asker};
pub use settings::{Connect, ConnectHook, HookMode};

/// The name of the hook in the metrics of backends.
const LABEL: &str = "connect";

/// The connect hook in use.
pub(crate) struct Hook {
    backend: Backend,
    settings: ConnectHook,
    server: ServerName,
    metrics: HookMetrics,
    quiet: Quiet,
}

/// A client that the hook lets in.
pub(crate) struct Admitted {
    /// Who it is, and what is known about it by now.
    pub(crate) proof: Proof,
    /// The rooms that it joins at once.
    pub(crate) rooms: Vec<Room>,
}

/// Why the hook lets a client not in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The hook answered 401.
    Unauthorized,
    /// The hook answered 403.
    Forbidden,
    /// The hook did not say, or not in a way that can be used. When to try again, if it said so.
    Unanswered(Option<Duration>),
}

impl Hook {
    /// For settings that were checked. The error says what to do.
    pub(crate) fn new(
        settings: &ConnectHook,
        server: ServerName,
        shared: &Shared,
        metrics: HookMetrics,
    ) -> Result<Self, String> {
        let backend = Backend::new(LABEL, settings.destination(), shared);
        Ok(Self {
            backend: backend.map_err(|problem| format!("connect: {problem}"))?,
            settings: settings.clone(),
            server,
            metrics,
            quiet: Quiet::default(),
        })
    }

    /// Whether clients prove themselves before it is asked.
    pub(crate) fn mode(&self) -> HookMode {
        self.settings.mode
    }

    /// What it has to be told about a request, to be asked later.
    pub(crate) fn for_later(&self, asker: Asker<'_>) -> Asked {
        Asked::new(asker, &self.settings)
    }

    /// Asks whether a client may connect that has not proved who it is.
    pub(crate) async fn identify(&self, asker: Asker<'_>) -> Result<Admitted, Refused> {
        let permission = self.ask(asker, None).await?;
        let Some(client) = permission.client.clone() else {
            return Err(self.unusable("`client` is missing: say who the client is"));
        };
        self.metrics.count(HookOutcome::Allowed);
        Ok(permission.of_client(client))
    }

    /// Asks whether a client may connect that has proved who it is.
    pub(crate) async fn confirm(&self, asker: Asker<'_>, proof: Proof) -> Result<Admitted, Refused> {
        let permission = self.ask(asker, Some(&proof)).await?;
        if permission.client.as_ref().is_some_and(|named| *named != proof.client) {
            return Err(self.unusable("`client` is not the client of the token: leave it out"));
        }
        self.metrics.count(HookOutcome::Allowed);
        Ok(permission.of_proof(proof))
    }

    async fn ask(&self, asker: Asker<'_>, proof: Option<&Proof>) -> Result<Permission, Refused> {
        let Some(question) = question::event(&asker, proof, &self.settings, &self.server) else {
            return Err(self.unusable("it cannot be asked about this request"));
        };
        let answered = self.backend.post(question, self.settings.timeout()).await;
        let answer = answered.map_err(|failure| self.failed(&failure))?;
        match answer.status.as_u16() {
            200 => answer::read(&answer.body).map_err(|problem| self.unusable(&problem)),
            401 => {
                self.metrics.count(HookOutcome::Refused);
                Err(Refused::Unauthorized)
            }
            403 => {
                self.metrics.count(HookOutcome::Refused);
                Err(Refused::Forbidden)
            }
            status => {
                self.metrics.count(HookOutcome::Failed);
                self.log(&format!("it answered {status}: answer 200, 401 or 403"));
                Err(Refused::Unanswered(answer.retry_after))
            }
        }
    }

    fn failed(&self, failure: &Failure) -> Refused {
        self.metrics.count(match failure {
            Failure::Overloaded => HookOutcome::Overloaded,
            Failure::TimedOut => HookOutcome::TimedOut,
            Failure::Unavailable => HookOutcome::Failed,
            Failure::BadAnswer(_) => HookOutcome::Unusable,
        });
        self.log(&failure.to_string());
        Refused::Unanswered(None)
    }

    fn unusable(&self, problem: &str) -> Refused {
        self.metrics.count(HookOutcome::Unusable);
        self.log(problem);
        Refused::Unanswered(None)
    }

    /// Logs what is wrong, if it is time to.
    fn log(&self, problem: &str) {
        if let Some(refused) = self.quiet.count(1) {
            let url = &self.settings.url;
            tracing::warn!(%url, refused, "the connect hook cannot be used, and clients were rejected: {problem}");
        }
    }
}

/// A client that no hook was asked about.
impl From<Proof> for Admitted {
    fn from(proof: Proof) -> Self {
        let rooms = Vec::new();
        Self { proof, rooms }
    }
}

impl Permission {
    /// Of a client that only the hook knows.
    fn of_client(self, client: ClientId) -> Admitted {
        let mut proof = Proof::of_anyone(client);
        proof.grant.expires = self.overrides.expires;
        proof.grant.permissions = self.overrides.permissions;
        proof.data = self.data;
        let rooms = self.rooms;
        Admitted { proof, rooms }
    }

    /// Of a client with a token: what the hook says restricts what the token, and any later one, allows.
    fn of_proof(self, mut proof: Proof) -> Admitted {
        if self.overrides != Overrides::default() {
            proof.grant = proof.grant.under(self.overrides.into());
        }
        proof.data = self.data;
        let rooms = self.rooms;
        Admitted { proof, rooms }
    }
}
