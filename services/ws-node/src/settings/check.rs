//! Checks of several settings together, for the binary and for code that starts a ws-node in its own process.

use axum::http::header::{COOKIE, ORIGIN};
use wsmesh_bootstrap::{Problems, Settings};

use super::EdgeSettings;
use crate::connect::{ConnectHook, HookMode};

impl EdgeSettings {
    /// Checks what no single setting can know.
    pub(crate) fn check_together(&self, problems: &mut Problems) {
        self.auth.check_together(self.proves_clients_otherwise(), problems);
        if let Some(hook) = &self.connect.hook {
            self.check_hook(hook, problems);
        }
        if self.outbox_total_bytes < self.outbox_bytes {
            let text = format!(
                "must be at least outbox_bytes ({}), else one client could use it up",
                self.outbox_bytes
            );
            problems.about("outbox_total_bytes", text);
        }
        self.check_playground(problems);
    }

    fn check_playground(&self, problems: &mut Problems) {
        let unused = [
            ("playground_admin_port", self.playground_admin_port.is_some()),
            ("playground_traces_url", self.playground_traces_url.is_some()),
        ];
        for (key, _) in unused.into_iter().filter(|(_, is_set)| *is_set && !self.demo) {
            problems.about(key, "is for the playground, which only --profile demo has: remove it");
        }
        if self.demo && self.playground_traces_url.is_some() && !self.trust_client_traces {
            problems.about(
                "playground_traces_url",
                "would link to traces that are not there, as clients do not begin traces here: add --trust-client-traces, or \
                 remove it",
            );
        }
    }

    /// Whether it is known who clients are without a key: because they are trusted, or because the connect hook says so.
    fn proves_clients_otherwise(&self) -> bool {
        let hook = self.connect.hook.as_ref();
        self.demo || hook.is_some_and(|hook| hook.mode == HookMode::Instead)
    }

    /// Checks that the connect hook fits the other settings.
    fn check_hook(&self, hook: &ConnectHook, problems: &mut Problems) {
        let auth = &self.auth;
        let unused = [
            ("jwt_key_file", auth.jwt_key.is_some()),
            ("jwks_url", auth.jwks_url.is_some()),
            ("ticket_key_file", auth.ticket_key.is_some()),
            ("auth_by_message", auth.by_message),
            ("auth_cookie", auth.cookie.is_some()),
        ];
        if hook.mode == HookMode::Instead {
            for (key, _) in unused.into_iter().filter(|(_, is_set)| *is_set) {
                problems.about(
                    key,
                    "is not used, as the connect hook alone says who clients are: remove it, or write mode = \"after\" in \
                     [connect]",
                );
            }
        }
        if auth.by_message && hook.mode == HookMode::After && hook.timeout() >= auth.timeout {
            problems.about(
                "auth_timeout",
                "must be longer than timeout_ms of [connect], as the hook is asked within that time",
            );
        }
        if hook.shows(&COOKIE) && !hook.shows(&ORIGIN) && auth.allowed_origins.is_empty() {
            problems.about(
                "connect",
                "browsers send cookies with requests of any page, so without --allowed-origins every page could connect in the \
                 name of its visitor: list the origins of your pages, or show the header origin to the hook and check it there",
            );
        }
    }

