//! Checks of several settings together, for the binary and for code that starts a ws-node in its own process.

use wsmesh_bootstrap::{Problems, Settings};

use super::EdgeSettings;

impl EdgeSettings {
    /// Checks what no single setting can know.
    pub(crate) fn check_together(&self, problems: &mut Problems) {
        self.auth.check_together(self.demo, problems);
        match (&self.tls_certificate_file, &self.tls_key_file) {
            (Some(_), None) => problems.about("tls_key_file", "is missing: a certificate needs its private key"),
            (None, Some(_)) => problems.about(
                "tls_certificate_file",
                "is missing: a private key needs its certificate",
            ),
            _ => {}
        }
        if self.playground_admin_port.is_some() && !self.demo {
            problems.about(
                "playground_admin_port",
                "is for the playground, which only --profile demo has: remove it",
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
}
