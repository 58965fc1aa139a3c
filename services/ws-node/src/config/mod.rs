//! The settings of a ws-node as flags, environment and file give them, and the checked configuration made of them.

mod check;

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use wsmesh_adapter::{DeliveryRule, Namespace, OutboxLimits};
use wsmesh_bootstrap::{CommonConfig, HttpUrl, Problems, SecretFile, Tables, settings};
use wsmesh_protocol::ParamOptions;

use crate::auth::AuthSettings;
use crate::logins::LoginPolicy;
use crate::routes::Rule;
use crate::settings::{EdgeSettings, Limits};

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
        /// Binary messages are refused (1003). Without it, those that are UTF-8 are read as text.
        pub text_frames_only: bool = false,
        /// Messages are compressed (permessage-deflate) for clients that offer it: less traffic for more CPU time.
        pub deflate: bool = false,
        /// With --deflate, messages to clients are compressed from so many bytes on.
        pub deflate_above: usize = EdgeSettings::DEFLATE_ABOVE,
        /// Most bytes that wait for one client; one that reads more slowly is closed with 4013.
        pub outbox_bytes: usize = 1 << 20,
        /// Most frames that wait for one client.
        pub outbox_frames: usize = 4096,
        /// What happens to frames that a slow client cannot take: [[delivery]] with event, policy ("must-arrive",
        /// "latest": a newer one replaces the one that waits; "may-drop"), and for "latest" a key (JSON pointer into the payload).
        pub delivery: Tables<DeliveryRule>,
        /// Connections at once, if there are files for so many (ulimit -Hn); more are refused with 503. 0: as many as there are
        /// files for.
        pub max_connections: usize = 50_000,
        /// Connections of one address (IPv6: one /64) at once; more are refused with 429. 0: no limit.
        pub max_connections_per_address: usize = 0,
        /// Connections that may come per second; more are refused with 503, and an address whose tokens fail a tenth as
        /// often with 429. 0: no limit.
        pub accept_rate: u32 = 10_000,
        /// Proxies whose X-Forwarded-For is believed, as networks (10.0.0.0/8); several.
        pub trusted_proxies: Vec<String>,
        /// Frames that one client may send per second; more are refused, and who goes on is closed with 4015. 0: no limit.
        /// Default: 100; no limit with the demo profile.
        pub events_per_second: Option<u32>,
        /// Frames that one client may send at once.
        pub events_burst: u32 = 200,
        /// Rooms that one client may be in when it joins one more by itself. 0: no limit.
        pub rooms_per_client: usize = 100,
        /// How long a client's stream may take nothing at all while something waits; then it is closed with 4013.
        pub write_timeout: Duration = EdgeSettings::WRITE,
        /// How long a close handshake may take.
        pub close_timeout: Duration = EdgeSettings::CLOSE,
        /// How long a client's message may take from its first byte to its last; then it is closed with 1008.
        pub message_timeout: Duration = EdgeSettings::MESSAGE,
        /// How long a client may take for its request head.
        pub handshake_timeout: Duration = EdgeSettings::HANDSHAKE,
        /// Clients that are sent away by a shutdown are told to come back at some moment within this time.
        pub reconnect_spread: Duration = EdgeSettings::RECONNECT,
        /// Longest time in which a shutdown or a drain sends clients away, in waves; within the grace period in any case.
        pub drain_time: Duration = EdgeSettings::DRAIN,
        /// Clients that are sent away per second, if that is fast enough for the time above.
        pub drain_rate: u32 = EdgeSettings::DRAIN_RATE,
        /// Older connections are sent away to come back, a tenth of this sooner or later. 0s: no limit.
        pub max_connection_age: Duration = Duration::ZERO,
        /// With more clients than so many times the mean of its service, a server sheds idle ones. 0: never by itself.
        pub rebalance_above: f64 = 0.0,
        /// Clients that are shed per second.
        pub rebalance_rate: u32 = EdgeSettings::REBALANCE_RATE,
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
        /// File with the certificate of the public port and those that signed it (PEM). Without it the port speaks plain HTTP.
        pub tls_certificate_file: Option<PathBuf>,
        /// File with the certificate's private key (PEM).
        pub tls_key_file: Option<PathBuf>,
        /// File with the key that clients' tokens (JWT) are verified with: a secret of at least 32 bytes (HS256), or public
        /// keys in PEM (RS256, ES256, EdDSA). The production profile needs it, --jwks-url or --ticket-key-file.
        pub jwt_key_file: Option<SecretFile>,
        /// Where the keys are fetched that tokens are verified with (JWKS), for example
        /// https://id.example.org/.well-known/jwks.json. Needs --jwt-audience or --jwt-issuer.
        pub jwks_url: Option<HttpUrl>,
        /// How often the keys are fetched again; also when a token names a key that is not known, at most every 30 s.
        pub jwks_refresh: Duration = AuthSettings::REFRESH,
        /// Tokens must be for one of these (claim "aud"); several. Default: not looked at.
        pub jwt_audience: Vec<String>,
        /// Tokens must be from one of these (claim "iss"); several. Default: not looked at.
        pub jwt_issuer: Vec<String>,
        /// By how much the clocks of whoever signs tokens and of this server may differ.
        pub jwt_leeway: Duration = AuthSettings::LEEWAY,
        /// The claim that is the client's id.
        pub jwt_id_claim: String = AuthSettings::ID_CLAIM.to_owned(),
        /// The claim that lists the rooms that a client may join by itself, in place of --client-rooms.
        pub jwt_rooms_claim: String = AuthSettings::ROOMS_CLAIM.to_owned(),
        /// The claim that lists the events that a client may send.
        pub jwt_events_claim: String = AuthSettings::EVENTS_CLAIM.to_owned(),
        /// Name of the cookie that may hold the token. Needs --allowed-origins. Default: cookies are not looked at.
        pub auth_cookie: Option<String>,
        /// A client may connect without a token and show it in its first message (event authenticate).
        pub auth_by_message: bool = false,
        /// How long a client may take for that; then it is closed with 4014.
        pub auth_timeout: Duration = AuthSettings::TIMEOUT,
        /// File with the key with which your backend gets one-time tickets for clients (POST /api/v1/tickets on the ops port),
        /// at least 32 bytes; the same on every ws-node. Default: there are no tickets.
        pub ticket_key_file: Option<SecretFile>,
        /// Pages whose scripts may connect, as origins: https://app.example.org, https://*.example.org, or "*"; several. Others
        /// get 403; who sends no Origin is no browser and may. Default: not looked at.
        pub allowed_origins: Vec<String>,
        /// Subprotocols that are answered when a client offers them, beside wsmesh; several. Default: the first that it offers,
        /// unless it holds a token.
        pub subprotocols: Vec<String>,
        /// Demo profile only: admin's port on the host that the playground is reached by. The playground then has buttons that
        /// stop and resume ws-nodes, if admin's API is open. Default: no buttons.
        pub playground_admin_port: Option<u16>,
        /// Events that are forwarded to a service: [[rules]] with event, service, and if wanted pick ("least-busy" or
        /// "client"), reply ("relay" or "direct") and timeout_ms. The demo profile has the game's events without it.
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
        if common.listen.is_none() {
            problems.about(
                "listen",
                "a ws-node without a public address is of no use: write IP:PORT, for example 0.0.0.0:9000",
            );
        }
        let tls = check::tls(&settings, problems);
        let trusted_proxies = check::networks(&settings.trusted_proxies, problems);
        let client_rooms = check::rooms(&settings.client_rooms, problems);
        let edge = EdgeSettings {
            tls,
            ..edge(&common, settings, client_rooms, trusted_proxies)
        };
        for (key, problem) in edge.problems() {
            // Every service has this one: that it is too short was said before.
            if key != "request_timeout" || !problem.contains("too short") {
                problems.about(key, problem);
            }
        }
        (problems.lines().len() == before).then_some(Self { common, edge })
    }
}

