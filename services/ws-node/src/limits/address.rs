//! The address that a client comes from. Behind proxies that are trusted it is the one that they name.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::{HeaderMap, HeaderValue};
use ipnet::IpNet;

/// Who opened the TCP connection: a client, or a proxy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// The client's address: the last one in `X-Forwarded-For` that is no trusted proxy, if the peer is one. What an untrusted
/// peer writes there is not looked at.
pub(crate) fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|net| net.contains(&address.to_canonical()));
    let mut address = peer.to_canonical();
    let lines = headers.get_all("x-forwarded-for").into_iter();
    let lines: Vec<&[u8]> = lines.map(HeaderValue::as_bytes).collect();
    let mut named = lines.iter().flat_map(|line| line.split(|byte| *byte == b',')).rev();
    while is_trusted(address) {
        // What cannot be read, nobody trusted wrote: the proxy before it is all that is known.
        match named.next().and_then(address_in) {
            Some(before) => address = before.to_canonical(),
            None => break,
        }
    }
    subscriber(address)
}

/// The address that a connection counts for before its request is read; none if it is a trusted proxy's, which has those of
/// many clients.
pub(crate) fn direct_address(peer: IpAddr, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = peer.to_canonical();
    let is_trusted = trusted.iter().any(|net| net.contains(&peer));
    (!is_trusted).then(|| subscriber(peer))
}

/// An address, which some proxies write with the port, and IPv6 with brackets.
fn address_in(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    text.parse().ok().or_else(with_port).or_else(in_brackets)
}

/// One subscriber usually has a whole /64 of IPv6.
fn subscriber(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().expect("a header"));
        }
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().expect("a network"));
        client_address(peer.parse().expect("an address"), &headers, &trusted).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(from("203.0.113.5", &["1.1.1.1"]), "203.0.113.5");
        assert_eq!(from("10.0.0.1", &["1.1.1.1"]), "1.1.1.1");
        assert_eq!(
            from("10.0.0.1", &["6.6.6.6, 1.1.1.1", "10.2.0.1"]),
            "1.1.1.1",
            "the client wrote the first"
        );
        assert_eq!(from("::ffff:10.0.0.1", &["1.1.1.1"]), "1.1.1.1");
        assert_eq!(from("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(from("10.0.0.1", &["1.1.1.1, nonsense"]), "10.0.0.1");
    }

    #[test]
    fn addresses_of_one_subscriber_are_one() {
        assert_eq!(from("2001:db8:1:2:3:4:5:6", &[]), "2001:db8:1:2::");
        assert_eq!(from("fd00::1", &["2001:db8::7"]), "2001:db8::");
    }

    #[test]
    fn before_its_request_a_connection_counts_for_its_address_unless_it_is_a_trusted_proxys() {
        let trusted = ["10.0.0.0/8".parse().expect("a network")];
        for (peer, counts_for) in [
            ("203.0.113.5", Some("203.0.113.5")),
            ("::ffff:203.0.113.5", Some("203.0.113.5")),
            ("2001:db8:1:2:3:4:5:6", Some("2001:db8:1:2::")),
            ("::ffff:10.0.0.1", None),
        ] {
            let found = direct_address(peer.parse().expect("an address"), &trusted);
            assert_eq!(found.map(|address| address.to_string()).as_deref(), counts_for);
        }
    }

    #[test]
    fn what_cannot_be_read_ends_the_search_and_ports_are_left_out() {
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", HeaderValue::from_static("9.9.9.9"));
        for (line, found) in [
            (&b"\xff, 203.0.113.7"[..], "203.0.113.7"),
            (b"203.0.113.7, \xff", "10.0.0.1"),
        ] {
            let mut headers = headers.clone();
            headers.append("x-forwarded-for", HeaderValue::from_bytes(line).expect("bytes"));
            let trusted = ["10.0.0.0/8".parse().expect("a network")];
            let peer = "10.0.0.1".parse().expect("an address");
            assert_eq!(client_address(peer, &headers, &trusted).to_string(), found);
        }
        assert_eq!(from("10.0.0.1", &["203.0.113.7:4711"]), "203.0.113.7");
        for entry in ["[2001:db8::7]", "[2001:db8::7]:4711"] {
            assert_eq!(from("10.0.0.1", &[entry]), "2001:db8::");
        }
    }
}
