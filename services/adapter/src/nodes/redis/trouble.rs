//! What went wrong with a Redis, in words that say what to do. The same for both connections of a node.

use super::super::link::{LinkError, LinkErrorKind};

/// TLS begins a record with its type: these are an alert and a handshake.
const TLS_RECORDS: [u8; 2] = [0x15, 0x16];

/// No connection came about; `why` is the system's or the TLS library's text.
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
        " (its certificate must be valid now, and for the host in the URL)"
    } else if tls {
        " (does this port speak TLS? redis:// is without, rediss:// with)"
    } else {
        ""
    };
    LinkError::new(
        LinkErrorKind::Connect,
        format!("cannot connect to {address}: {why}{hint}"),
    )
}

/// What Redis says of this server's own certificate, as the TLS library tells it.
fn identity_hint(why: &str) -> Option<&'static str> {
    let said = why.split_once("fatal alert: ")?.1;
    if said.starts_with("CertificateRequired") || said.starts_with("HandshakeFailure") {
        return Some(" (it asks for a client's certificate: add ?cert=FILE&key=FILE)");
    }
    let of_certificate = [
        "UnknownCA",
        "BadCertificate",
        "Certificate",
        "UnsupportedCertificate",
        "AccessDenied",
    ];
    of_certificate.iter().any(|alert| said.starts_with(alert)).then_some(
        " (it does not take the certificate named by ?cert=: it must be valid now, for clients, and signed by the CA that Redis \
         trusts)",
    )
}

/// A user is named, without a password, and needs one.
pub(super) fn password_missing(address: &str) -> LinkError {
    LinkError::new(
        LinkErrorKind::Auth,
        format!("{address} wants a password for this user: give it in the URL, or by --redis-password-file"),
    )
}

/// Redis answered an error.
pub(super) fn rejected(address: &str, said: &str) -> LinkError {
    let (kind, hint) = match said.split_whitespace().next() {
        Some("NOAUTH") => (
            LinkErrorKind::Auth,
            "give a password: in the URL, or by --redis-password-file",
        ),
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
            "it is still loading its data; it will be tried again",
        ),
        Some("BUSY") => (LinkErrorKind::Rejected, "a script keeps it from answering"),
        _ if said.contains("max number of clients") => (LinkErrorKind::Rejected, "raise its maxclients"),
        _ if said.contains("without any password configured") => {
            (LinkErrorKind::Auth, "this Redis has no password; give none")
        }
        _ if said.starts_with("ERR") => (LinkErrorKind::Rejected, "see its log"),
        _ => (LinkErrorKind::Protocol, "is this a Redis server?"),
    };
    LinkError::new(kind, format!("{address} answered {:?}: {hint}", shortened(said)))
}

/// No connection within the time limit.
pub(super) fn unreachable(address: &str, tls: bool) -> LinkError {
    // A Redis without TLS takes the beginning of TLS for half a command, and waits.
    let tls = if tls {
        ", or no TLS there, which is redis://"
    } else {
        ""
    };
    let text = format!("{address} did not answer in time (hung, or a firewall in between{tls}?)");
    LinkError::new(LinkErrorKind::TimedOut, text)
}

/// No answer within the time limit, on a connection that had worked.
pub(super) fn unanswered(address: &str) -> LinkError {
    LinkError::new(
        LinkErrorKind::TimedOut,
        format!("{address} did not answer in time (hung?)"),
    )
}

/// The connection ended after it had worked.
pub(super) fn ended(address: &str, why: &str) -> LinkError {
    LinkError::new(
        LinkErrorKind::Closed,
        format!("the connection to {address} ended: {why}"),
    )
}

/// The connection ended before it had worked.
pub(super) fn ended_at_once(address: &str, tls: bool, error: &LinkError) -> LinkError {
    let why = error.to_string();
    let text = if let Some(hint) = identity_hint(&why) {
        format!("{address} closed the connection at once{hint}")
    } else if tls {
        format!(
            "{address} closed the connection at once (does it ask for a client's certificate, which is ?cert=FILE&key=FILE? is it \
             full?)"
        )
    } else {
        format!("{address} closed the connection at once (does it want TLS, which is rediss://? is it full?)")
    };
    LinkError::new(LinkErrorKind::Connect, text)
}

/// What came is not Redis's protocol; `began` is its beginning.
pub(super) fn not_redis(address: &str, began: &[u8], why: &str) -> LinkError {
    let hint = if began.first().is_some_and(|byte| TLS_RECORDS.contains(byte)) {
        "it speaks TLS: write rediss://"
    } else {
        "is this a Redis server?"
    };
    let text = format!(
        "{address} sent what is not Redis's protocol ({}): {hint}",
        shortened(why)
    );
    LinkError::new(LinkErrorKind::Protocol, text)
}

/// Foreign text in a log line: its beginning.
fn shortened(text: &str) -> String {
    text.chars().take(120).collect()
}
