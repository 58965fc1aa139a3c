//! The settings of the connect hook, as in the table `[connect]`, and their check.

use std::path::PathBuf;
use std::time::Duration;

use axum::http::HeaderName;
use serde::{Deserialize, Deserializer};
use wsmesh_bootstrap::{HttpUrl, SecretFile};

use crate::backends::{BreakerLimits, Destination, MAX_IN_FLIGHT, MAX_REPLY_BYTES};

/// The shortest and the longest time that the hook may have: clients wait 10 s for a connection.
const TIMEOUTS_MS: std::ops::RangeInclusive<u64> = 10..=10_000;

/// The table `[connect]`, if there is one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Connect {
    /// None: no hook is asked.
    pub hook: Option<ConnectHook>,
}

/// A backend that says who may connect.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectHook {
    /// Where it is.
    pub url: HttpUrl,
    /// The headers of the client's request that it is shown.
    #[serde(default)]
    pub headers: Vec<String>,
    /// Whether it takes the place of tokens and tickets.
    #[serde(default)]
    pub mode: HookMode,
    /// Longest time for its answer, in milliseconds.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u64,
    /// Upgrades that may wait for it at once. More are rejected at once.
    #[serde(default = "max_in_flight")]
    pub max_in_flight: usize,
    /// Largest answer, in bytes.
    #[serde(default = "max_reply_bytes")]
    pub max_reply_bytes: usize,
    /// Whether it may be asked again, with the same id, when it is not known whether it has the question.
    #[serde(default)]
    pub idempotent: bool,
    /// Signs the questions (Standard Webhooks).
    #[serde(default)]
    pub signing_key_file: Option<SecretFile>,
    /// Sent as `authorization: Bearer`.
    #[serde(default)]
    pub bearer_token_file: Option<SecretFile>,
    /// Certificates (PEM) to trust instead of the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Failures in a row after which it is not asked for a while; 0: it is always asked. Default 10.
    #[serde(default)]
    pub breaker_failures: Option<usize>,
    /// How long it is not asked then, in milliseconds. Default 2000.
    #[serde(default)]
    pub breaker_open_ms: Option<u64>,
}

/// Whether the hook takes the place of tokens and tickets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookMode {
    /// It alone says who clients are.
    #[default]
    Instead,
    /// It is asked about clients that have proved who they are.
    After,
}

fn timeout_ms() -> u64 {
    3000
}

fn max_in_flight() -> usize {
    MAX_IN_FLIGHT
}

fn max_reply_bytes() -> usize {
    MAX_REPLY_BYTES
}

impl<'de> Deserialize<'de> for Connect {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ConnectHook::deserialize(deserializer).map(|hook| Self { hook: Some(hook) })
    }
}

impl ConnectHook {
    /// Longest time for its answer.
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// Whether it is shown this header of the client's request.
    pub(crate) fn shows(&self, header: &HeaderName) -> bool {
        self.headers
            .iter()
            .any(|name| name.eq_ignore_ascii_case(header.as_str()))
    }

    /// Where it is, and what a call may take.
    pub(crate) fn destination(&self) -> Destination {
        let default = BreakerLimits::default();
        Destination {
            max_in_flight: self.max_in_flight,
            max_reply_bytes: self.max_reply_bytes,
            is_idempotent: self.idempotent,
            signing_key: self.signing_key_file.clone(),
            bearer_token: self.bearer_token_file.clone(),
            ca_file: self.ca_file.clone(),
            breaker: BreakerLimits {
                failures: self.breaker_failures.unwrap_or(default.failures),
                open: self.breaker_open_ms.map_or(default.open, Duration::from_millis),
            },
            ..Destination::new(self.url.clone(), self.timeout())
        }
    }
}

/// The problems of this table: sentences that say what to write.
pub(crate) fn problems(connect: &Connect) -> Vec<String> {
    let Some(hook) = &connect.hook else {
        return Vec::new();
    };
    let mut problems = hook.destination().problems();
    if !TIMEOUTS_MS.contains(&hook.timeout_ms) {
        let (least, most) = (TIMEOUTS_MS.start(), TIMEOUTS_MS.end());
        problems.push(format!("timeout_ms is {}: write {least} to {most}", hook.timeout_ms));
    }
    for name in &hook.headers {
        if HeaderName::try_from(name.as_str()).is_err() {
            problems.push(format!(
                "headers has {name:?}, which is not the name of a header: correct it"
            ));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(more: &str) -> Result<ConnectHook, String> {
        let text = format!(r#"{{"url": "http://auth.example/connect"{more}}}"#);
        serde_json::from_str(&text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_hook_needs_a_url_and_nothing_unknown() {
        let bare = hook("").expect("good");
        assert_eq!((bare.mode, bare.timeout_ms), (HookMode::Instead, 3000));
        assert_eq!((bare.max_in_flight, bare.max_reply_bytes), (256, 256 * 1024));
        assert!(serde_json::from_str::<ConnectHook>("{}").is_err());
        for bad in [
            r#", "mod": "after""#,
            r#", "mode": "before""#,
            r#", "bearer_token_file": "/nowhere/token""#,
        ] {
            assert!(hook(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn everything_that_is_wrong_with_a_hook_is_said() {
        let wrong = hook(r#", "timeout_ms": 0, "headers": ["x y", "cookie"]"#).expect("reads");
        let found = problems(&Connect { hook: Some(wrong) });
        assert!(found.iter().any(|line| line.contains("timeout_ms")), "{found:?}");
        assert!(found.iter().any(|line| line.contains("\"x y\"")), "{found:?}");
        assert_eq!(problems(&Connect::default()), [""; 0]);
        assert_eq!(problems(&Connect { hook: hook("").ok() }), [""; 0]);
    }
}
