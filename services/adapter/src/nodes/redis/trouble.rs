//! Error messages about a Redis that say what to do. Shared by both connections of a node.

use super::super::link::{LinkError, LinkErrorKind};

/// The first byte of a TLS record is its type: an alert or a handshake.
const TLS_RECORDS: [u8; 2] = [0x15, 0x16];

/// Characters of a foreign text that are told.
const MOST_QUOTED: usize = 160;

/// Where a server has its password. The URL of a request has none, so this must not be read as if it could.
const PASSWORD: &str = "give the server the password, with --redis-password-file or in its own --redis";

/// No connection could be opened; `why` is the message of the system or the TLS library.
pub(super) fn connect(address: &str, tls: bool, why: &str) -> LinkError {
    let hint = if let Some(hint) = identity_hint(why) {
        hint
    } else if why.contains("refused") {
        " (is Redis running there?)"
    } else if why.contains("lookup") || why.contains("not known") || why.contains("resolve") {
        " (is the host name right?)"
    } else if why.contains("UnknownIssuer") || why.contains("UnknownCA") {
        " (name the CA that signed its certificate: ?ca=FILE)"
    } else if why.contains("certificate") || why.contains("Certificate") {
        " (its certificate must be valid now and for the host in the URL)"
    } else if tls {
        " (does this port use TLS? redis:// is without TLS, rediss:// with it)"
    } else {
        ""
    };
    LinkError::new(
        LinkErrorKind::Connect,
        format!("cannot connect to {address}: {why}{hint}"),
    )
}

/// A hint about this server's own certificate, from Redis's TLS alert in the TLS library's message.
fn identity_hint(why: &str) -> Option<&'static str> {
    let said = why.split_once("fatal alert: ")?.1;
    if said.starts_with("CertificateRequired") || said.starts_with("HandshakeFailure") {
        return Some(" (it requires a client certificate: add ?cert=FILE&key=FILE)");
    }
    let of_certificate = [
        "UnknownCA",
        "BadCertificate",
        "Certificate",
        "UnsupportedCertificate",
        "AccessDenied",
    ];
    of_certificate.iter().any(|alert| said.starts_with(alert)).then_some(
        " (it rejects the certificate named by ?cert=, which must be valid now, be for clients, and be signed by the CA that Redis \
         trusts)",
    )
}

/// A file that the URL names cannot be used.
pub(super) fn files(address: &str, problem: &str) -> LinkError {
    LinkError::new(
        LinkErrorKind::Connect,
        format!("cannot connect to {address}: {problem}"),
    )
}

/// The URL names a user without a password, but the user needs one.
pub(super) fn password_missing(address: &str) -> LinkError {
    LinkError::new(
        LinkErrorKind::Auth,
        format!("{address} requires a password for this user: {PASSWORD}"),
    )
}

/// Redis answered with an error.
pub(super) fn rejected(address: &str, said: &str) -> LinkError {
    let (kind, hint) = match said.split_whitespace().next() {
        Some("NOAUTH") => (LinkErrorKind::Auth, PASSWORD),
        Some("WRONGPASS") => (LinkErrorKind::Auth, "check user and password"),
        // "No permissions to access a channel", and before Redis 7 "… to access one of the channels used as arguments".
        Some("NOPERM") if said.contains("access a channel") || said.contains("access one of the channels") => {
            (LinkErrorKind::Forbidden, "allow this user the channels (&PREFIX*)")
        }
        Some("NOPERM") => (
            LinkErrorKind::Auth,
            "allow this user +publish, +subscribe, +unsubscribe, +ping and the channels (&PREFIX*)",
        ),
        Some("DENIED") => (
            LinkErrorKind::Auth,
            "it is in protected mode: set a password for Redis, or bind it to this network",
        ),
        Some("LOADING") => (
            LinkErrorKind::Rejected,
            "it is still loading its data; wsmesh will try again",
        ),
        Some("BUSY") => (LinkErrorKind::Rejected, "a script is blocking it"),
        // Before Redis 6.
        _ if said.contains("invalid password") => (LinkErrorKind::Auth, "check user and password"),
        _ if said.contains("max number of clients") => (LinkErrorKind::Rejected, "raise its maxclients"),
        _ if said.contains("without any password configured") => (
            LinkErrorKind::Auth,
            "this Redis has no password: take it out of the server's --redis-password-file and --redis",
        ),
        _ if said.starts_with("ERR") => (LinkErrorKind::Rejected, "see its log"),
        _ => (LinkErrorKind::Protocol, "is this a Redis server?"),
    };
    LinkError::new(kind, format!("{address} answered {:?}: {hint}", shortened(said)))
}

