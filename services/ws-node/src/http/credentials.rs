//! Where a request carries the credential of its client. The first place that has one counts; the others are not read,
//! so a second token never replaces a wrong one.

use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, COOKIE, HeaderValue, ORIGIN, SEC_WEBSOCKET_PROTOCOL};
use wsmesh_protocol::Params;

use crate::auth::Credential;
use crate::auth::subprotocol::{is_answerable, token_in};

/// The subprotocol to offer together with one that holds the token: browsers expect one of their offers in the answer.
const SUBPROTOCOL: &str = "wsmesh";

/// The parameters that may hold a credential.
const PARAMS: [&str; 2] = ["ticket", "token"];

/// Looks, in this order, at the parameters `ticket` and `token`, the header `Authorization`, the subprotocol, and the cookie
/// of this name. The cookie is the last: browsers send it without being asked.
pub(super) fn find<'a>(params: &'a Params, headers: &'a HeaderMap, cookie: Option<&str>) -> Option<Credential<'a>> {
    let [ticket, token] = PARAMS;
    let ticket = || params.one(ticket).filter(given).map(Credential::Ticket);
    let token = || params.one(token).filter(given);
    let token = || token().or_else(|| bearer(headers.get(AUTHORIZATION)?));
    let token = || token().or_else(|| offered(headers, token_in));
    let token = || token().or_else(|| from_cookie(headers, cookie?));
    ticket().or_else(|| token().map(Credential::Token))
}

/// Whether a parameter may hold a credential, in whatever case it is written and even if nobody reads it.
pub(super) fn is_param(key: &str) -> bool {
    PARAMS.iter().any(|param| key.eq_ignore_ascii_case(param))
}

/// The origins that a request names; None for one that is not text.
pub(super) fn origins(headers: &HeaderMap) -> impl Iterator<Item = Option<&str>> {
    headers.get_all(ORIGIN).into_iter().map(|origin| origin.to_str().ok())
}

fn given(text: &&str) -> bool {
    !text.is_empty()
}

/// The token of an `Authorization: Bearer` header.
fn bearer(header: &HeaderValue) -> Option<&str> {
    let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
        .filter(given)
}

/// The subprotocol to answer: the first that the client offers. If `among` is not empty, the first that is in it, or ours.
/// The application decides what a subprotocol means.
pub(super) fn subprotocol(headers: &HeaderMap, among: &[String]) -> Option<HeaderValue> {
    let is_wanted = |name: &str| among.is_empty() || name == SUBPROTOCOL || among.iter().any(|one| one == name);
    let name = offered(headers, |name| (is_answerable(name) && is_wanted(name)).then_some(name));
    HeaderValue::from_str(name?).ok()
}

fn offered<'a>(headers: &'a HeaderMap, wanted: impl Fn(&'a str) -> Option<&'a str>) -> Option<&'a str> {
    texts(headers, SEC_WEBSOCKET_PROTOCOL.as_str())
        .flat_map(|value| value.split(','))
        .find_map(|name| wanted(name.trim()).filter(given))
}

/// RFC 6265, section 5.4: `name=value` pairs between semicolons.
fn from_cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    texts(headers, COOKIE.as_str())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.trim_matches('"'))
        .filter(given)
}

fn texts<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn params(query: &str) -> Params {
        Params::parse("/", query, wsmesh_protocol::ParamOptions::default())
    }

    fn headers(list: &[(HeaderName, &str)]) -> HeaderMap {
        list.iter()
            .map(|(name, value)| (name.clone(), value.parse().expect("a header")))
            .collect()
    }

    fn found(query: &str, list: &[(HeaderName, &str)]) -> Option<String> {
        match find(&params(query), &headers(list), Some("session"))? {
            Credential::Token(token) => Some(token.to_owned()),
            Credential::Ticket(ticket) => Some(format!("ticket {ticket}")),
        }
    }

    #[test]
    fn each_source_is_found_and_the_first_of_several_counts() {
        let all = [
            (AUTHORIZATION, "bearer  two"),
            (SEC_WEBSOCKET_PROTOCOL, "wsmesh, bearer.three"),
            (COOKIE, "a=b; session=four; session=five"),
        ];
        for (skip, expected) in [(0, "two"), (1, "three"), (2, "four")] {
            assert_eq!(found("token=", &all[skip..]).as_deref(), Some(expected));
        }
        assert_eq!(found("token=one", &all).as_deref(), Some("one"));
        assert_eq!(found("token=one&ticket=zero", &all).as_deref(), Some("ticket zero"));
        assert_eq!(found("token=one&token=two", &[]).as_deref(), Some("one"));
    }

    #[test]
    fn a_header_without_a_token_gives_none() {
        for nothing in [
            (AUTHORIZATION, "Basic dXNlcjpwYXNz"),
            (AUTHORIZATION, "Bearer"),
            (AUTHORIZATION, "Bearer  "),
            (SEC_WEBSOCKET_PROTOCOL, "wsmesh, bearer."),
            (COOKIE, "other=x; session; session=; xsession=y"),
        ] {
            assert_eq!(found("", std::slice::from_ref(&nothing)), None, "{nothing:?}");
        }
        let unwanted = headers(&[(COOKIE, "session=four")]);
        assert!(
            find(&params(""), &unwanted, None).is_none(),
            "cookies count only if one is configured"
        );
    }

    #[test]
    fn the_first_allowed_subprotocol_without_a_token_is_answered() {
        let answer = |value, among: &[&str]| {
            let among: Vec<_> = among.iter().map(ToString::to_string).collect();
            let answer = subprotocol(&headers(&[(SEC_WEBSOCKET_PROTOCOL, value)]), &among);
            answer.map(|name| name.to_str().expect("text").to_owned())
        };
        for (offered, first, among_these) in [
            ("chat", Some("chat"), None),
            ("chat, v2.game", Some("chat"), Some("v2.game")),
            ("bearer.x, wsmesh", Some("wsmesh"), Some("wsmesh")),
            ("Bearer.x", None, None),
            ("bearer.x, bearer.y", None, None),
            ("bearer", Some("bearer"), None),
            (",, a b, \"c\", (d), ok", Some("ok"), None),
            ("", None, None),
        ] {
            assert_eq!(answer(offered, &[]).as_deref(), first, "{offered}");
            assert_eq!(answer(offered, &["v2.game"]).as_deref(), among_these, "{offered}");
        }
    }
}
