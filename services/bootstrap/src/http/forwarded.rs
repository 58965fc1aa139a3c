//! The address that a request comes from. Behind trusted proxies it is the one that they name.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderValue};
use ipnet::IpNet;

/// The address of who sent a request: if the peer is a trusted proxy, the last one in `X-Forwarded-For` that is not a trusted proxy. The
/// header of an untrusted peer is ignored.
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|net| net.contains(&address.to_canonical()));
    let mut address = peer.to_canonical();
    let lines = headers.get_all("x-forwarded-for").into_iter();
    let lines: Vec<&[u8]> = lines.map(HeaderValue::as_bytes).collect();
    let mut named = lines.iter().flat_map(|line| line.split(|byte| *byte == b',')).rev();
    while is_trusted(address) {
        // No trusted proxy wrote an unreadable entry: the proxy before it is all that is known.
        match named.next().and_then(address_in) {
            Some(before) => address = before.to_canonical(),
            None => break,
        }
    }
    address
}

/// An address; some proxies write it with the port, and IPv6 with brackets.
fn address_in(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    text.parse().ok().or_else(with_port).or_else(in_brackets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::subscriber;

    fn from(peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().expect("a header"));
        }
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().expect("a network"));
        subscriber(client_address(peer.parse().expect("an address"), &headers, &trusted)).to_string()
    }

    #[test]
    fn the_whole_address_is_found() {
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", HeaderValue::from_static("2001:db8:1:2:3:4:5:6"));
        let peer = "10.0.0.1".parse().expect("an address");
        for (trusted, found) in [("10.0.0.0/8", "2001:db8:1:2:3:4:5:6"), ("192.0.2.0/24", "10.0.0.1")] {
            let trusted = [trusted.parse().expect("a network")];
            assert_eq!(client_address(peer, &headers, &trusted).to_string(), found);
        }
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
    fn addresses_of_one_subscriber_count_as_one() {
        assert_eq!(from("2001:db8:1:2:3:4:5:6", &[]), "2001:db8:1:2::");
        assert_eq!(from("fd00::1", &["2001:db8::7"]), "2001:db8::");
    }

    #[test]
    fn an_unreadable_address_ends_the_search_and_ports_are_left_out() {
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
