//! `refreshToken {token}`: a client that is connected shows a newer token, which extends its stay and says anew what it may do.

use std::time::Instant;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use wsmesh_protocol::ErrorCode;

use super::{Call, Refusal, Work};
use crate::auth::{AuthError, Proof};
use crate::engine::Session;

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
pub(crate) fn welcome(proof: &Proof) -> Bytes {
    let left = proof
        .grant
        .expires
        .map(|at| at.saturating_duration_since(Instant::now()));
    let left = left.map(|left| left.as_millis() as u64);
    Bytes::from(json!({"ok": true, "client": proof.client, "expiresInMs": left}).to_string())
}

/// Changes what the client was granted, if the token is good and for the same client; nothing else.
pub(super) fn refresh(call: Call<'_>) -> Work {
    let session = call.session.clone();
    match token(call.payload) {
        Ok(token) => Work::later(async move {
            let proof = renewed(&session, &token).await.map_err(|error| {
                session.edge().metrics.auth_failed(error.reason());
                Refusal::new(ErrorCode::NotAllowed, error.to_string())
            })?;
            let reply = welcome(&proof);
            session.link.grant.replace(proof.grant);
            Ok(reply)
        }),
        Err(refusal) => Work::Done(Err(refusal)),
    }
}

async fn renewed(session: &Session, token: &str) -> Result<Proof, AuthError> {
    let proof = session.edge().auth.verify(token).await?;
    if proof.client == session.link.client {
        Ok(proof)
    } else {
        Err(AuthError::OtherClient)
    }
}
