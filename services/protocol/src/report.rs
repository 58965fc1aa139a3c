//! What servers tell admin about themselves, beside the numbers that the adapter counts. A report has a name and is JSON; admin
//! reads those whose types are here. Readers ignore unknown fields, and what an older server does not tell has its default.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The name of the report of a ws-node: [`EdgeReport`].
pub const EDGE: &str = "edge";
/// The name of the report of a service with work of its own: [`LoadReport`].
pub const LOAD: &str = "load";
/// The name of the report of every process: [`ProcessReport`].
pub const PROCESS: &str = "process";
/// The service of a `ws-node selftest`, which visits the bus for some seconds.
pub const SELFTEST: &str = "selftest";

/// Most clients in [`EdgeReport::slow_clients`].
pub const MAX_SLOW_CLIENTS: usize = 20;

/// In [`EdgeReport::closes`]: all codes that have no meaning of their own.
pub const OTHER_CODES: u16 = 0;

/// What a ws-node tells about its clients. Numbers without another word are totals since its start, and only grow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EdgeReport {
    /// Whether it sends its clients away.
    pub draining: bool,
    /// Where clients reach it, if it is reached by itself.
    pub public_url: Option<String>,
    /// What operators call it by.
    pub labels: BTreeMap<String, String>,
    /// Frames from clients.
    pub frames_in: u64,
    /// Frames to clients.
    pub frames_out: u64,
    /// Bytes of frames from clients.
    pub bytes_in: u64,
    /// Bytes of frames to clients.
    pub bytes_out: u64,
    /// Connections that were upgraded.
    pub connects: u64,
    /// Connections that ended, by close code: 1006 if they broke, [`OTHER_CODES`] for codes without a meaning.
    pub closes: BTreeMap<u16, u64>,
    /// Requests of clients that were answered with an error, by code; `other` for codes of the application.
    pub errors: BTreeMap<String, u64>,
    /// Clients that read more slowly than they are sent, those with most in their queue first; [`MAX_SLOW_CLIENTS`] at most.
    pub slow_clients: Vec<SlowClient>,
}

/// A client for which frames wait, because it reads too slowly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SlowClient {
    /// Its id.
    pub client: String,
    /// Bytes that wait for it in its queue.
    pub queued_bytes: u64,
    /// For how long its connection has taken nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_ms: Option<u64>,
}

/// What a service tells about its work, beside its clients. In Kubernetes, pods with less of it are ended first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoadReport {
    /// How much would be interrupted if the process ended now: matches, for example.
    pub work: u64,
}

/// What every process tells about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProcessReport {
    /// How many files it may have open.
    pub open_files: u64,
    /// What it logs now.
    pub log_level: String,
    /// When it started: milliseconds since the Unix epoch, by its clock.
    pub started_ms: u64,
    /// Longest time from the signal to stop until it ends.
    pub shutdown_grace_ms: u64,
    /// How long it spreads the closing of its clients; none if it has no clients.
    pub drain_ms: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_older_server_does_not_tell_has_its_default_and_what_a_newer_one_tells_is_ignored() {
        let report: EdgeReport = serde_json::from_str(r#"{"framesIn":7,"madeOf":"paper"}"#).expect("a report");
        assert_eq!(
            report,
            EdgeReport {
                frames_in: 7,
                ..EdgeReport::default()
            }
        );
        assert_eq!(
            serde_json::from_str::<ProcessReport>("{}").expect("a report"),
            ProcessReport::default()
        );
    }

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let report = EdgeReport {
            draining: true,
            public_url: Some("wss://a.example".to_owned()),
            labels: [("zone".to_owned(), "a".to_owned())].into(),
            closes: [(1000, 3), (OTHER_CODES, 1)].into(),
            errors: [("TIMEOUT".to_owned(), 2)].into(),
            slow_clients: vec![SlowClient {
                client: "ann".to_owned(),
                queued_bytes: 9,
                queued_ms: None,
            }],
            ..EdgeReport::default()
        };
        let json = serde_json::to_string(&report).expect("JSON");
        assert_eq!(serde_json::from_str::<EdgeReport>(&json).expect("a report"), report);
    }
}