/// No connection could be opened within the time limit.
pub(super) fn unreachable(address: &str, tls: bool) -> LinkError {
    // A Redis without TLS mistakes a TLS handshake for an incomplete command, and waits.
    let tls = if tls {
        ", or the port does not use TLS: then write redis://"
    } else {
        ""
    };
    let text = format!("{address} did not answer in time (is it hung, or is a firewall in between{tls}?)");
    LinkError::new(LinkErrorKind::TimedOut, text)
}

/// No answer within the time limit, on an established connection.
pub(super) fn unanswered(address: &str) -> LinkError {
    LinkError::new(
        LinkErrorKind::TimedOut,
        format!("{address} did not answer in time (is it hung?)"),
    )
}

/// An established connection ended.
pub(super) fn ended(address: &str, why: &str) -> LinkError {
    LinkError::new(
        LinkErrorKind::Closed,
        format!("the connection to {address} ended: {why}"),
    )
}

/// The connection ended during login.
pub(super) fn ended_at_once(address: &str, tls: bool, error: &LinkError) -> LinkError {
    let why = error.to_string();
    let text = if let Some(hint) = identity_hint(&why) {
        format!("{address} closed the connection at once{hint}")
    } else if tls {
        format!(
            "{address} closed the connection at once (does it require a client certificate, which ?cert=FILE&key=FILE names? is it \
             full?)"
        )
    } else {
        format!("{address} closed the connection at once (does it require TLS, which is rediss://? is it full?)")
    };
    LinkError::new(LinkErrorKind::Connect, text)
}

/// The received bytes are not Redis's protocol; `began` is their beginning. `why` is the word of a library: for servers that almost
/// speak the protocol.
pub(super) fn not_redis(address: &str, began: &[u8], why: &str) -> LinkError {
    let text = if began.first().is_some_and(|byte| TLS_RECORDS.contains(byte)) {
        format!("{address} sent data that is not Redis's protocol: it uses TLS: write rediss://")
    } else if began.is_empty() && !why.contains("Decode Error") {
        format!(
            "{address} sent data that is not Redis's protocol ({}): is this a Redis server?",
            shortened(why)
        )
    } else {
        format!("something answers at {address} that is not Redis: is this a Redis server?")
    };
    LinkError::new(LinkErrorKind::Protocol, text)
}

/// The beginning of a foreign text, short enough for a log line; it says so where it is cut.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(MOST_QUOTED) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_of_redis_ends_where_it_is_cut_with_a_sign() {
        assert_eq!(shortened("ERR short"), "ERR short");
        assert_eq!(shortened(&"ä".repeat(MOST_QUOTED)), "ä".repeat(MOST_QUOTED));
        let cut = shortened(&"ä".repeat(MOST_QUOTED + 1));
        assert_eq!(cut, format!("{}…", "ä".repeat(MOST_QUOTED)));
    }

    #[test]
    fn a_password_is_asked_for_where_a_server_has_it() {
        for said in [
            "NOAUTH Authentication required.",
            "ERR AUTH called without any password configured",
        ] {
            let text = rejected("a:6379", said).to_string();
            assert!(
                text.contains("--redis-password-file") && text.contains("--redis"),
                "{text}"
            );
            assert!(!text.contains("in the URL"), "a URL in a request may have none: {text}");
        }
    }

    #[test]
    fn what_is_no_redis_is_said_in_plain_words() {
        let text = not_redis("a:80", b"HTTP/1.1 400", "Decode Error: frame_type: Invalid frame type.").to_string();
        assert_eq!(
            text,
            "something answers at a:80 that is not Redis: is this a Redis server?"
        );
        let text = not_redis("a:6379", &[0x15, 3], "Decode Error").to_string();
        assert!(text.ends_with("it uses TLS: write rediss://"), "{text}");
    }
}
