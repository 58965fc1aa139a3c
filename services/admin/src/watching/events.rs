//! The events of a watch's stream, as they are written for its viewer.

use jiff::Timestamp;
use serde::Serialize;
use wsmesh_adapter::{ClientId, ServerName};
use wsmesh_protocol::watching::{Details, Sighting};

use super::queue::Event;
use crate::gather::rfc3339;

/// The first one.
#[derive(Debug, Serialize)]
pub(super) struct Begun<'a> {
    pub(super) client: &'a ClientId,
    #[serde(serialize_with = "rfc3339")]
    pub(super) until: Timestamp,
    /// Whether payloads are shown.
    pub(super) payloads: bool,
    #[serde(flatten)]
    pub(super) servers: &'a Servers,
}

/// Who watches, and who did not answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Servers {
    pub(super) servers: Vec<ServerName>,
    pub(super) missing: Vec<Silent>,
}

/// A server that may have the client and does not watch it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Silent {
    pub(super) server: ServerName,
    pub(super) why: String,
}

#[derive(Serialize)]
struct Seen<'a> {
    #[serde(serialize_with = "rfc3339")]
    at: Timestamp,
    server: &'a ServerName,
    #[serde(flatten)]
    details: &'a Details,
}

#[derive(Serialize)]
struct Lost<'a> {
    #[serde(serialize_with = "rfc3339")]
    at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<&'a ServerName>,
    count: u64,
}

#[derive(Serialize)]
struct Gone<'a> {
    #[serde(serialize_with = "rfc3339")]
    at: Timestamp,
    server: &'a ServerName,
    why: &'static str,
}

#[derive(Serialize)]
struct Answering<'a> {
    #[serde(serialize_with = "rfc3339")]
    at: Timestamp,
    #[serde(flatten)]
    servers: &'a Servers,
}

#[derive(Serialize)]
struct Ended {
    why: &'static str,
}

/// How a ws-node went away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaving {
    /// It said so before.
    Stopped,
    /// It crashed, was killed or is cut off: nobody told what became of its clients.
    Lost,
}

/// Why a watch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    TimeIsUp,
    ShuttingDown,
    TokenEnded,
}

pub(super) fn begun(begun: &Begun<'_>) -> Event {
    event("watching", begun)
}

/// What a server saw, with its time.
pub(super) fn seen(server: &ServerName, sighting: &Sighting) -> (i64, Event) {
    let seen = Seen {
        at: time(sighting.at_ms),
        server,
        details: &sighting.details,
    };
    (sighting.at_ms, event(sighting.kind.as_str(), &seen))
}

/// How much was left out: by a server, or by this admin.
pub(super) fn lost(server: Option<&ServerName>, count: u64, at_ms: i64) -> (i64, Event) {
    let at = time(at_ms);
    (at_ms, event("lost", &Lost { at, server, count }))
}

pub(super) fn gone(server: &ServerName, leaving: Leaving) -> (i64, Event) {
    let at = Timestamp::now();
    let why = match leaving {
        Leaving::Stopped => "stopped",
        Leaving::Lost => "lost",
    };
    (at.as_millisecond(), event("gone", &Gone { at, server, why }))
}

pub(super) fn servers(servers: &Servers) -> (i64, Event) {
    let at = Timestamp::now();
    (at.as_millisecond(), event("servers", &Answering { at, servers }))
}

pub(super) fn ended(end: End) -> Event {
    let why = match end {
        End::TimeIsUp => "time-is-up",
        End::ShuttingDown => "shutting-down",
        End::TokenEnded => "token-ended",
    };
    event("ended", &Ended { why })
}

fn event(name: &'static str, data: &impl Serialize) -> Event {
    // None of them has a map whose keys are not texts, so this never fails.
    let data = serde_json::to_string(data).unwrap_or_default();
    Event { name, data }
}

fn time(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use wsmesh_protocol::watching::{Code, SightingKind};

    use super::*;

    #[test]
    fn a_sighting_is_told_with_its_time_its_server_and_what_is_known() {
        let server = ServerName::new("ws-node-1").expect("a name");
        let sighting = Sighting {
            kind: SightingKind::Closed,
            at_ms: 1_700_000_000_123,
            details: Details {
                code: Some(Code::Close(4013)),
                reason: Some("two\nlines".to_owned()),
                ..Details::default()
            },
        };
        let (at_ms, Event { name, data }) = seen(&server, &sighting);
        assert_eq!((at_ms, name), (1_700_000_000_123, "closed"));
        let expected = r#"{"at":"2023-11-14T22:13:20.123Z","server":"ws-node-1","code":4013,"reason":"two\nlines"}"#;
        assert_eq!(data, expected);
    }

    #[test]
    fn a_time_that_cannot_be_is_no_reason_to_fail() {
        let (_, Event { data, .. }) = lost(None, 7, i64::MAX);
        assert!(data.ends_with(r#""count":7}"#), "{data}");
    }
}
