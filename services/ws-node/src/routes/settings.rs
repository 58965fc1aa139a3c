//! The rules that forward clients' events to services and backends, as in the configuration file, and their check. Plain values;
//! `forwarding` carries them out.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wsmesh_adapter::{ClientId, Pick, ServiceName};
use wsmesh_bootstrap::{HttpUrl, LONGEST_DURATION, SecretFile};

use crate::backends::{BreakerLimits, Destination, MAX_IN_FLIGHT, MAX_REPLY_BYTES};

/// The event with which a client shows its token when it may do so after the upgrade.
pub(crate) const AUTHENTICATE: &str = "authenticate";

/// Events that carry tokens. No rule may forward them.
pub(crate) const CREDENTIAL_EVENTS: [&str; 2] = [AUTHENTICATE, "refreshToken"];

/// Forwards one event of clients, or all with a common beginning: to one server of a service, or to a backend's URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The client's event; the server event has the same name. `bid.*`: all events that begin with `bid.` and have no rule of
    /// their own; the longest beginning counts.
    pub event: String,
    /// The service that handles it. Either this or `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceName>,
    /// The backend that handles it: an `http` or `https` URL, to which each event is sent by POST.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<HttpUrl>,
    /// Which server of the service. Default `least-busy`.
    #[serde(default)]
    pub pick: PickBy,
    /// Which server sends a request's reply to the client. Default `relay`.
    #[serde(default)]
    pub reply: ReplyBy,
    /// Longest wait for a reply, in milliseconds. If the service replies to the client itself: longest time that a drain waits for
    /// that reply. Default: the setting `request_timeout`. A longer time needs clients that wait longer than their default of 5 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// With `url`: whether the events of one client are sent one after the other. Default: they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered: Option<bool>,
    /// With `url`: whether an event may be sent again, with the same `ce-id`, after a failure that leaves open whether the
    /// backend has it. Default: it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotent: Option<bool>,
    /// With `url`: events that may be on their way at once; more are refused. Default 256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<usize>,
    /// With `url`: largest answer that is read, in bytes. Default 256 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_reply_bytes: Option<usize>,
    /// With `url`: file with the secret that signs requests (Standard Webhooks, `whsec_…`). Default: they are not signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_key_file: Option<SecretFile>,
    /// With `url`: file with the token that is sent as `authorization: Bearer`. Default: none is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer_token_file: Option<SecretFile>,
    /// With an `https` URL: file with the certificates (PEM) to trust instead of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// With `url`: failures in a row after which the backend is not called for a while; 0: it is always called. Default 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker_failures: Option<usize>,
    /// With `url`: how long it is not called then, in milliseconds. Default 2000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker_open_ms: Option<u64>,
}

impl Rule {
    /// A rule with the defaults that forwards an event to a service.
    pub fn to_service(event: impl Into<String>, service: ServiceName) -> Self {
        Self {
            service: Some(service),
            ..Self::of(event.into())
        }
    }

    /// A rule with the defaults that forwards an event to a backend.
    pub fn to_url(event: impl Into<String>, url: HttpUrl) -> Self {
        Self {
            url: Some(url),
            ..Self::of(event.into())
        }
    }

    fn of(event: String) -> Self {
        Self {
            event,
            service: None,
            url: None,
            pick: PickBy::default(),
            reply: ReplyBy::default(),
            timeout_ms: None,
            ordered: None,
            idempotent: None,
            max_in_flight: None,
            max_reply_bytes: None,
            signing_key_file: None,
            bearer_token_file: None,
            ca_file: None,
            breaker_failures: None,
            breaker_open_ms: None,
        }
    }

    /// The beginning of the events that it forwards, if it is for several.
    pub(crate) fn prefix(&self) -> Option<&str> {
        self.event.strip_suffix('*')
    }

