//! The settings of a ws-node as flags, environment and file give them, and the checked configuration made of them.

use std::collections::BTreeSet;
use std::time::Duration;

use wsmesh_adapter::{Namespace, OutboxLimits};
use wsmesh_bootstrap::{CommonConfig, Problems, SecretFile, Tables, settings};
use wsmesh_protocol::ParamOptions;

use crate::events::Rule;
use crate::http::auth::{Key, NO_AUTH};
use crate::logins::LoginPolicy;
use crate::settings::EdgeSettings;

settings! {
    /// Settings of a ws-node, beside the common ones.
    pub struct NodeSettings {
        /// Threads that own connections. 0: one per core.
        pub shards: usize = 0,
        /// What a client sends to see whether it is still connected; sent back as it is. Default: the empty text.
        pub heartbeat: String,
        /// How often each client is pinged; one that has not answered by the next ping is dropped.
        pub ping_interval: Duration = EdgeSettings::PING_INTERVAL,
        /// How long a client may stay in the background (event enterBackground).
        pub enter_background_close: Duration = EdgeSettings::BACKGROUND,
        /// Largest message of a client, in bytes.
        pub max_message_bytes: usize = EdgeSettings::MAX_MESSAGE_BYTES,
        /// Most bytes that wait for one client; one that reads more slowly is closed with 4013.
        pub outbox_bytes: usize = 1 << 20,
        /// Most frames that wait for one client.
        pub outbox_frames: usize = 4096,
        /// How long a client's stream may take nothing at all while something waits; then it is closed with 4013.
        pub write_timeout: Duration = EdgeSettings::WRITE,
        /// How long a close handshake may take.
        pub close_timeout: Duration = EdgeSettings::CLOSE,
        /// How long a client may take for its request head.
        pub handshake_timeout: Duration = EdgeSettings::HANDSHAKE,
        /// Clients that are sent away by a shutdown are told to come back at some moment within this time.
        pub reconnect_spread: Duration = EdgeSettings::RECONNECT,
        /// Which logins of one client id stay, on all ws-nodes together: newest (older ones are closed with 4012), oldest (a
        /// newcomer is sent away with 1013) or many (all).
        pub login_policy: LoginPolicy,
        /// How many logins of one client id stay; not with the policy many.
        pub logins_per_client: usize = 1,
        /// Names of URL parameters are lower-cased.
        pub lower_case_params: bool = false,
        /// Namespaces of rooms that clients may join by themselves (joinRoom, leaveRoom); several. Default: none; "chat" with
        /// the demo profile.
        pub client_rooms: Vec<String>,
        /// A client's traceparent becomes the parent of its frames' spans: it then decides what is traced.
        pub trust_client_traces: bool = false,
        /// File with the key that signs clients' tokens (JWT, HS256), at least 32 bytes. Needed with the production profile.
        pub jwt_key_file: Option<SecretFile>,
        /// Events that are forwarded to a service, in the file only: [[rules]] with event, service, and if wanted pick
        /// ("least-busy" or "client") and timeout_ms. The demo profile has the game's events without it.
        pub rules: Tables<Rule>,
    }
}

/// What a ws-node runs on: checked, nothing left to doubt.
#[derive(Debug, Clone)]
pub struct Config {
    /// What every service is told.
    pub common: CommonConfig,
    /// What only a ws-node is told.
    pub edge: EdgeSettings,
}

impl Config {
    /// Makes one of all settings, or says what is wrong with them.
    pub(crate) fn check(common: CommonConfig, settings: NodeSettings, problems: &mut Problems) -> Option<Self> {
        let before = problems.lines().len();
        let is_demo = common.profile.is_demo();
        if common.listen.is_none() {
            problems.about(
                "listen",
                "a ws-node without a public address is of no use: write IP:PORT, for example 0.0.0.0:9000",
            );
        }
        match &settings.jwt_key_file {
            None if !is_demo => problems.about("jwt_key_file", NO_AUTH),
            None => {}
            Some(file) => {
                if let Err(problem) = Key::new(file) {
                    problems.about("jwt_key_file", problem);
                }
            }
        }
        check_bounds(&settings, problems);
        let client_rooms = check_rooms(&settings.client_rooms, problems);
        check_rules(&settings.rules, problems);
        (problems.lines().len() == before).then(|| Self {
            edge: edge(&common, settings, client_rooms),
            common,
        })
    }
}

fn edge(common: &CommonConfig, settings: NodeSettings, client_rooms: Vec<Namespace>) -> EdgeSettings {
    let mut defaults = if common.profile.is_demo() {
        EdgeSettings::demo()
    } else {
        EdgeSettings::closed()
    };
    // A rule of the file takes the place of the demo's for the same event.
    defaults
        .rules
        .retain(|default| settings.rules.iter().all(|rule| rule.event != default.event));
    defaults.rules.extend(settings.rules.0);
    EdgeSettings {
        shards: if settings.shards == 0 {
            defaults.shards
        } else {
            settings.shards
        },
        heartbeat: settings.heartbeat,
        ping_interval: settings.ping_interval,
        enter_background_close: settings.enter_background_close,
        max_message_bytes: settings.max_message_bytes,
        outbox: OutboxLimits {
            bytes: settings.outbox_bytes,
            frames: settings.outbox_frames,
        },
        write_timeout: settings.write_timeout,
        close_timeout: settings.close_timeout,
        handshake_timeout: settings.handshake_timeout,
        request_timeout: common.request_timeout,
        reconnect_spread: settings.reconnect_spread,
        login_policy: settings.login_policy,
        logins_per_client: settings.logins_per_client,
        params: ParamOptions {
            lower_case_keys: settings.lower_case_params,
            ..ParamOptions::default()
        },
        client_rooms: if client_rooms.is_empty() {
            defaults.client_rooms
        } else {
            client_rooms
        },
        rules: defaults.rules,
        jwt_key: settings.jwt_key_file,
        trust_client_traces: settings.trust_client_traces,
        demo: defaults.demo,
    }
}

