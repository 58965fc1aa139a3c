//! The address that a connection counts for before its request is read.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

/// One subscriber usually has a whole /64 of IPv6; its first address stands for all of them.
pub fn subscriber(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

/// The address that a connection counts for before its request is read. None for a trusted proxy, which carries connections of many
/// clients.
pub(super) fn direct_address(peer: IpAddr, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = peer.to_canonical();
    let is_trusted = trusted.iter().any(|net| net.contains(&peer));
    (!is_trusted).then(|| subscriber(peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_counts_for_its_address_unless_it_comes_from_a_trusted_proxy() {
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
}