    /// Where its backend is, if it has one.
    pub(crate) fn destination(&self, timeout: Duration) -> Option<Destination> {
        let timeout = self.timeout_ms.map_or(timeout, Duration::from_millis);
        let default = BreakerLimits::default();
        Some(Destination {
            max_in_flight: self.max_in_flight.unwrap_or(MAX_IN_FLIGHT),
            max_reply_bytes: self.max_reply_bytes.unwrap_or(MAX_REPLY_BYTES),
            is_idempotent: self.idempotent.unwrap_or_default(),
            signing_key: self.signing_key_file.clone(),
            bearer_token: self.bearer_token_file.clone(),
            ca_file: self.ca_file.clone(),
            breaker: BreakerLimits {
                failures: self.breaker_failures.unwrap_or(default.failures),
                open: self.breaker_open_ms.map_or(default.open, Duration::from_millis),
            },
            ..Destination::new(self.url.clone()?, timeout)
        })
    }

    /// The keys that are set and only have a meaning with a URL.
    fn only_with_url(&self) -> impl Iterator<Item = &'static str> {
        let keys = [
            ("ordered", self.ordered.is_some()),
            ("idempotent", self.idempotent.is_some()),
            ("max_in_flight", self.max_in_flight.is_some()),
            ("max_reply_bytes", self.max_reply_bytes.is_some()),
            ("signing_key_file", self.signing_key_file.is_some()),
            ("bearer_token_file", self.bearer_token_file.is_some()),
            ("ca_file", self.ca_file.is_some()),
            ("breaker_failures", self.breaker_failures.is_some()),
            ("breaker_open_ms", self.breaker_open_ms.is_some()),
        ];
        keys.into_iter().filter_map(|(key, is_set)| is_set.then_some(key))
    }
}

/// How a rule picks one server of its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PickBy {
    /// The server with the fewest clients in its last beacon. Servers with equally few take turns.
    #[default]
    LeastBusy,
    /// The same server for all events of a client, as long as the set of servers stays the same.
    Client,
}

impl PickBy {
    pub(crate) fn pick(self, client: &ClientId) -> Pick {
        match self {
            Self::LeastBusy => Pick::LeastBusy,
            Self::Client => Pick::Key(client.to_string()),
        }
    }
}

/// Which server sends a request's reply to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplyBy {
    /// The service replies to this ws-node, which passes the reply on. No reply in time is an error.
    #[default]
    Relay,
    /// The service receives the client's callback id and replies to the client itself, at any time. If it never does, the
    /// client's own time limit ends the request.
    Direct,
}

/// The rules of the demo profile, for the game that game-logic runs. All events about one player's queue and match go to the
/// same server.
pub(crate) fn demo_rules() -> Vec<Rule> {
    const GAME: [(&str, PickBy); 5] = [
        ("gamePing", PickBy::LeastBusy),
        ("matchRequest", PickBy::Client),
        ("matchCancel", PickBy::Client),
        ("matchInput", PickBy::Client),
        ("matchLeave", PickBy::Client),
    ];
    // The name is valid, so there is always one.
    let service = ServiceName::new("game-logic").into_iter();
    let rules = service.flat_map(|service| GAME.map(|(event, pick)| (event, pick, service.clone())));
    rules
        .map(|(event, pick, service)| Rule {
            pick,
            ..Rule::to_service(event, service)
        })
        .collect()
}

/// The problems of these rules: sentences that say what to write.
pub(crate) fn problems(rules: &[Rule]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut events = BTreeSet::new();
    for rule in rules {
        let Rule { event, timeout_ms, .. } = rule;
        if event.is_empty() {
            problems.push("a rule has an empty event: name the event that it forwards".to_owned());
        }
        if event.starts_with("wsmesh.") {
            problems.push(format!("{event:?} is reserved for the servers: choose another event"));
        }
        if CREDENTIAL_EVENTS.contains(&event.as_str()) {
            problems.push(format!(
                "{event:?} carries tokens of clients, which must not leave this server: choose another event"
            ));
        }
        if !events.insert(event) {
            problems.push(format!("two rules forward {event:?}: remove one"));
        }
        let timeout = timeout_ms.map(Duration::from_millis);
        if timeout.is_some_and(|timeout| timeout.is_zero() || timeout > LONGEST_DURATION) {
            problems.push(format!(
                "timeout_ms of the rule for {event:?} is 0 or longer than 366 days: remove it or write another value"
            ));
        }
        let of_way = way_problems(rule).into_iter();
        problems.extend(of_way.map(|problem| format!("the rule for {event:?}: {problem}")));
    }
    problems
}

