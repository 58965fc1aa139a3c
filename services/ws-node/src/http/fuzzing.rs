//! What fuzzers call: `tests/fuzz`, and a property test here that needs no fuzzer. Not part of the interface.

use axum::http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderValue, ORIGIN, SEC_WEBSOCKET_PROTOCOL};
use wsmesh_protocol::{ParamOptions, Params};

use super::credentials::{self, origins};
use super::introduction::introduce;
use crate::auth::{Credential, fuzzing};

/// Reads bytes as everything that a stranger may write into a request: query, headers, token, claims. Also as a JWKS.
///
/// # Panics
/// When somebody is let in, or a credential of a parameter is shown to services, which is a bug.
pub fn credentials(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let query = String::from_utf8_lossy(line()).into_owned();
    let params = Params::parse("/", &query, ParamOptions::default());
    let names = [AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL, COOKIE, ORIGIN];
    let headers = names.map(|name| Some((name, HeaderValue::from_bytes(line()).ok()?)));
    let headers: HeaderMap = headers.into_iter().flatten().collect();
    fuzzing::named_origins(origins(&headers));
    credentials::subprotocol(&headers, &[]);
    let found = credentials::find(&params, &headers, Some("session"));
    if let Some(Credential::Token(text) | Credential::Ticket(text)) = found {
        fuzzing::forged_token(text);
    }
    fuzzing::forged_token(&query);
    let shown = [AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL, COOKIE].map(|name| name.to_string());
    let introduction = introduce(params, &headers, &shown, None);
    assert!(
        !introduction.params.contains_key("token") && !introduction.params.contains_key("ticket"),
        "a credential is shown"
    );
    fuzzing::keys_and_claims(bytes);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    const TOKEN: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI4ODgiLCJleHAiOjk5OTk5OTk5OTl9.c2lnbmF0dXJl";

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]
        #[test]
        fn damaged_requests_let_nobody_in(
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            cut in any::<prop::sample::Index>(),
            whole in any::<bool>(),
        ) {
            let mut bytes = format!(
                "token={TOKEN}&ticket=\nBearer {TOKEN}\nwsmesh, bearer.{TOKEN}\na=b; session={TOKEN}\nhttps://a.example.org"
            )
            .into_bytes();
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if !whole {
                bytes.truncate(cut.index(bytes.len()));
            }
            super::credentials(&bytes);
        }

        #[test]
        fn any_bytes_let_nobody_in(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            super::credentials(&bytes);
        }
    }
}