    /// Checks everything. The settings as a ws-node runs on them, or all problems, one line each.
    pub(crate) fn checked(mut self) -> Result<Self, Vec<String>> {
        let mut problems = Problems::default();
        self.check(&mut problems);
        self.check_together(&mut problems);
        if !problems.lines().is_empty() {
            return Err(problems.lines().to_vec());
        }
        if self.shards == 0 {
            self.shards = std::thread::available_parallelism().map_or(1, usize::from);
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use wsmesh_adapter::Namespace;

    use super::*;
    use crate::namespaces::NamespaceSettings;
    use crate::routes::Rule;

    fn keys(settings: EdgeSettings) -> Vec<String> {
        let problems = settings.checked().err().unwrap_or_default();
        let keys = problems.iter().filter_map(|line| line.split_once(": "));
        keys.map(|(key, _)| key.to_owned()).collect()
    }

    #[test]
    fn the_defaults_of_the_profiles_are_valid() {
        for settings in [EdgeSettings::demo(), EdgeSettings::echo()] {
            assert_eq!(keys(settings), [""; 0]);
        }
    }

    #[test]
    fn without_a_number_of_shards_there_is_one_per_core() {
        let settings = EdgeSettings::demo().checked().expect("valid");
        assert!(settings.shards > 0);
        let two = EdgeSettings {
            shards: 2,
            ..EdgeSettings::demo()
        };
        assert_eq!(two.checked().expect("valid").shards, 2);
    }

    #[test]
    fn all_clients_together_may_hold_no_less_than_one() {
        let settings = EdgeSettings {
            outbox_bytes: 8 << 20,
            outbox_total_bytes: 4 << 20,
            ..EdgeSettings::demo()
        };
        assert_eq!(keys(settings), ["outbox_total_bytes"]);
    }

    #[test]
    fn everything_that_is_wrong_is_found_at_once() {
        let rule = |json| serde_json::from_str::<Rule>(json).expect("a rule");
        let settings = EdgeSettings {
            shards: 1025,
            drain_rate: 0,
            rebalance_rate: 0,
            rebalance_above: f64::NAN,
            heartbeat: "x".repeat(126),
            deflate_above: 0,
            outbox_bytes: 0,
            outbox_frames: 0,
            outbox_total_bytes: 0,
            logins_per_client: 0,
            max_message_bytes: usize::MAX,
            request_timeout: Duration::ZERO,
            reconnect_spread: Duration::MAX,
            drain_time: Duration::MAX,
            max_connection_age: Duration::from_millis(1),
            namespaces: vec![NamespaceSettings {
                publish_bytes: 0,
                ..NamespaceSettings::new(Namespace::new("chat").expect("valid"))
            }]
            .into(),
            rules: vec![
                rule(r#"{"event":"a","service":"s","timeout_ms":0}"#),
                rule(r#"{"event":"a","service":"s"}"#),
                rule(r#"{"event":"refreshToken","service":"s"}"#),
            ]
            .into(),
            ..EdgeSettings::demo()
        };
        let mut found = keys(settings);
        found.sort_unstable();
        assert_eq!(
            found,
            [
                "deflate_above",
                "drain_rate",
                "drain_time",
                "heartbeat",
                "logins_per_client",
                "max_connection_age",
                "max_message_bytes",
                "namespaces",
                "outbox_bytes",
                "outbox_frames",
                "outbox_total_bytes",
                "rebalance_above",
                "rebalance_rate",
                "reconnect_spread",
                "request_timeout",
                "rules",
                "rules",
                "rules",
                "shards"
            ]
        );
    }

    fn with_hook(hook: &str, settings: EdgeSettings) -> EdgeSettings {
        let hook = serde_json::from_str(hook).expect("a hook");
        EdgeSettings {
            connect: wsmesh_bootstrap::Table(crate::connect::Connect { hook: Some(hook) }),
            ..settings
        }
    }

    #[test]
    fn a_hook_is_enough_to_know_who_clients_are_unless_it_is_asked_afterwards() {
        let hook = |more: &str| format!(r#"{{"url": "http://auth.example"{more}}}"#);
        let keys_with = |more: &str, settings| keys(with_hook(&hook(more), settings));
        assert_eq!(keys_with("", EdgeSettings::default()), [""; 0]);
        assert_eq!(
            keys_with(r#", "mode": "after""#, EdgeSettings::default()),
            ["jwt_key_file"]
        );
        assert_eq!(keys_with(r#", "mode": "after""#, EdgeSettings::demo()), [""; 0]);
    }

    #[test]
    fn cookies_are_shown_to_a_hook_only_if_pages_are_checked_by_somebody() {
        let shows = |headers: &str| format!(r#"{{"url": "http://auth.example", "headers": {headers}}}"#);
        let keys_of = |headers: &str, settings| keys(with_hook(&shows(headers), settings));
        assert_eq!(keys_of(r#"["Cookie"]"#, EdgeSettings::demo()), ["connect"]);
        assert_eq!(keys_of(r#"["cookie", "Origin"]"#, EdgeSettings::demo()), [""; 0]);
        let mut pages = EdgeSettings::demo();
        pages.auth.allowed_origins = vec!["https://app.example.org".to_owned()];
        assert_eq!(keys_of(r#"["cookie"]"#, pages), [""; 0]);
    }
}
