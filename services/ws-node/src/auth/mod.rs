//! Who a client is and what it may do: by its `id` parameter in the demo profile, by a signed token or a one-time ticket in
//! production.
//!
//! `source` finds what a request carries, `verify` proves it with `keys` (of a file, or fetched by `jwks`), `permissions` is
//! what it allows, `origins` which pages may connect. Nothing here ever logs, counts or answers a token or a part of one.

mod error;
mod jwks;
mod keys;
mod mint;
mod origins;
mod permissions;
mod settings;
mod source;
mod verify;

use axum::http::HeaderMap;
use wsmesh_adapter::ClientId;
use wsmesh_protocol::Params;

pub(crate) use error::{Answer, AuthError};
pub(crate) use permissions::Grant;
pub(crate) use source::{SUBPROTOCOL, offers_subprotocol};
pub(crate) use verify::Proof;

pub use mint::mint_token;
pub use settings::AuthSettings;

use crate::metrics::Metrics;
use jwks::Jwks;
use origins::Origins;
use source::Credential;
use verify::Verifier;

/// How clients prove who they are.
#[derive(Debug)]
pub(crate) struct Auth {
    verifier: Option<Verifier>,
    origins: Origins,
    cookie: Option<String>,
    /// Whoever shows nothing is who it says it is.
    open: bool,
}

impl Auth {
    /// What the settings ask for; begins to fetch keys, if some are to be fetched. `open` is whether clients are believed who
    /// they say they are. The error says what to do.
    pub(crate) fn start(settings: &AuthSettings, open: bool, metrics: &Metrics) -> Result<Self, String> {
        if let Some((setting, problem)) = settings.problems(open).into_iter().next() {
            return Err(format!("{setting}: {problem}"));
        }
        let jwks = settings.jwks_url.as_deref();
        let jwks = jwks
            .map(|url| Jwks::start(url, settings.jwks_refresh, metrics.clone()))
            .transpose()?;
        Ok(Self {
            verifier: Verifier::new(settings, jwks)?,
            origins: Origins::new(&settings.allowed_origins)?,
            cookie: settings.cookie.clone(),
            open,
        })
    }

    /// Who asks to connect, if it may.
    pub(crate) async fn enter(&self, params: &Params, headers: &HeaderMap) -> Result<Proof, AuthError> {
        self.origins.check(headers)?;
        match (source::find(params, headers, self.cookie.as_deref()), &self.verifier) {
            (Some(Credential::Token(token)), Some(_)) => self.verify(token).await,
            _ if self.open => Ok(Proof {
                client: ClientId::new(params.one("id").ok_or(AuthError::NoId)?)?,
                grant: Grant::default(),
            }),
            (Some(Credential::Ticket(_)), _) => Err(AuthError::NoTickets),
            _ => Err(AuthError::NoToken),
        }
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
