//! Where a request carries what proves who its client is. The first place that has something counts; what is in the others
//! is not looked at, so a wrong token is never made good by another.

use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, COOKIE, HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use wsmesh_protocol::Params;

/// The subprotocol to offer beside one that holds the token: browsers want one of those that they offer answered.
const SUBPROTOCOL: &str = "wsmesh";

/// The subprotocol whose name holds the token: for browsers, which can set no other header. It is never answered.
const BEARER: &str = "bearer.";

/// What proves who a client is. Never shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Credential<'a> {
    /// A JWT.
    Token(&'a str),
    /// A one-time ticket.
    Ticket(&'a str),
}

/// Looks, in this order, at the parameters `ticket` and `token`, the header `Authorization`, the subprotocol, and the cookie
/// of this name. The cookie is the last: browsers send it unasked.
pub(crate) fn find<'a>(params: &'a Params, headers: &'a HeaderMap, cookie: Option<&str>) -> Option<Credential<'a>> {
    let ticket = || params.one("ticket").filter(given).map(Credential::Ticket);
    let token = || params.one("token").filter(given);
    let token = || token().or_else(|| bearer(headers.get(AUTHORIZATION)?));
    let token = || token().or_else(|| offered(headers, |name| name.strip_prefix(BEARER)));
    let token = || token().or_else(|| from_cookie(headers, cookie?));
    ticket().or_else(|| token().map(Credential::Token))
}

fn given(text: &&str) -> bool {
    !text.is_empty()
}

/// The token of an `Authorization: Bearer` header.
pub(super) fn bearer(header: &HeaderValue) -> Option<&str> {
    let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
        .filter(given)
}

/// The subprotocol to answer: the first that the client offers, or, if there are some, the first among these and ours. What
/// it means is the application's matter.
pub(crate) fn subprotocol(headers: &HeaderMap, among: &[String]) -> Option<HeaderValue> {
    let is_wanted = |name: &str| among.is_empty() || name == SUBPROTOCOL || among.iter().any(|one| one == name);
    let name = offered(headers, |name| {
        (is_subprotocol(name) && is_wanted(name)).then_some(name)
    });
    HeaderValue::from_str(name?).ok()
}

/// Whether this may be the name of a subprotocol (a token of RFC 9110, section 5.6.2), and holds no token of ours.
pub(super) fn is_subprotocol(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let holds_token = name
        .get(..BEARER.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(BEARER));
    !name.is_empty() && name.bytes().all(is_token) && !holds_token
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
    fn what_is_no_token_is_none() {
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
            "cookies count only where they are wanted"
        );
    }

    #[test]
    fn the_first_subprotocol_is_answered_that_holds_no_token_and_may_be() {
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
