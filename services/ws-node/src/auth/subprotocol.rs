//! Names of WebSocket subprotocols. One may hold a token: browsers can set no other header of an upgrade.

/// The start of a name that holds a token. Such a name is never answered.
const BEARER: &str = "bearer.";

/// The token that a name holds, if it holds one.
pub(crate) fn token_in(name: &str) -> Option<&str> {
    name.strip_prefix(BEARER)
}

/// Whether this may be the name of a subprotocol (a token of RFC 9110, section 5.6.2) and holds no token of a client.
pub(crate) fn is_answerable(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let holds_token = name
        .get(..BEARER.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(BEARER));
    !name.is_empty() && name.bytes().all(is_token) && !holds_token
}
