//! One-time tickets: an application's backend gets one for a client, and the client connects with it, to any ws-node.
//!
//! The ws-nodes share no store, so a ticket names the server that issued it. A server that gets a ticket asks that one,
//! which accepts it once. If it is gone, so are its tickets. Tickets are signed with a key that all ws-nodes have, so a forged
//! one causes no request; what a ticket stands for never leaves the servers.

mod book;
mod keys;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, Header, TokenData, Validation};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use wsmesh_adapter::{Adapter, ClientId, Payload, RequestError, RequestOptions, ServerEvent, ServerName, Target};
use wsmesh_bootstrap::SecretFile;

use book::{Book, Nonce};
use keys::Keys;

use super::error::AuthError;
use super::permissions::{Grant, Lists, Permissions};
use super::verify::Proof;
use crate::metrics::EntryMetrics;

/// Request to the ws-node that issued a ticket. It answers once with what the ticket stands for, else with null.
const REDEEM: &str = "wsmesh.ticketRedeem";

/// The type in a ticket's header, so that a ticket is not mistaken for another token.
const TYPE: &str = "wsmesh-ticket";

/// How long a ticket is valid by default.
pub(crate) const DEFAULT_TTL: Duration = Duration::from_secs(30);

/// Longest time that a ticket may be valid.
pub(crate) const LONGEST_TTL: Duration = Duration::from_secs(600);

/// What a ticket stands for.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Voucher {
    pub(crate) client: ClientId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rooms: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) events: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) publish: Option<serde_json::Value>,
    /// How long the connection may last, in milliseconds. None: without limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stay_ms: Option<u64>,
}

/// What a ticket says: which server issued it, its number there, and until when it is valid.
#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    jti: String,
    exp: u64,
}

/// Issues tickets and redeems them.
pub(crate) struct Tickets {
    keys: Keys,
    validation: Validation,
    book: Arc<Mutex<Book<Voucher>>>,
    metrics: EntryMetrics,
}

impl Tickets {
    /// The error says what to do.
    pub(super) fn start(
        file: &SecretFile,
        overlap: Duration,
        leeway: Duration,
        metrics: &EntryMetrics,
    ) -> Result<Self, String> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = leeway.as_secs();
        validation.validate_aud = false;
        Ok(Self {
            keys: Keys::start(file, overlap)?,
            validation,
            book: Arc::new(Mutex::new(Book::new())),
            metrics: metrics.clone(),
        })
    }

    /// Answers the requests of other servers, until the adapter ends.
    pub(super) fn listen(&self, adapter: &Adapter) {
        let (book, metrics) = (Arc::clone(&self.book), self.metrics.clone());
        adapter.on(REDEEM, move |event| {
            let voucher = nonce_of(&event).and_then(|nonce| take(&book, nonce, &metrics));
            answer(event, voucher)
        });
    }

    /// Whether this is a key of the API; takes the same time for every wrong one.
    pub(crate) fn is_api_key(&self, shown: &[u8]) -> bool {
        self.keys.let_in(shown)
    }

    /// Issues a ticket that is valid for `ttl`; None if too many are outstanding. `bytes` is about what the voucher takes.
    pub(crate) fn issue(&self, server: &ServerName, voucher: Voucher, ttl: Duration, bytes: usize) -> Option<String> {
        let (nonce, now): (Nonce, _) = (rand::random(), Instant::now());
        let ends = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + ttl;
        let claims = Claims {
            iss: server.to_string(),
            jti: format!("{nonce:032x}"),
            // Not before the book forgets it.
            exp: ends.as_secs() + 1,
        };
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some(TYPE.to_owned());
        let ticket = self.keys.sign(&header, &claims)?;
        let mut book = self.book.lock();
        let has_room = book.put(nonce, voucher, now + ttl, bytes, now);
        self.metrics.tickets.set(book.len() as i64);
        has_room.then_some(ticket)
    }

    /// Who the bearer of a ticket is. The ticket cannot be used again, whatever the result.
    pub(super) async fn redeem(&self, adapter: &Adapter, ticket: &str, limit: Duration) -> Result<Proof, AuthError> {
        let (server, nonce) = self.open(ticket)?;
        let question = Payload::new(&nonce).map_err(|_| AuthError::BadTicket)?;
        let options = RequestOptions {
            timeout: Some(limit),
            ..RequestOptions::default()
        };
        let reply = adapter.call(Target::Server(server), REDEEM, question, options).await;
        let reply = reply.map_err(|error: RequestError| {
            tracing::debug!(%error, "the server that issued a ticket does not answer");
            AuthError::LostTicket
        })?;
        let voucher: Option<Voucher> = reply.payload.parse().map_err(|_| AuthError::LostTicket)?;
        voucher.ok_or(AuthError::UsedTicket)?.into_proof()
    }

    /// Which server issued a ticket, and its number there.
    fn open(&self, ticket: &str) -> Result<(ServerName, String), AuthError> {
        let opened: TokenData<Claims> = self.keys.open(ticket, &self.validation)?;
        if opened.header.typ.as_deref() != Some(TYPE) {
            return Err(AuthError::BadTicket);
        }
        let server = ServerName::new(opened.claims.iss).map_err(|_| AuthError::BadTicket)?;
        Ok((server, opened.claims.jti))
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

impl Voucher {
    /// Who its bearer is and what it may do.
    pub(crate) fn into_proof(self) -> Result<Proof, AuthError> {
        let expires = self
            .stay_ms
            .and_then(|ms| Instant::now().checked_add(Duration::from_millis(ms)));
        let permissions = Permissions::read(Lists {
            rooms: self.rooms.as_ref(),
            events: self.events.as_ref(),
            publish: self.publish.as_ref(),
        })?;
        Ok(Proof {
            client: self.client,
            grant: Grant {
                expires,
                permissions,
                overrides: None,
            },
            claims: None,
            data: None,
        })
    }
}

fn nonce_of(event: &ServerEvent) -> Option<Nonce> {
    let nonce: String = event.payload.parse().ok()?;
    Nonce::from_str_radix(&nonce, 16).ok()
}

fn take(book: &Mutex<Book<Voucher>>, nonce: Nonce, metrics: &EntryMetrics) -> Option<Voucher> {
    let mut book = book.lock();
    let voucher = book.take(nonce, Instant::now());
    metrics.tickets.set(book.len() as i64);
    voucher
}

async fn answer(event: ServerEvent, voucher: Option<Voucher>) {
    let payload = Payload::new(&voucher).unwrap_or_else(|_| Payload::null());
    if let Err(error) = event.reply(payload).await {
        tracing::debug!(%error, "a server that was shown a ticket could not be answered");
    }
}
