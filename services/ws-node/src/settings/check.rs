//! What is wrong with settings, in sentences that say what to write instead: for the binary and for those who start a
//! ws-node in a process of their own alike.

use std::collections::BTreeSet;
use std::time::Duration;

use wsmesh_adapter::{DeliveryRule, Policy};

use super::EdgeSettings;
use crate::routes::{CREDENTIAL_EVENTS, Rule};

/// No time is longer: beyond that, clocks overflow before anybody sees the end.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// Below that, nothing is in time.
const SHORTEST: Duration = Duration::from_millis(10);

/// Settings, by the name that they have in files, and what is wrong with them.
#[derive(Default)]
struct Problems(Vec<(&'static str, String)>);

impl Problems {
    fn about(&mut self, setting: &'static str, text: impl Into<String>) {
        self.0.push((setting, text.into()));
    }
}

impl EdgeSettings {
    /// What is wrong with them, all at once: setting and sentence. With any of it, no ws-node starts.
    pub(crate) fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Problems(self.auth.problems(self.demo));
        durations(self, &mut problems);
        numbers(self, &mut problems);
        delivery(&self.delivery, &mut problems);
        rules(&self.rules, &mut problems);
        if self.playground_admin_port.is_some() && !self.demo {
            problems.about(
                "playground_admin_port",
                "is for the playground, which only --profile demo has: leave it out",
            );
        }
        problems.0
    }
}

fn durations(settings: &EdgeSettings, problems: &mut Problems) {
    let second = Duration::from_secs(1);
    let age = settings.max_connection_age;
    for (key, duration, least) in [
        ("ping_interval", settings.ping_interval, SHORTEST),
        ("enter_background_close", settings.enter_background_close, SHORTEST),
        ("write_timeout", settings.write_timeout, SHORTEST),
        ("close_timeout", settings.close_timeout, SHORTEST),
        ("message_timeout", settings.message_timeout, SHORTEST),
        ("handshake_timeout", settings.handshake_timeout, SHORTEST),
        ("request_timeout", settings.request_timeout, SHORTEST),
        ("reconnect_spread", settings.reconnect_spread, Duration::ZERO),
        ("drain_time", settings.drain_time, Duration::ZERO),
        ("max_connection_age", age, if age.is_zero() { age } else { second }),
    ] {
        if duration < least {
            let or_none = if key == "max_connection_age" {
                "0s (no limit), or "
            } else {
                ""
            };
            problems.about(key, format!("is too short: write {or_none}at least {least:?}"));
        }
        if duration > LONGEST {
            problems.about(key, "is too long: write at most 366 days");
        }
    }
}

fn numbers(settings: &EdgeSettings, problems: &mut Problems) {
    let above = settings.rebalance_above;
    if above != 0.0 && !(1.05..=100.0).contains(&above) {
        problems.about(
            "rebalance_above",
            "is out of bounds: write 0 (off), or 1.05 to 100 times the mean",
        );
    }
    let most = 64 << 20;
    for (key, number, least, most) in [
        ("shards", settings.shards, 1, 1024),
        ("drain_rate", settings.drain_rate as usize, 1, 1_000_000),
        ("rebalance_rate", settings.rebalance_rate as usize, 1, 1_000_000),
        ("max_message_bytes", settings.max_message_bytes, 125, most),
        ("deflate_above", settings.deflate_above.unwrap_or(1), 1, most),
        ("outbox_bytes", settings.outbox.bytes, 1024, 1 << 30),
        ("outbox_frames", settings.outbox.frames, 1, 1 << 24),
        ("heartbeat", settings.heartbeat.len(), 0, 125),
        ("logins_per_client", settings.logins_per_client, 1, 1000),
    ] {
        if !(least..=most).contains(&number) {
            let unit = if key == "heartbeat" { "a text of " } else { "" };
            problems.about(key, format!("{number} is out of bounds: write {unit}{least} to {most}"));
        }
    }
}

fn delivery(rules: &[DeliveryRule], problems: &mut Problems) {
    let mut events = BTreeSet::new();
    for rule in rules {
        if !events.insert(&rule.event) {
            problems.about("delivery", format!("two rules are about {:?}: remove one", rule.event));
        }
        match &rule.key {
            Some(_) if rule.policy != Policy::Latest => problems.about(
                "delivery",
                format!(
                    "the rule for {:?} has a key, which only \"latest\" uses: remove it",
                    rule.event
                ),
            ),
            Some(key) if !key.is_empty() && !key.starts_with('/') => problems.about(
                "delivery",
                format!(
                    "the key of the rule for {:?} is no JSON pointer: write it as /player",
                    rule.event
                ),
            ),
            _ => {}
        }
    }
}

fn rules(rules: &[Rule], problems: &mut Problems) {
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
        if CREDENTIAL_EVENTS.contains(&rule.event.as_str()) {
            problems.about(
                "rules",
                format!(
                    "{:?} carries clients' tokens, which stay here: choose another event",
                    rule.event
                ),
            );
        }
        if !events.insert(&rule.event) {
            problems.about("rules", format!("two rules forward {:?}: remove one", rule.event));
        }
        let timeout = rule.timeout_ms.map(Duration::from_millis);
        if timeout.is_some_and(|timeout| timeout.is_zero() || timeout > LONGEST) {
            problems.about(
                "rules",
                format!(
                    "timeout_ms of the rule for {:?} is 0 or longer than 366 days: leave it out or write another",
                    rule.event
                ),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use wsmesh_adapter::OutboxLimits;

    use super::*;

    #[test]
    fn what_the_profiles_begin_with_is_in_order() {
        for settings in [EdgeSettings::demo(), EdgeSettings::echo()] {
            assert_eq!(settings.problems(), []);
        }
    }

    #[test]
    fn everything_that_is_wrong_is_found_at_once() {
        let rule = |json| serde_json::from_str::<Rule>(json).expect("a rule");
        let settings = EdgeSettings {
            shards: 0,
            drain_rate: 0,
            rebalance_rate: 0,
            rebalance_above: f64::NAN,
            heartbeat: "x".repeat(126),
            deflate_above: Some(0),
            outbox: OutboxLimits { bytes: 0, frames: 0 },
            logins_per_client: 0,
            max_message_bytes: usize::MAX,
            request_timeout: Duration::ZERO,
            reconnect_spread: Duration::MAX,
            drain_time: Duration::MAX,
            max_connection_age: Duration::from_millis(1),
            rules: vec![
                rule(r#"{"event":"a","service":"s","timeout_ms":0}"#),
                rule(r#"{"event":"a","service":"s"}"#),
                rule(r#"{"event":"refreshToken","service":"s"}"#),
            ],
            ..EdgeSettings::demo()
        };
        let mut found: Vec<_> = settings.problems().into_iter().map(|(key, _)| key).collect();
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
