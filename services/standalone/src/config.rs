//! The checked configuration of the bundle: the common settings, its own, and those of its ws-nodes.

use std::path::Path;

use ws_node::{EdgeSettings, WsNodeService};
use wsmesh_adapter::Bus;
use wsmesh_bootstrap::{CommonConfig, Problems, Settings, toml};

use crate::settings::StandaloneSettings;

/// The configuration of the bundle, without problems.
#[derive(Debug, Clone)]
pub struct Config {
    /// The settings of every service of the bundle, except name, addresses and bus.
    pub common: CommonConfig,
    /// The settings of the bundle.
    pub settings: StandaloneSettings,
    /// The settings of both ws-nodes.
    pub edge: EdgeSettings,
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
        let edge = match settings.ws_node_config.as_deref().map(ws_node_settings) {
            None => EdgeSettings::default(),
            Some(Ok(edge)) => edge,
            Some(Err(lines)) => {
                lines
                    .into_iter()
                    .for_each(|line| problems.about("ws_node_config", line));
                return None;
            }
        };
        problems.lines().is_empty().then_some(Self { common, settings, edge })
    }
}

/// Reads the file as a ws-node in the demo profile does.
fn ws_node_settings(file: &Path) -> Result<EdgeSettings, Vec<String>> {
    let arguments = ["--profile=demo", "--listen=127.0.0.1:9000", "--config"].map(Into::into);
    let environment: [(String, String); 0] = [];
    let config = wsmesh_bootstrap::load::<WsNodeService>(
        arguments.into_iter().chain([file.as_os_str().to_owned()]),
        environment,
    )?;
    let common = common_settings_of(file);
    if common.is_empty() {
        return Ok(config.settings);
    }
    let text = "is the same for all services of the bundle: give it to the bundle, not to its ws-nodes";
    Err(common.into_iter().map(|key| format!("{key} {text}")).collect())
}

/// The settings of every service that are in this file.
fn common_settings_of(file: &Path) -> Vec<&'static str> {
    let read = std::fs::read_to_string(file).ok();
    let table = read
        .and_then(|text| text.parse::<toml::Table>().ok())
        .unwrap_or_default();
    let common = CommonConfig::declared().into_iter().map(|setting| setting.key);
    common.filter(|key| table.contains_key(*key)).collect()
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

    fn with_file(text: &str) -> Result<super::Config, Vec<String>> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("is written");
        let path = file.path().as_os_str().to_owned();
        wsmesh_bootstrap::load::<Standalone>(["--ws-node-config".into(), path], NOTHING)
    }

    #[test]
    fn the_file_of_the_ws_nodes_is_read_as_a_ws_node_reads_it() {
        let text = "client_rooms = [\"auction\"]\n[[rules]]\nevent = \"placeBid\"\nservice = \"auction\"\n";
        let config = with_file(text).expect("taken");
        assert!(config.edge.rules.iter().any(|rule| rule.event == "placeBid"));
        assert!(config.edge.client_rooms.iter().any(|name| name.as_str() == "auction"));
    }

    #[test]
    fn a_file_of_the_ws_nodes_with_mistakes_is_refused_with_all_of_them() {
        let problems = with_file("shards = -1\nrulez = 1\n").expect_err("refused");
        assert_eq!(problems.len(), 2, "{problems:#?}");
        assert!(
            problems.iter().all(|line| line.starts_with("--ws-node-config")),
            "{problems:#?}"
        );
    }

    #[test]
    fn settings_of_every_service_do_not_belong_into_the_file_of_the_ws_nodes() {
        let problems = with_file("redis = [\"redis://a\"]\nrequest_timeout = \"1s\"\n").expect_err("refused");
        assert_eq!(problems.len(), 2, "{problems:#?}");
        assert!(problems[0].contains("give it to the bundle"), "{problems:#?}");
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