fn check_bounds(settings: &NodeSettings, problems: &mut Problems) {
    for (key, duration) in [
        ("ping_interval", settings.ping_interval),
        ("enter_background_close", settings.enter_background_close),
        ("write_timeout", settings.write_timeout),
        ("close_timeout", settings.close_timeout),
        ("handshake_timeout", settings.handshake_timeout),
    ] {
        if duration < Duration::from_millis(10) {
            problems.about(key, "is too short: write at least 10ms");
        }
    }
    let most = 64 << 20;
    for (key, number, least, most) in [
        ("shards", settings.shards, 0, 1024),
        ("max_message_bytes", settings.max_message_bytes, 125, most),
        ("outbox_bytes", settings.outbox_bytes, 1024, 1 << 30),
        ("outbox_frames", settings.outbox_frames, 1, 1 << 24),
        ("heartbeat", settings.heartbeat.len(), 0, 125),
        ("logins_per_client", settings.logins_per_client, 1, 1000),
    ] {
        if !(least..=most).contains(&number) {
            let unit = if key == "heartbeat" { "a text of " } else { "" };
            problems.about(key, format!("{number} is out of bounds: write {unit}{least} to {most}"));
        }
    }
}

fn check_rooms(names: &[String], problems: &mut Problems) -> Vec<Namespace> {
    let mut checked = Vec::new();
    for name in names {
        match Namespace::new(name) {
            Ok(namespace) => checked.push(namespace),
            Err(error) => problems.about("client_rooms", error.to_string()),
        }
    }
    checked
}

fn check_rules(rules: &[Rule], problems: &mut Problems) {
    let mut events = BTreeSet::new();
    for rule in rules {
        if rule.event.is_empty() {
            problems.about("rules", "a rule has an empty event: name the event that it forwards");
        }
        if rule.event.starts_with("wsmesh.") {
            problems.about(
                "rules",
                format!(
                    "{:?} is an event of the servers among themselves: choose another",
                    rule.event
                ),
            );
        }
        if !events.insert(&rule.event) {
            problems.about("rules", format!("two rules forward {:?}: remove one", rule.event));
        }
        if rule.timeout_ms == Some(0) {
            problems.about(
                "rules",
                format!(
                    "timeout_ms of the rule for {:?} is 0: leave it out or write more",
                    rule.event
                ),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use wsmesh_adapter::ServiceName;
    use wsmesh_bootstrap::{Profile, Secret};

    use super::*;
    use crate::events::PickBy;

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
            event: event.to_owned(),
            service,
            pick: PickBy::Client,
            reply: crate::events::ReplyBy::Relay,
            timeout_ms: None,
        }
    }

    #[test]
    fn production_needs_a_key_and_says_how_to_get_one() {
        let mut problems = Problems::default();
        assert!(Config::check(common(Profile::Production), NodeSettings::default(), &mut problems).is_none());
        assert_eq!(problems.lines().len(), 1);
        assert!(problems.lines()[0].contains("openssl rand"), "{:?}", problems.lines());
        let settings = NodeSettings {
            jwt_key_file: key(),
            ..NodeSettings::default()
        };
        let config = Config::check(common(Profile::Production), settings, &mut Problems::default()).expect("good");
        assert!(!config.edge.demo && config.edge.rules.is_empty() && config.edge.client_rooms.is_empty());
    }

    #[test]
    fn the_demo_has_the_games_rules_and_a_rule_of_the_file_takes_the_place_of_one() {
        let rules = Tables(vec![rule("gamePing"), rule("mine")]);
        let settings = NodeSettings {
            rules,
            ..NodeSettings::default()
        };
        let config = Config::check(common(Profile::Demo), settings, &mut Problems::default()).expect("good");
        let service = |event: &str| {
            let mut found = config.edge.rules.iter().filter(|rule| rule.event == event);
            let service = found.next().map(|rule| rule.service.as_str());
            assert!(found.next().is_none(), "{event} twice");
            service
        };
        assert_eq!((service("gamePing"), service("mine")), (Some("logic"), Some("logic")));
        assert_eq!(service("matchRequest"), Some("game-logic"));
        assert!(config.edge.client_rooms.iter().map(Namespace::as_str).eq(["chat"]));
    }

    #[test]
    fn everything_that_is_wrong_is_found_at_once() {
        let settings = NodeSettings {
            ping_interval: Duration::ZERO,
            max_message_bytes: 1,
            client_rooms: vec!["x".repeat(65)],
            rules: Tables(vec![rule("a"), rule("a"), rule(""), rule("wsmesh.kick")]),
            jwt_key_file: Some(SecretFile::from_secret(Secret::new("short"))),
            ..NodeSettings::default()
        };
        let mut problems = Problems::default();
        assert!(Config::check(common(Profile::Demo), settings, &mut problems).is_none());
        assert_eq!(problems.lines().len(), 7, "{:#?}", problems.lines());
    }
}
