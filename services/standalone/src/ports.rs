//! Which service of the bundle listens where. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The first ws-node's port unless another is chosen.
pub(crate) const PORT_BASE: u16 = 9000;
/// Admin's distance from the first port: the highest.
pub(crate) const LAST_OFFSET: u16 = 100;
/// Probes and metrics start here, one port per service in the order of [`BUNDLE`].
const OPS_OFFSET: u16 = 90;

/// How many services the bundle has.
pub(crate) const SERVICES: usize = 5;

/// What a service of the bundle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Where clients connect.
    WsNode,
    /// Matchmaking and the game.
    GameLogic,
    /// The HTTP API.
    Admin,
}

/// Names, kinds, and public ports as distances from the first one.
const BUNDLE: [(&str, Kind, Option<u16>); SERVICES] = [
    ("ws-node-1", Kind::WsNode, Some(0)),
    ("ws-node-2", Kind::WsNode, Some(1)),
    ("game-logic-1", Kind::GameLogic, None),
    ("game-logic-2", Kind::GameLogic, None),
    ("admin-1", Kind::Admin, Some(LAST_OFFSET)),
];

/// A service of the bundle and where it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The server's name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// For clients or callers; game-logic has none.
    pub public: Option<SocketAddr>,
    /// For probes and metrics.
    pub ops: SocketAddr,
}

/// Where every service listens. `base` is at most 65535 - 100; 0 asks for free ports.
pub fn places(host: IpAddr, base: u16) -> Vec<Place> {
    let address = |offset: u16| SocketAddr::new(host, if base == 0 { 0 } else { base + offset });
    (OPS_OFFSET..)
        .zip(BUNDLE)
        .map(|(ops, (name, kind, public))| Place {
            name,
            kind,
            public: public.map(address),
            ops: address(ops),
        })
        .collect()
}

/// The same address as somebody on this machine writes it into a browser.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn the_usual_ports_are_the_documented_ones() {
        let ports = |place: &Place| (place.name, place.public.map(|address| address.port()), place.ops.port());
        assert_eq!(
            places(HERE, PORT_BASE).iter().map(ports).collect::<Vec<_>>(),
            [
                ("ws-node-1", Some(9000), 9090),
                ("ws-node-2", Some(9001), 9091),
                ("game-logic-1", None, 9092),
                ("game-logic-2", None, 9093),
                ("admin-1", Some(9100), 9094),
            ]
        );
    }

    #[test]
    fn no_two_services_share_a_port_up_to_the_highest_base() {
        let places = places(HERE, u16::MAX - LAST_OFFSET);
        let all: Vec<_> = places
            .iter()
            .flat_map(|place| place.public.into_iter().chain([place.ops]))
            .collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    }

    #[test]
    fn base_0_asks_for_free_ports() {
        assert!(places(HERE, 0).iter().all(|place| place.ops.port() == 0));
    }

    #[test]
    fn nobody_is_sent_to_an_unspecified_address() {
        let all: SocketAddr = "0.0.0.0:9000".parse().expect("an address");
        assert_eq!(reachable(all).to_string(), "127.0.0.1:9000");
    }
}