impl From<&NodeSettings> for AuthSettings {
    fn from(settings: &NodeSettings) -> Self {
        Self {
            jwt_key: settings.jwt_key_file.clone(),
            jwks_url: settings.jwks_url.clone(),
            jwks_refresh: settings.jwks_refresh,
            audiences: settings.jwt_audience.clone(),
            issuers: settings.jwt_issuer.clone(),
            leeway: settings.jwt_leeway,
            id_claim: settings.jwt_id_claim.clone(),
            rooms_claim: settings.jwt_rooms_claim.clone(),
            events_claim: settings.jwt_events_claim.clone(),
            cookie: settings.auth_cookie.clone(),
            by_message: settings.auth_by_message,
            timeout: settings.auth_timeout,
            ticket_key: settings.ticket_key_file.clone(),
            allowed_origins: settings.allowed_origins.clone(),
            subprotocols: settings.subprotocols.clone(),
        }
    }
}

fn edge(
    common: &CommonConfig,
    settings: NodeSettings,
    client_rooms: Vec<Namespace>,
    trusted_proxies: Vec<IpNet>,
) -> EdgeSettings {
    let mut defaults = if common.profile.is_demo() {
        EdgeSettings::demo()
    } else {
        EdgeSettings::closed()
    };
    // A rule of the file takes the place of the demo's for the same event.
    defaults
        .rules
        .retain(|default| settings.rules.iter().all(|rule| rule.event != default.event));
    let auth = AuthSettings::from(&settings);
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
        text_frames_only: settings.text_frames_only,
        deflate_above: settings.deflate.then_some(settings.deflate_above),
        outbox: OutboxLimits {
            bytes: settings.outbox_bytes,
            frames: settings.outbox_frames,
        },
        delivery: settings.delivery.0,
        limits: Limits {
            connections: settings.max_connections,
            open_files: common.open_files,
            connections_per_address: settings.max_connections_per_address,
            accept_rate: settings.accept_rate,
            trusted_proxies,
            events_per_second: settings.events_per_second.unwrap_or(defaults.limits.events_per_second),
            events_burst: settings.events_burst,
            rooms_per_client: settings.rooms_per_client,
        },
        write_timeout: settings.write_timeout,
        close_timeout: settings.close_timeout,
        message_timeout: settings.message_timeout,
        handshake_timeout: settings.handshake_timeout,
        request_timeout: common.request_timeout,
        reconnect_spread: settings.reconnect_spread,
        drain_time: settings.drain_time,
        drain_rate: settings.drain_rate,
        max_connection_age: settings.max_connection_age,
        rebalance_above: settings.rebalance_above,
        rebalance_rate: settings.rebalance_rate,
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
        tls: None,
        auth,
        trust_client_traces: settings.trust_client_traces,
        demo: defaults.demo,
        playground_admin_port: settings.playground_admin_port,
        echo: defaults.echo,
    }
}

