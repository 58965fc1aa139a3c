//! The settings of the limits.

use ipnet::IpNet;
use wsmesh_bootstrap::{CommonConfig, settings};

/// The default of `events_per_second`; its text names it, too.
const EVENTS_PER_SECOND: u32 = 100;

settings! {
    /// What one client, one address and all together may use of a ws-node. 0 means no limit.
    #[derive(PartialEq, Eq)]
    pub struct Limits {
        /// Largest number of connections, if there are enough files for them (ulimit -Hn). More are rejected with 503. 0: only the
        /// files are the limit.
        // 50,000 need some 150 MB when idle.
        #[key = "max_connections"]
        pub connections: usize = 50_000,
        /// Largest number of connections from one address (IPv6: one /64). More are rejected with 429. 0: no limit.
        // No limit by default: many clients may share an address, as in a school or a mobile network. Connections whose request
        // has not come yet count by themselves; when there are too many, the oldest of them is closed.
        #[key = "max_connections_per_address"]
        pub connections_per_address: usize = 0,
        /// New connections per second. More are rejected with 503. An address whose tokens fail a tenth as often is rejected with 429.
        /// 0: no limit.
        // A handshake costs far more than a message, and clients that are connected already come first.
        pub accept_rate: u32 = 10_000,
        /// Networks of proxies whose X-Forwarded-For is trusted, for example 10.0.0.0/8; several.
        pub trusted_proxies: Vec<IpNet>,
        /// Frames that one client may send per second. More are rejected, and a client that continues is disconnected with 4015. 0: no
        /// limit. Default: 100; no limit with the demo profile.
        pub events_per_second: Option<u32>,
        /// Frames that one client may send at once.
        pub events_burst: u32 = 200,
        /// Rooms that one client may be in when it joins another one itself. 0: no limit.
        pub rooms_per_client: usize = 100,
        /// Files that this ws-node may have open. Most are for connections; some are kept for handshakes, the ops port, Redis and
        /// the rest. Default: the current soft limit of the process.
        #[filled_in = "the limit of the process"]
        pub open_files: usize = CommonConfig::default().open_files,
    }
}

impl Limits {
    /// Frames that one client may send per second; 0: no limit.
    pub(crate) fn events_per_second(&self) -> u32 {
        self.events_per_second.unwrap_or(EVENTS_PER_SECOND)
    }
}

#[cfg(test)]
mod tests {
    use wsmesh_bootstrap::Settings;

    use super::*;

    #[test]
    fn the_text_of_the_frames_per_second_names_their_default() {
        let declared = Limits::declared();
        let setting = declared.iter().find(|setting| setting.key == "events_per_second");
        let doc = setting.expect("declared").doc;
        assert!(doc.contains(&format!("Default: {EVENTS_PER_SECOND};")), "{doc}");
        assert_eq!(Limits::default().events_per_second(), EVENTS_PER_SECOND);
    }
}
