//! The checked configuration of a ws-node: the common settings and its own.

use wsmesh_bootstrap::{CommonConfig, Problems};

use crate::settings::EdgeSettings;

/// The configuration of a ws-node, without problems.
#[derive(Debug, Clone)]
pub struct Config {
    /// The settings of every service.
    pub common: CommonConfig,
    /// The settings of a ws-node.
    pub settings: EdgeSettings,
}

impl Config {
    /// Fills in what depends on the common settings, and checks what no single setting can know.
    pub(crate) fn check(common: CommonConfig, mut settings: EdgeSettings, problems: &mut Problems) -> Option<Self> {
        if common.listen.is_none() {
            problems.about(
                "listen",
                "a ws-node needs a public address: write IP:PORT, for example 0.0.0.0:9000",
            );
        }
        // The profile alone decides: settings made by code for the demo must not open production.
        settings.demo = common.profile.is_demo();
        if settings.demo {
            settings = settings.or_demo();
        }
        settings.request_timeout = common.request_timeout;
        settings.limits.open_files = common.open_files;
        settings.tls_certificate_file.clone_from(&common.tls_certificate_file);
        settings.tls_key_file.clone_from(&common.tls_key_file);
        settings.check_together(problems);
        problems.lines().is_empty().then_some(Self { common, settings })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use wsmesh_adapter::{Namespace, ServiceName};
    use wsmesh_bootstrap::document::Reference;
    use wsmesh_bootstrap::{Profile, Secret, SecretFile, Tables, Value as _, configure, load};

    use super::*;
    use crate::WsNodeService;
    use crate::auth::AuthSettings;
    use crate::namespaces::NamespaceSettings;
    use crate::routes::{PickBy, Rule};
    use crate::settings::TracesUrl;

    const NOTHING: [(String, String); 0] = [];

    fn common(profile: Profile) -> CommonConfig {
        let listen = Some("127.0.0.1:0".parse().expect("an address"));
        CommonConfig {
            profile,
            listen,
            ..CommonConfig::new("edge")
        }
    }

    fn key() -> Option<SecretFile> {
        Some(SecretFile::from_secret(Secret::new("0123456789abcdef0123456789abcdef")))
    }

    fn rule(event: &str) -> Rule {
        let service = ServiceName::new("logic").expect("valid");
        Rule {
            pick: PickBy::Client,
            ..Rule::to_service(event, service)
        }
    }

    #[test]
    fn production_needs_a_key_and_says_how_to_make_one() {
        let mut problems = Problems::default();
        assert!(Config::check(common(Profile::Production), EdgeSettings::default(), &mut problems).is_none());
        assert_eq!(problems.lines().len(), 1);
        assert!(problems.lines()[0].contains("openssl rand"), "{:?}", problems.lines());
        let settings = EdgeSettings {
            auth: AuthSettings {
                jwt_key: key(),
                ..AuthSettings::default()
            },
            ..EdgeSettings::default()
        };
        let config = Config::check(common(Profile::Production), settings, &mut Problems::default()).expect("good");
        assert!(!config.settings.demo && config.settings.rules.is_empty() && config.settings.client_rooms.is_empty());
    }

    #[test]
    fn the_demo_forwards_the_games_events_and_a_rule_of_the_file_replaces_a_demo_rule() {
        let rules = Tables(vec![rule("gamePing"), rule("mine")]);
        let settings = EdgeSettings {
            rules,
            ..EdgeSettings::default()
        };
        let config = Config::check(common(Profile::Demo), settings, &mut Problems::default()).expect("good");
        let service = |event: &str| {
            let mut found = config.settings.rules.iter().filter(|rule| rule.event == event);
            let service = found
                .next()
                .and_then(|rule| rule.service.as_ref())
                .map(ServiceName::as_str);
            assert!(found.next().is_none(), "{event} twice");
            service
        };
        assert_eq!((service("gamePing"), service("mine")), (Some("logic"), Some("logic")));
        assert_eq!(service("matchRequest"), Some("game-logic"));
        assert!(config.settings.client_rooms.iter().map(Namespace::as_str).eq(["chat"]));
    }

    #[test]
    fn the_demo_lets_members_publish_to_chat_unless_the_file_says_otherwise() {
        let own = NamespaceSettings::new(Namespace::new("chat").expect("valid"));
        for (own, is_open) in [(vec![], true), (vec![own], false)] {
            let settings = EdgeSettings {
                namespaces: own.into(),
                ..EdgeSettings::default()
            };
            let config = Config::check(common(Profile::Demo), settings, &mut Problems::default()).expect("good");
            let namespaces = config.settings.namespaces.iter();
            let open: Vec<_> = namespaces
                .map(|namespace| (namespace.name.as_str(), namespace.client_publish))
                .collect();
            assert_eq!(open, [("chat", is_open)]);
        }
    }

    #[test]
    fn the_playground_has_buttons_only_with_its_setting_and_never_outside_the_demo() {
        let settings = |port| EdgeSettings {
            playground_admin_port: port,
            auth: AuthSettings {
                jwt_key: key(),
                ..AuthSettings::default()
            },
            ..EdgeSettings::default()
        };
        let check = |profile, port| {
            let mut problems = Problems::default();
            let config = Config::check(common(profile), settings(port), &mut problems);
            config
                .map(|config| config.settings.playground_admin_port)
                .ok_or(problems.lines().join("\n"))
        };
        assert_eq!(check(Profile::Demo, None), Ok(None));
        assert_eq!(check(Profile::Demo, Some(9100)), Ok(Some(9100)));
        assert!(check(Profile::Production, Some(9100)).is_err_and(|problem| problem.contains("--profile demo")));
    }

    #[test]
    fn the_playground_links_to_traces_only_if_clients_may_begin_them_and_never_outside_the_demo() {
        let check = |profile, trust_client_traces| {
            let settings = EdgeSettings {
                playground_traces_url: Some(TracesUrl::parse("http://127.0.0.1:16686").expect("a URL")),
                trust_client_traces,
                auth: AuthSettings {
                    jwt_key: key(),
                    ..AuthSettings::default()
                },
                ..EdgeSettings::default()
            };
            let mut problems = Problems::default();
            let config = Config::check(common(profile), settings, &mut problems);
            config.map(drop).ok_or(problems.lines().join("\n"))
        };
        assert_eq!(check(Profile::Demo, true), Ok(()));
        assert!(check(Profile::Demo, false).is_err_and(|problem| problem.contains("add --trust-client-traces")));
        assert!(check(Profile::Production, true).is_err_and(|problem| problem.contains("--profile demo")));
    }

    #[test]
    fn settings_of_the_demo_need_a_key_in_production_and_trust_no_client_there() {
        let mut problems = Problems::default();
        let opened = configure::<WsNodeService>(common(Profile::Production), EdgeSettings::demo(), &mut problems);
        assert!(opened.is_none(), "without a key");
        assert!(problems.lines()[0].contains("openssl rand"), "{:?}", problems.lines());
        let mut settings = EdgeSettings::demo();
        settings.auth.jwt_key = key();
        let config = configure::<WsNodeService>(common(Profile::Production), settings, &mut Problems::default());
        assert!(!config.expect("valid").settings.demo);
    }

    #[test]
    fn everything_that_is_wrong_is_found_at_once() {
        let settings = EdgeSettings {
            ping_interval: Duration::ZERO,
            max_message_bytes: 1,
            rules: Tables(vec![
                rule("a"),
                rule("a"),
                rule(""),
                rule("wsmesh.kick"),
                rule("refreshToken"),
            ]),
            auth: AuthSettings {
                jwt_key: Some(SecretFile::from_secret(Secret::new("short"))),
                ..AuthSettings::default()
            },
            ..EdgeSettings::default()
        };
        let mut problems = Problems::default();
        assert!(configure::<WsNodeService>(common(Profile::Demo), settings, &mut problems).is_none());
        assert_eq!(problems.lines().len(), 7, "{:#?}", problems.lines());
        let (room, arguments) = (
            "x".repeat(256),
            "--ping-interval 1ms --trusted-proxies q --shards 1025 --profile demo",
        );
        let arguments = arguments.split(' ').chain(["--client-rooms", &room]);
        let problems = load::<WsNodeService>(arguments, NOTHING).expect_err("much is wrong");
        assert_eq!(problems.len(), 4, "{problems:#?}");
    }

    #[test]
    fn a_request_timeout_that_is_too_short_is_one_problem() {
        let arguments = ["--profile", "demo", "--request-timeout", "1ms"];
        let problems = load::<WsNodeService>(arguments, NOTHING).expect_err("too short");
        assert_eq!(problems, ["--request-timeout: is too short: write at least 10ms"]);
    }

    #[test]
    fn the_readme_has_the_settings_as_declared() {
        let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
        assert_eq!(Reference::of::<WsNodeService>().check(readme), Ok(()));
    }

    #[test]
    fn settings_keep_their_names_and_defaults() {
        let pinned = include_str!("../tests/settings.txt");
        assert_eq!(Reference::of::<WsNodeService>().check_defaults(pinned), Ok(()));
    }
}