#[cfg(test)]
mod tests {
    use wsmesh_adapter::ServiceName;
    use wsmesh_bootstrap::{Profile, Secret};

    use super::*;
    use crate::routes::PickBy;

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
            reply: crate::routes::ReplyBy::Relay,
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
    fn the_playground_orders_nothing_unless_it_is_told_to_and_never_outside_the_demo() {
        let settings = |port| NodeSettings {
            playground_admin_port: port,
            jwt_key_file: key(),
            ..NodeSettings::default()
        };
        let check = |profile, port| {
            let mut problems = Problems::default();
            let config = Config::check(common(profile), settings(port), &mut problems);
            config
                .map(|config| config.edge.playground_admin_port)
                .ok_or(problems.lines().join("\n"))
        };
        assert_eq!(check(Profile::Demo, None), Ok(None));
        assert_eq!(check(Profile::Demo, Some(9100)), Ok(Some(9100)));
        assert!(check(Profile::Production, Some(9100)).is_err_and(|problem| problem.contains("--profile demo")));
    }

    #[test]
    fn everything_that_is_wrong_is_found_at_once() {
        let settings = NodeSettings {
            ping_interval: Duration::ZERO,
            max_message_bytes: 1,
            client_rooms: vec!["x".repeat(256)],
            rules: Tables(vec![
                rule("a"),
                rule("a"),
                rule(""),
                rule("wsmesh.kick"),
                rule("refreshToken"),
            ]),
            jwt_key_file: Some(SecretFile::from_secret(Secret::new("short"))),
            ..NodeSettings::default()
        };
        let mut problems = Problems::default();
        assert!(Config::check(common(Profile::Demo), settings, &mut problems).is_none());
        assert_eq!(problems.lines().len(), 8, "{:#?}", problems.lines());
    }
}
