//! What can be set for the bundle, and which common settings make no sense for it.

use std::net::{IpAddr, Ipv4Addr};

use wsmesh_adapter::Bus;
use wsmesh_bootstrap::{CommonConfig, Problems, Value};

use crate::ports::{LAST_OFFSET, PORT_BASE};

wsmesh_bootstrap::settings! {
    /// Settings of the bundle.
    pub struct StandaloneSettings {
        /// Where every service listens. It is a demo, open to everyone who reaches it, so by default only this machine does.
        pub host: Host,
        /// The first ws-node's port; the others follow from it: +1 the second ws-node, +90 to +94 probes and metrics,
        /// +100 admin. 0: free ports for all.
        pub port_base: u16 = PORT_BASE,
    }
}

/// An IP address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host(pub IpAddr);

impl Default for Host {
    fn default() -> Self {
        Self(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }
}

impl Value for Host {
    const HINT: &'static str = "IP";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
            .map(Self)
            .map_err(|_| format!("{text:?} is no IP address: write 127.0.0.1, ::1, or 0.0.0.0 for all interfaces"))
    }

    fn show(&self) -> Option<toml::Value> {
        Some(self.0.to_string().into())
    }
}

/// What the bundle runs on, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// What every service of the bundle is told, but its name, its addresses and the bus.
    pub common: CommonConfig,
    /// Where every service listens.
    pub host: IpAddr,
    /// The first ws-node's port, or 0.
    pub port_base: u16,
}

impl Config {
    /// Checks the settings against each other.
    pub(crate) fn new(common: CommonConfig, settings: StandaloneSettings, problems: &mut Problems) -> Option<Self> {
        for (key, given) in [("listen", common.listen), ("ops_listen", common.ops_listen)] {
            if given.is_some() {
                problems.about(
                    key,
                    "five services run here, each with addresses of its own: use --host and --port-base",
                );
            }
        }
        if !matches!(common.bus, Bus::Alone) {
            problems.about(
                "redis",
                "this process has a bus inside; to use Redis, start ws-node, game-logic and admin",
            );
        }
        if !common.profile.is_demo() {
            problems.about(
                "profile",
                "this is a demo; for production start ws-node, game-logic and admin",
            );
        }
        if settings.port_base > u16::MAX - LAST_OFFSET {
            let most = u16::MAX - LAST_OFFSET;
            problems.about(
                "port_base",
                format!("is too high for the ports after it: write at most {most}"),
            );
        }
        Some(Self {
            common,
            host: settings.host.0,
            port_base: settings.port_base,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::Standalone;

    const NOTHING: [(String, String); 0] = [];

    #[test]
    fn without_any_setting_it_is_a_demo_on_this_machine_only() {
        let config = wsmesh_bootstrap::load::<Standalone>([""; 0], NOTHING).expect("taken");
        assert!(config.host.is_loopback());
        assert_eq!(config.port_base, 9000);
        assert!(config.common.profile.is_demo());
    }

    #[test]
    fn settings_that_make_no_sense_for_a_bundle_are_refused_at_once() {
        let arguments = [
            "--listen",
            "0.0.0.0:1",
            "--redis",
            "redis://a",
            "--profile",
            "production",
        ];
        let more = [
            "--port-base",
            "65500",
            "--host",
            "localhost",
            "--ops-listen",
            "0.0.0.0:2",
        ];
        let problems =
            wsmesh_bootstrap::load::<Standalone>(arguments.into_iter().chain(more), NOTHING).expect_err("refused");
        assert_eq!(problems.len(), 6, "{problems:#?}");
    }
}
