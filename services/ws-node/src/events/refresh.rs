//! `refreshToken {token}`: a client that is connected shows a newer token, which extends its stay and says anew what it may do.

use std::time::Instant;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use wsmesh_adapter::ClientId;
use wsmesh_protocol::ErrorCode;

use super::{Call, Refusal, Work, rooms};
use crate::auth::{AuthError, Grant, Proof};
use crate::engine::Session;
use crate::limits::Rate;
use crate::metrics::Limited;

/// Tokens that one client may show per second, and at once: each costs a signature.
const RATE: (u32, u32) = (1, 10);

/// Payload of `authenticate` and `refreshToken`.
#[derive(Deserialize)]
struct Shown {
    token: String,
}

/// The token in a payload. What is wrong with a payload is not said by quoting it.
pub(crate) fn token(payload: &RawValue) -> Result<String, Refusal> {
    let shown: Result<Shown, _> = serde_json::from_str(payload.get());
    shown
        .map(|shown| shown.token)
        .map_err(|_| Refusal::new(ErrorCode::BadPayload, "write the token as {\"token\": \"JWT\"}"))
}

/// The reply to a client whose token is good: `{"ok":true,"client":ID,"expiresInMs":N}`; N is null if it stays for good.
pub(crate) fn welcome(client: &ClientId, grant: &Grant) -> Bytes {
    let left = grant.expires.map(|at| at.saturating_duration_since(Instant::now()));
    let left = left.map(|left| left.as_millis() as u64);
    Bytes::from(json!({"ok": true, "client": client, "expiresInMs": left}).to_string())
}

/// Changes what the client was granted, if the token is good and for the same client, and takes it out of rooms that it lost
/// by that. Of several tokens the one
/// counts that was shown last, whichever took longest to verify.
pub(super) fn refresh(call: Call<'_>) -> Work {
    let session = call.session.clone();
    match token(call.payload).and_then(|token| Ok((token, number(&session)?))) {
        Ok((token, number)) => Work::later(call, async move {
            let proof = renewed(&session, &token).await.map_err(|error| {
                session.edge().metrics.auth_failed(error.reason());
                Refusal::new(ErrorCode::NotAllowed, error.to_string())
            })?;
            if let Some(before) = put_in_force(&session, number, proof) {
                rooms::leave_lost(&session, &before).await;
            }
            // What is in force now, by this token or by a newer one.
            let reply = welcome(&session.link.client, &session.link.grant.borrow());
            Ok(reply)
        }),
        Err(refusal) => Work::Done(Err(refusal)),
    }
}

/// The number of one more token of this client, if it may show one.
fn number(session: &Session) -> Result<u32, Refusal> {
    let mut refreshes = session.link.refreshes.get();
    let allowed = Rate::new(RATE.0, RATE.1).is_none_or(|rate| refreshes.pace.take(rate, session.edge().now()));
    refreshes.shown += u32::from(allowed);
    session.link.refreshes.set(refreshes);
    if allowed {
        return Ok(refreshes.shown);
    }
    session.edge().metrics.limited(Limited::Refreshes);
    Err(Refusal::new(
        ErrorCode::RateLimited,
        "too many tokens: show a new one when the last is about to expire",
    ))
}

/// What was granted before this token; None if a newer one is in force already.
fn put_in_force(session: &Session, number: u32, proof: Proof) -> Option<Grant> {
    let link = &session.link;
    let mut refreshes = link.refreshes.get();
    if number < refreshes.in_force {
        return None;
    }
    refreshes.in_force = number;
    link.refreshes.set(refreshes);
    Some(link.grant.replace(proof.grant))
}

async fn renewed(session: &Session, token: &str) -> Result<Proof, AuthError> {
    let proof = session.edge().auth.verify(token).await?;
    if proof.client == session.link.client {
        Ok(proof)
    } else {
        Err(AuthError::OtherClient)
    }
}
