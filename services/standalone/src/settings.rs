//! The settings of the bundle, each declared once.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use wsmesh_bootstrap::{at_most, settings};

use crate::ports::{LAST_OFFSET, PORT_BASE};

settings! {
    /// Settings of the bundle.
    pub struct StandaloneSettings {
        /// Address that every service listens on. By default only this machine can reach it: the bundle is a demo, open to everyone
        /// who can.
        pub host: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST),
        /// Port of the first ws-node. The other ports follow from it: +1 the second ws-node, +90 to +94 probes and metrics,
        /// +100 admin. 0: free ports for all.
        #[check(at_most(u16::MAX - LAST_OFFSET))]
        pub port_base: u16 = PORT_BASE,
        /// Configuration file of the two ws-nodes, as ws-node itself takes it by --config: rules, for example. What it does not set
        /// is as in the demo profile.
        pub ws_node_config: Option<PathBuf>,
    }
}
