//! Who a client is and what it may do: by its `id` parameter in the demo profile, by a signed token or a one-time ticket in
//! production.
//!
//! `verify` reads what a token proves that `wsmesh_tokens` has verified, `tickets` are issued and redeemed by the
//! servers themselves, `permissions` is what a proof allows, `origins` which pages may connect. Knows neither HTTP nor
//! sockets: `http` finds what a request carries. Nothing here ever logs, counts or answers a token or a part of one.

mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod mint;
mod origins;
mod permissions;
mod settings;
pub(crate) mod subprotocol;
pub(crate) mod tickets;
mod verify;

use std::time::Duration;

use wsmesh_adapter::{Adapter, ClientId};
use wsmesh_tokens::{Jwks, JwksSource, VerifyError};

pub(crate) use error::{AuthError, Fault};
pub(crate) use permissions::{Grant, Lists, Overrides, Permissions};
pub(crate) use verify::Proof;

pub use mint::mint_token;
pub use settings::AuthSettings;

use crate::metrics::EntryMetrics;
use origins::Origins;
use tickets::Tickets;
use verify::Verifier;

/// What proves who a client is. Never shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Credential<'a> {
    /// A JWT.
    Token(&'a str),
    /// A one-time ticket.
    Ticket(&'a str),
}

/// Whether a client is known when it connects.
#[derive(Debug)]
pub(crate) enum Entry {
    /// It has proved who it is.
    Known(Proof),
    /// It has to do so in its first message.
    ByMessage,
}

/// How clients prove who they are.
#[derive(Debug)]
pub(crate) struct Auth {
    verifier: Option<Verifier>,
    tickets: Option<Tickets>,
    origins: Origins,
    cookie: Option<String>,
    /// A client may connect without a credential and show its token afterwards.
    by_message: bool,
    /// A client without a credential is trusted to be who it says it is.
    open: bool,
}

impl Auth {
    /// For settings that were checked; starts to fetch keys if the settings name a URL. `open`: clients are trusted to be who
    /// they say they are. The error says what to do.
    pub(crate) fn start(settings: &AuthSettings, open: bool, metrics: &EntryMetrics) -> Result<Self, String> {
        let jwks = settings.jwks_url.clone();
        let jwks = jwks
            .map(|url| {
                let metrics = metrics.clone();
                let source = JwksSource {
                    url,
                    refresh: settings.jwks_refresh,
                    setting: "--jwks-url",
                    without_keys: "until then this server is not ready",
                };
                Jwks::start(source, move |fetched| {
                    metrics.jwks_fetched(if fetched { "ok" } else { "failed" });
                })
            })
            .transpose()?;
        let tickets = settings.ticket_key.as_ref();
        Ok(Self {
            verifier: Verifier::new(settings, jwks)?,
            tickets: tickets
                .map(|key| Tickets::start(key, settings.key_overlap, settings.leeway, metrics))
                .transpose()?,
            origins: Origins::new(&settings.allowed_origins)?,
            cookie: settings.cookie.clone(),
            by_message: settings.by_message,
            open,
        })
    }

    /// Answers other servers that are shown this one's tickets, until the adapter ends.
    pub(crate) fn listen(&self, adapter: &Adapter) {
        if let Some(tickets) = &self.tickets {
            tickets.listen(adapter);
        }
    }

    /// Whether a page of this origin may connect: see [`Origins::check`].
    pub(crate) fn check_origin<'a>(&self, named: impl Iterator<Item = Option<&'a str>>) -> Result<(), AuthError> {
        self.origins.check(named)
    }

    /// The cookie that may hold a token.
    pub(crate) fn cookie(&self) -> Option<&str> {
        self.cookie.as_deref()
    }

    /// Who connects with this credential, or with this `id` where that is enough. Waits for another server for at most
    /// `limit`.
    pub(crate) async fn enter(
        &self,
        adapter: &Adapter,
        credential: Option<Credential<'_>>,
        id: Option<&str>,
        limit: Duration,
    ) -> Result<Entry, AuthError> {
        let proof = match (credential, &self.tickets) {
            (Some(Credential::Token(token)), _) if self.has_tokens() => self.verify(token).await?,
            (Some(Credential::Ticket(ticket)), Some(tickets)) => tickets.redeem(adapter, ticket, limit).await?,
            (None, _) if self.by_message && !(self.open && id.is_some()) => return Ok(Entry::ByMessage),
            _ if self.open => Proof::of_anyone(ClientId::new(id.ok_or(AuthError::NoId)?)?),
            (Some(Credential::Ticket(_)), _) => return Err(AuthError::NoTickets),
            _ => return Err(AuthError::NoToken),
        };
        Ok(Entry::Known(proof))
    }

    /// The tickets, if there are some.
    pub(crate) fn tickets(&self) -> Option<&Tickets> {
        self.tickets.as_ref()
    }

    /// Whether there are keys that verify tokens.
    pub(crate) fn has_tokens(&self) -> bool {
        self.verifier.is_some()
    }

    /// Who the bearer of a token is.
    pub(crate) async fn verify(&self, token: &str) -> Result<Proof, AuthError> {
        match &self.verifier {
            Some(verifier) => verifier.verify(token).await,
            None => Err(VerifyError::BadToken.into()),
        }
    }

    /// Whether tokens can be verified; if not, why.
    pub(crate) fn readiness(&self) -> Result<(), String> {
        match self.verifier.as_ref().and_then(Verifier::jwks) {
            Some(jwks) if !jwks.is_ready() => {
                Err("the keys that tokens are verified with were not fetched yet".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Ends the task that fetches keys.
    pub(crate) async fn stop(&self) {
        if let Some(jwks) = self.verifier.as_ref().and_then(Verifier::jwks) {
            jwks.stop().await;
        }
    }
}
