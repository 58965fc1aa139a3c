//! `refreshToken {token}`: a connected client shows a newer token, which extends its stay and replaces its permissions.

use std::time::Instant;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use wsmesh_adapter::ClientId;
use wsmesh_protocol::ErrorCode;

use super::work::Work;
use super::{Call, Refusal, rooms};
use crate::auth::{AuthError, Grant, Proof};
use crate::client::Session;
use crate::limits::Rate;
use crate::metrics::Limited;

/// Tokens that one client may show per second, and at once: each costs the check of a signature.
const RATE: (u32, u32) = (1, 10);

/// Payload of `authenticate` and `refreshToken`.
#[derive(Deserialize)]
struct Shown {
    token: String,
}

/// The token in a payload. The error does not quote the payload.
pub(crate) fn token(payload: &RawValue) -> Result<String, Refusal> {
    let shown: Result<Shown, _> = serde_json::from_str(payload.get());
    shown
        .map(|shown| shown.token)
        .map_err(|_| Refusal::new(ErrorCode::BadPayload, "write the token as {\"token\": \"JWT\"}"))
}

/// The reply to a client whose token is good: `{"ok":true,"client":ID,"expiresInMs":N}`; N is null if it may stay without limit.
pub(crate) fn welcome(client: &ClientId, grant: &Grant) -> Bytes {
    let left = grant.expires.map(|at| at.saturating_duration_since(Instant::now()));
    let left = left.map(|left| left.as_millis() as u64);
    Bytes::from(json!({"ok": true, "client": client, "expiresInMs": left}).to_string())
}

/// Replaces what the client was granted, if the token is valid and for the same client, and takes it out of rooms that it
/// may not be in any more. Of several tokens the one that was shown last counts, whichever took longest to verify.
pub(super) fn refresh(call: Call<'_>) -> Work {
    let session = call.session.clone();
    match token(call.payload).and_then(|token| Ok((token, number(&session)?))) {
        Ok((token, number)) => Work::later(call, async move {
            let proof = renewed(&session, &token).await.map_err(|error| {
                session.handler().edge.metrics.entry.auth_failed(error.reason());
                Refusal::new(ErrorCode::NotAllowed, error.to_string())
            })?;
            if let Some(before) = put_in_force(&session, number, proof) {
                rooms::leave_lost(&session, &before).await;
            }
            // What is in force now, by this token or by a newer one.
            let reply = welcome(session.client(), &session.handler().grant.borrow());
            Ok(reply)
        }),
        Err(refusal) => Work::Done(Err(refusal)),
    }
}

/// The number of one more token of this client, if it may show one.
fn number(session: &Session) -> Result<u32, Refusal> {
    let state = session.handler();
    let mut refreshes = state.refreshes.get();
    let allowed = Rate::new(RATE.0, RATE.1).is_none_or(|rate| refreshes.pace.take(rate, state.edge.now()));
    refreshes.shown += u32::from(allowed);
    state.refreshes.set(refreshes);
    if allowed {
        return Ok(refreshes.shown);
    }
    state.edge.metrics.frames.limited(Limited::Refreshes);
    Err(Refusal::new(
        ErrorCode::RateLimited,
        "too many tokens: show a new one when the last is about to expire",
    ))
}

/// What was granted before this token; None if a newer one is already in force.
fn put_in_force(session: &Session, number: u32, proof: Proof) -> Option<Grant> {
    let state = session.handler();
    let mut refreshes = state.refreshes.get();
    if number < refreshes.in_force {
        return None;
    }
    refreshes.in_force = number;
    state.refreshes.set(refreshes);
    session.set_claims(proof.claims);
    let overrides = state.grant.borrow().overrides.clone();
    let grant = match overrides {
        Some(overrides) => proof.grant.under(overrides),
        None => proof.grant,
    };
    Some(state.grant.replace(grant))
}

async fn renewed(session: &Session, token: &str) -> Result<Proof, AuthError> {
    let proof = session.handler().edge.auth.verify(token).await?;
    if proof.client == *session.client() {
        Ok(proof)
    } else {
        Err(AuthError::OtherClient)
    }
}
