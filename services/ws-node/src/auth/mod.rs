//! Who a client is and what it may do: by its `id` parameter in the demo profile, by a signed token or a one-time ticket in
//! production.
//!
//! `source` finds what a request carries, `verify` proves it with `keys` (of a file, or fetched by `jwks`), `permissions` is
//! what it allows, `origins` which pages may connect. `tickets` are given out and redeemed by the servers themselves;
//! `first_message` is for clients that show their token after the upgrade. Nothing here ever logs, counts or answers a token or a part of one.

mod error;
pub(crate) mod first_message;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod jwks;
mod keys;
mod mint;
mod origins;
mod permissions;
mod settings;
mod source;
pub(crate) mod tickets;
mod verify;

use std::time::Duration;

use axum::http::HeaderMap;
use wsmesh_adapter::{Adapter, ClientId};
use wsmesh_protocol::Params;

pub(crate) use error::{Answer, AuthError};
pub(crate) use permissions::Grant;
pub(crate) use source::subprotocol;
pub(crate) use verify::Proof;

pub use mint::mint_token;
pub use settings::AuthSettings;

use crate::metrics::Metrics;
use first_message::{Place, WaitingRoom};
use jwks::Jwks;
use origins::Origins;
use source::Credential;
use tickets::Tickets;
use verify::Verifier;

/// Who comes in by an upgrade.
#[derive(Debug)]
pub(crate) enum Entry {
    /// Somebody who has proved who it is.
    Known(Proof),
    /// Somebody who is going to, in its first message.
    Waiting(Place),
}

/// How clients prove who they are.
#[derive(Debug)]
pub(crate) struct Auth {
    verifier: Option<Verifier>,
    tickets: Option<Tickets>,
    /// For those who show their token after the upgrade.
    waiting: Option<WaitingRoom>,
    origins: Origins,
    cookie: Option<String>,
    /// Whoever shows nothing is who it says it is.
    open: bool,
}

impl Auth {
    /// What the settings ask for, which were checked; begins to fetch keys, if some are to be fetched. `open` is whether
    /// clients are believed who they say they are. The error says what to do.
    pub(crate) fn start(settings: &AuthSettings, open: bool, metrics: &Metrics) -> Result<Self, String> {
        let jwks = settings.jwks_url.clone();
        let jwks = jwks
            .map(|url| Jwks::start(url, settings.jwks_refresh, metrics.clone()))
            .transpose()?;
        let tickets = settings.ticket_key.as_ref();
        Ok(Self {
            verifier: Verifier::new(settings, jwks)?,
            tickets: tickets.map(|key| Tickets::new(key, settings, metrics)).transpose()?,
            waiting: settings
                .by_message
                .then(|| WaitingRoom::new(metrics.unauthenticated.clone())),
            origins: Origins::new(&settings.allowed_origins)?,
            cookie: settings.cookie.clone(),
            open,
        })
    }

    /// Answers other servers that are shown this one's tickets, until the adapter ends.
    pub(crate) fn listen(&self, adapter: &Adapter) {
        if let Some(tickets) = &self.tickets {
            tickets.listen(adapter);
        }
    }

    /// Who asks to connect, if it may. Another server is waited for as long as for any request.
    pub(crate) async fn enter(
        &self,
        adapter: &Adapter,
        params: &Params,
        headers: &HeaderMap,
        limit: Duration,
    ) -> Result<Entry, AuthError> {
        self.origins.check(headers)?;
        let shown = source::find(params, headers, self.cookie.as_deref());
        let proof = match (shown, &self.tickets, &self.waiting) {
            (Some(Credential::Token(token)), ..) if self.has_tokens() => self.verify(token).await?,
            (Some(Credential::Ticket(ticket)), Some(tickets), _) => tickets.redeem(adapter, ticket, limit).await?,
            (_, _, Some(waiting)) if shown.is_none() && !(self.open && params.one("id").is_some()) => {
                return Ok(Entry::Waiting(waiting.place()?));
            }
            _ if self.open => Proof::of_anyone(ClientId::new(params.one("id").ok_or(AuthError::NoId)?)?),
            (Some(Credential::Ticket(_)), ..) => return Err(AuthError::NoTickets),
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
            None => Err(AuthError::BadToken),
        }
    }

    /// Whether clients can be told apart; if not, why.
    pub(crate) fn readiness(&self) -> Result<(), String> {
        match self.verifier.as_ref().and_then(Verifier::jwks) {
            Some(jwks) if !jwks.is_ready() => {
                Err("the keys that tokens are verified with were not fetched yet".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Ends what runs beside.
    pub(crate) async fn stop(&self) {
        if let Some(jwks) = self.verifier.as_ref().and_then(Verifier::jwks) {
            jwks.stop().await;
        }
    }
}