/// The problems of where a rule's events go.
fn way_problems(rule: &Rule) -> Vec<String> {
    // The time limit has been checked.
    let destination = rule.destination(LONGEST_DURATION).map(|destination| Destination {
        timeout: LONGEST_DURATION,
        ..destination
    });
    match (&rule.service, destination) {
        (Some(_), Some(_)) => vec!["it has a service and a url: remove one".to_owned()],
        (None, None) => vec!["it has neither a service nor a url: write one".to_owned()],
        (Some(_), None) => {
            let keys = rule.only_with_url();
            keys.map(|key| format!("{key} is only for a url: remove it")).collect()
        }
        (None, Some(destination)) => {
            let mut problems = destination.problems();
            if rule.reply == ReplyBy::Direct {
                problems.push("a backend cannot reply \"direct\": remove reply".to_owned());
            }
            if rule.pick == PickBy::Client {
                problems.push("pick is only for a service: remove it".to_owned());
            }
            problems
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_needs_an_event_and_nothing_unknown() {
        let rule: Rule = serde_json::from_str(r#"{"event":"a","service":"s","pick":"client"}"#).expect("good");
        assert_eq!((rule.pick, rule.timeout_ms), (PickBy::Client, None));
        assert!(serde_json::from_str::<Rule>(r#"{"service":"s"}"#).is_err());
        assert!(serde_json::from_str::<Rule>(r#"{"event":"a","service":"s","pic":"client"}"#).is_err());
        assert!(serde_json::from_str::<Rule>(r#"{"event":"a","service":"s","pick":"random"}"#).is_err());
    }

    #[test]
    fn a_rule_needs_either_a_service_or_a_url_and_only_keys_that_fit() {
        let problems = |json: &str| problems(&[serde_json::from_str(json).expect("a rule")]);
        for good in [
            r#"{"event":"a","service":"s","reply":"direct"}"#,
            r#"{"event":"a.*","url":"http://h/p","timeout_ms":1,"ordered":false,"idempotent":true,"breaker_failures":0}"#,
        ] {
            assert_eq!(problems(good), [""; 0], "{good}");
        }
        for (wrong, what) in [
            (r#"{"event":"a"}"#, "neither a service nor a url"),
            (r#"{"event":"a","service":"s","url":"http://h"}"#, "a service and a url"),
            (
                r#"{"event":"a","service":"s","ordered":true}"#,
                "ordered is only for a url",
            ),
            (r#"{"event":"a","url":"http://h","reply":"direct"}"#, "remove reply"),
            (
                r#"{"event":"a","url":"http://h","pick":"client"}"#,
                "pick is only for a service",
            ),
            (r#"{"event":"a","url":"http://h","max_in_flight":0}"#, "max_in_flight"),
            (r#"{"event":"a","url":"http://h","timeout_ms":0}"#, "timeout_ms"),
            (r#"{"event":"a","url":"http://me:cret@h"}"#, "bearer_token_file"),
            (
                r#"{"event":"a","url":"https://h","ca_file":"/does/not/exist"}"#,
                "ca_file: cannot read",
            ),
        ] {
            let found = problems(wrong);
            assert_eq!(found.len(), 1, "{wrong}: {found:?}");
            assert!(found[0].contains(what) && !found[0].contains("cret"), "{}", found[0]);
        }
    }

    #[test]
    fn a_file_with_a_secret_must_be_there() {
        let missing = r#"{"event":"a","url":"http://h","bearer_token_file":"/does/not/exist"}"#;
        let error = serde_json::from_str::<Rule>(missing).expect_err("no such file");
        assert!(error.to_string().contains("cannot read /does/not/exist"), "{error}");
    }
}
