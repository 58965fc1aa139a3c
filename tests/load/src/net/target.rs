//! The target of connections: the server's address and the upgrade request of each client.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, bail};
use mio::net::TcpStream;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use url::Url;

use crate::wire::handshake;

/// Time limit for an address to answer if a name has several.
const PATIENCE: Duration = Duration::from_secs(1);

/// One server, given by `--url`.
#[derive(Debug, Clone)]
pub struct Target {
    url: Url,
    address: SocketAddr,
}

impl Target {
    /// Parses a URL and resolves its host.
    ///
    /// # Errors
    /// When it is not a `ws://` URL, or the host has no address.
    pub fn resolve(text: &str, params: &[(String, String)]) -> anyhow::Result<Self> {
        let mut url = Url::parse(text)
            .with_context(|| format!("{text:?} is not a valid URL: use for example ws://127.0.0.1:9000/"))?;
        if url.scheme() != "ws" {
            bail!("{text:?} cannot be used: only ws:// is supported, because TLS would measure the cost of TLS");
        }
        if !params.is_empty() {
            url.query_pairs_mut().extend_pairs(params);
        }
        let host = url
            .host_str()
            .with_context(|| format!("{text:?} has no host"))?
            .to_owned();
        let port = url.port_or_known_default().unwrap_or(80);
        let addresses = (host.trim_matches(['[', ']']), port)
            .to_socket_addrs()
            .with_context(|| format!("the host of {text:?} has no address"))?;
        let address =
            first_live(addresses.collect()).with_context(|| format!("the host of {text:?} has no address"))?;
        Ok(Self { url, address })
    }

    /// The upgrade request of the client with this id.
    #[must_use]
    pub fn request(&self, id: &str) -> Vec<u8> {
        let mut url = self.url.clone();
        url.query_pairs_mut().append_pair("id", id);
        let query = url.query().unwrap_or_default();
        handshake::request(&self.address.to_string(), &format!("{}?{query}", url.path()))
    }

    /// Starts to connect, from the address `source` if there is one.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn connect(&self, source: Option<IpAddr>) -> std::io::Result<TcpStream> {
        let socket = Socket::new(Domain::for_address(self.address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        // Most clients use cubic. BBR, the default of some machines, would pace what catches up after a pause, and this tool
        // would measure that. A kernel without cubic keeps its default.
        let _ = socket.set_tcp_congestion(b"cubic");
        if let Some(source) = source {
            socket.bind(&SockAddr::from(SocketAddr::new(source, 0)))?;
        }
        match socket.connect(&SockAddr::from(self.address)) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
            Err(error) => return Err(error),
        }
        Ok(TcpStream::from_std(socket.into()))
    }
}

/// The first address that accepts a connection, else the first: all connections go to one, so that they can be counted.
fn first_live(addresses: Vec<SocketAddr>) -> Option<SocketAddr> {
    let takes = |address: &&SocketAddr| std::net::TcpStream::connect_timeout(address, PATIENCE).is_ok();
    let live = match addresses.len() {
        0 | 1 => None,
        _ => addresses.iter().find(takes),
    };
    live.or(addresses.first()).copied()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    #[test]
    fn of_several_addresses_one_that_takes_connections_is_used() {
        let bound = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let live = bound();
        let address = |listener: &TcpListener| listener.local_addr().expect("bound");
        let dead = [address(&bound()), address(&bound())];
        assert_eq!(first_live(vec![dead[0], address(&live)]), Some(address(&live)));
        assert_eq!(first_live(dead.to_vec()), Some(dead[0]));
        assert_eq!(first_live(Vec::new()), None);
    }

    #[test]
    fn the_request_carries_the_id_and_what_else_the_url_is_to_have() {
        let params = [("token".to_owned(), "a b".to_owned())];
        let target = Target::resolve("ws://127.0.0.1:9000/chat?x=1", &params).expect("valid");
        let request = String::from_utf8(target.request("c1")).expect("text");
        assert!(request.starts_with("GET /chat?x=1&token=a+b&id=c1 HTTP/1.1\r\nHost: 127.0.0.1:9000\r\n"));
        let bare = Target::resolve("ws://127.0.0.1:9000", &[]).expect("valid");
        assert!(bare.request("7").starts_with(b"GET /?id=7 HTTP/1.1\r\n"));
    }

    #[test]
    fn other_schemes_are_refused_with_a_reason() {
        let refused = |url| Target::resolve(url, &[]).expect_err("refused").to_string();
        assert!(refused("wss://127.0.0.1/").contains("only ws://"));
        assert!(refused("127.0.0.1:9000").contains("ws://127.0.0.1:9000/"));
    }
}
