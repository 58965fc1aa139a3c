//! The checked configuration of the bundle: the common settings and its own.

use wsmesh_adapter::Bus;
use wsmesh_bootstrap::{CommonConfig, Problems};

use crate::settings::StandaloneSettings;

/// The configuration of the bundle, without problems.
#[derive(Debug, Clone)]
pub struct Config {
    /// The settings of every service of the bundle, except name, addresses and bus.
    pub common: CommonConfig,
    /// The settings of the bundle.
    pub settings: StandaloneSettings,
}

impl Config {
    /// Rejects common settings that make no sense for a bundle.
    pub(crate) fn check(common: CommonConfig, settings: StandaloneSettings, problems: &mut Problems) -> Option<Self> {
        for (key, given) in [("listen", common.listen), ("ops_listen", common.ops_listen)] {
            if given.is_some() {
                problems.about(
                    key,
                    "cannot be used for five services with addresses of their own: use --host and --port-base",
                );
            }
        }
        if !matches!(common.bus, Bus::Alone) {
            problems.about(
                "redis",
                "cannot be used, as the bus is inside this process: for Redis, start ws-node, game-logic and admin",
            );
        }
        if !common.profile.is_demo() {
            problems.about(
                "profile",
                "must be demo here: for production, start ws-node, game-logic and admin",
            );
        }
        problems.lines().is_empty().then_some(Self { common, settings })
    }
}

#[cfg(test)]
mod tests {
    use wsmesh_bootstrap::document::Reference;

    use crate::Standalone;

    const NOTHING: [(String, String); 0] = [];

    #[test]
    fn without_settings_it_is_a_demo_on_this_machine_only() {
        let config = wsmesh_bootstrap::load::<Standalone>([""; 0], NOTHING).expect("taken");
        assert!(config.settings.host.is_loopback());
        assert_eq!(config.settings.port_base, 9000);
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

    #[test]
    fn the_readme_has_the_settings_as_declared() {
        let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
        assert_eq!(Reference::of::<Standalone>().check(readme), Ok(()));
    }

    #[test]
    fn settings_keep_their_names_and_defaults() {
        let pinned = include_str!("../tests/settings.txt");
        assert_eq!(Reference::of::<Standalone>().check_defaults(pinned), Ok(()));
    }
}
