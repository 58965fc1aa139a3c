//! The settings of watches, as in the tables `[[watch]]`, and their check.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use wsmesh_adapter::{Namespace, ServiceName};
use wsmesh_bootstrap::{HttpUrl, SecretFile};

use crate::backends::{BreakerLimits, Destination, MAX_IN_FLIGHT, MAX_REPLY_BYTES};

/// Longest time that events may be kept, and that a consumer may take for a batch.
const LONGEST_KEEP_MS: u64 = 24 * 3600 * 1000;
const LONGEST_TIMEOUT_MS: u64 = 60_000;

/// Most events that may wait: each is some hundred bytes, or as large as a client's context.
const MOST_WAITING: usize = 1_000_000;

/// Tells a backend or a service what happens to clients.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watch {
    /// The backend that is told. Either this or `service`.
    #[serde(default)]
    pub url: Option<HttpUrl>,
    /// The service whose servers are told, each of them.
    #[serde(default)]
    pub service: Option<ServiceName>,
    /// What it is told.
    pub events: Vec<WatchEvent>,
    /// Only rooms of these namespaces. Default: all.
    #[serde(default)]
    pub namespaces: Vec<Namespace>,
    /// How long an event is kept that cannot be told, in milliseconds.
    #[serde(default = "keep_ms")]
    pub keep_ms: u64,
    /// Events that may wait, in addition to those that are being sent. Then the oldest are dropped.
    #[serde(default = "max_waiting")]
    pub max_waiting: usize,
    /// Longest time for the answer to a batch, in milliseconds. Default 5000.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// As for rules with a URL. Batches are sent one at a time in any case.
    #[serde(default)]
    pub max_in_flight: Option<usize>,
    /// Largest answer, in bytes.
    #[serde(default)]
    pub max_reply_bytes: Option<usize>,
    /// As for rules with a URL. Batches are sent again in any case.
    #[serde(default)]
    pub idempotent: Option<bool>,
    /// Signs the batches (Standard Webhooks).
    #[serde(default)]
    pub signing_key_file: Option<SecretFile>,
    /// Sent as `authorization: Bearer`.
    #[serde(default)]
    pub bearer_token_file: Option<SecretFile>,
    /// Certificates (PEM) to trust instead of the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Failures in a row after which the backend is not called for a while; 0: it is always called. Default 10.
    #[serde(default)]
    pub breaker_failures: Option<usize>,
    /// How long it is not called then, in milliseconds. Default 2000.
    #[serde(default)]
    pub breaker_open_ms: Option<u64>,
}

/// What a watch is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WatchEvent {
    /// A client's connection began.
    Connected,
    /// A client's connection ended, or a server was lost with its clients.
    Disconnected,
    /// A client joined a room.
    Joined,
    /// A client left a room.
    Left,
}

/// Where a watch's events go.
pub(super) enum Outlet {
    Backend(Box<Destination>),
    Service(ServiceName),
}

fn keep_ms() -> u64 {
    60_000
}

fn max_waiting() -> usize {
    10_000
}

impl Watch {
    /// How long an event is kept.
    pub(super) fn keep(&self) -> Duration {
        Duration::from_millis(self.keep_ms)
    }

    /// Longest time for the answer to a batch.
    pub(super) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.unwrap_or(5000))
    }

    /// Where its events go. None if the settings do not say so.
    pub(super) fn outlet(&self) -> Option<Outlet> {
        let default = BreakerLimits::default();
        match (&self.url, &self.service) {
            (Some(url), None) => Some(Outlet::Backend(Box::new(Destination {
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
                ..Destination::new(url.clone(), self.timeout())
            }))),
            (None, Some(service)) => Some(Outlet::Service(service.clone())),
            _ => None,
        }
    }

    /// Whether it is told this, about a room of this namespace if it is about one.
    pub(super) fn wants(&self, event: WatchEvent, namespace: Option<&Namespace>) -> bool {
        let is_one_of_its = |namespace| self.namespaces.is_empty() || self.namespaces.contains(namespace);
        self.events.contains(&event) && namespace.is_none_or(is_one_of_its)
    }

    /// The keys that only a URL needs.
    fn keys_of_url(&self) -> Vec<&'static str> {
        let keys = [
            ("timeout_ms", self.timeout_ms.is_some()),
            ("max_in_flight", self.max_in_flight.is_some()),
            ("max_reply_bytes", self.max_reply_bytes.is_some()),
            ("idempotent", self.idempotent.is_some()),
            ("signing_key_file", self.signing_key_file.is_some()),
            ("bearer_token_file", self.bearer_token_file.is_some()),
            ("ca_file", self.ca_file.is_some()),
            ("breaker_failures", self.breaker_failures.is_some()),
            ("breaker_open_ms", self.breaker_open_ms.is_some()),
        ];
        keys.into_iter()
            .filter(|(_, is_set)| *is_set)
            .map(|(key, _)| key)
            .collect()
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        match self.outlet() {
            Some(Outlet::Backend(destination)) => problems.extend(destination.problems()),
            Some(Outlet::Service(_)) => {
                let keys = self.keys_of_url().into_iter();
                problems
                    .extend(keys.map(|key| format!("{key} is for a url: remove it, or write url in place of service")));
            }
            None => problems.push("write either url or service, to say who is told".to_owned()),
        }
        if self.events.is_empty() {
            problems.push(
                "events is empty: name what it is told, for example [\"connected\", \"disconnected\"]".to_owned(),
            );
        }
        let about_rooms = [WatchEvent::Joined, WatchEvent::Left];
        if !self.namespaces.is_empty() && !about_rooms.iter().any(|event| self.events.contains(event)) {
            problems.push("namespaces is for the events joined and left: add one of them, or remove it".to_owned());
        }
        for (key, value, most) in [
            ("keep_ms", self.keep_ms, LONGEST_KEEP_MS),
            ("max_waiting", self.max_waiting as u64, MOST_WAITING as u64),
            ("timeout_ms", self.timeout().as_millis() as u64, LONGEST_TIMEOUT_MS),
        ] {
            if !(1..=most).contains(&value) {
                problems.push(format!("{key} is {value}: write 1 to {most}"));
            }
        }
        problems
    }
}

/// The problems of these tables: sentences that say what to write.
pub(crate) fn problems(watches: &[Watch]) -> Vec<String> {
    let numbered = watches.iter().enumerate();
    numbered
        .flat_map(|(index, watch)| {
            let problems = watch.problems().into_iter();
            problems.map(move |problem| format!("number {}: {problem}", index + 1))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(json: &str) -> Watch {
        serde_json::from_str(json).expect("reads")
    }

    #[test]
    fn a_watch_is_told_the_events_that_it_names_and_of_the_rooms_that_it_names() {
        let rooms = watch(r#"{"service": "s", "events": ["connected", "joined"], "namespaces": ["chat"]}"#);
        let (chat, game) = (
            Namespace::new("chat").expect("valid"),
            Namespace::new("game").expect("valid"),
        );
        assert!(rooms.wants(WatchEvent::Connected, None) && rooms.wants(WatchEvent::Joined, Some(&chat)));
        assert!(!rooms.wants(WatchEvent::Joined, Some(&game)) && !rooms.wants(WatchEvent::Left, Some(&chat)));
        let all = watch(r#"{"service": "s", "events": ["left"]}"#);
        assert!(all.wants(WatchEvent::Left, Some(&game)) && !all.wants(WatchEvent::Disconnected, None));
        assert_eq!((all.keep_ms, all.max_waiting), (60_000, 10_000));
    }

    #[test]
    fn everything_that_is_wrong_with_watches_is_said() {
        let watches = [
            watch(r#"{"events": ["connected"]}"#),
            watch(r#"{"url": "http://a.example", "service": "s", "events": ["left"]}"#),
            watch(r#"{"service": "s", "events": [], "timeout_ms": 7, "idempotent": false}"#),
            watch(r#"{"url": "http://a.example", "events": ["connected"], "namespaces": ["chat"]}"#),
            watch(
                r#"{"url": "http://a.example", "events": ["connected"], "keep_ms": 0, "max_waiting": 0, "timeout_ms": 0}"#,
            ),
            watch(r#"{"url": "http://a.example", "events": ["connected"]}"#),
        ];
        let found = problems(&watches);
        let about = |number: usize, text: &str| {
            let place = format!("number {number}: ");
            let mut lines = found.iter().filter(|line| line.starts_with(&place));
            lines.any(|line| line.contains(text))
        };
        for (number, text) in [
            (1, "url or service"),
            (2, "url or service"),
            (3, "events is empty"),
            (3, "timeout_ms is for a url"),
            (3, "idempotent is for a url"),
            (4, "namespaces"),
            (5, "keep_ms is 0"),
            (5, "max_waiting is 0"),
            (5, "timeout_ms is 0"),
        ] {
            assert!(about(number, text), "{number} {text}: {found:#?}");
        }
        assert!(!found.iter().any(|line| line.starts_with("number 6")), "{found:#?}");
    }

    #[test]
    fn unknown_events_and_keys_are_refused() {
        for bad in [
            r#"{"service": "s", "events": ["gone"]}"#,
            r#"{"service": "s", "events": ["left"], "namespace": "chat"}"#,
            r#"{"service": "s"}"#,
            r#"{"url": "ftp://a.example", "events": ["left"]}"#,
        ] {
            assert!(serde_json::from_str::<Watch>(bad).is_err(), "{bad}");
        }
    }
}
