//! Following one client over all ws-nodes: what an admin and the ws-nodes tell each other about it. Payloads of server events.
//!
//! An admin tells every ws-node which clients it watches, again and again; a ws-node that is not told for a while forgets them. The
//! ws-node that has a watched client sends what it sees of it to that admin only, in small batches.

use serde::{Deserialize, Serialize};

/// Request of an admin to every server: the watches that it has now, see [`Watches`]. Only ws-nodes answer: [`WatchesTaken`].
pub const WATCH: &str = "wsmesh.watch";
/// Event of a ws-node to the admin that has a watch, see [`Watched`].
pub const WATCHED: &str = "wsmesh.watched";

/// Most watches in a cluster.
pub const MAX_WATCHES: usize = 20;
/// Longest payload that is shown, in bytes. The rest of a longer one is left out.
pub const MAX_SHOWN_BYTES: usize = 4096;

/// Payload of [`WATCH`]: all watches of one admin. They replace those that it told before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Watches {
    /// The process of the admin: the number of its instance.
    pub instance: u64,
    /// Rises with every request of this process: an older request that comes later changes nothing.
    pub number: u64,
    /// What it watches. None: all its watches end.
    pub watches: Vec<WatchOrder>,
}

/// One watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WatchOrder {
    /// Names the watch: unique in the cluster.
    pub id: String,
    /// The client's id.
    pub client: String,
    /// Whether payloads are shown.
    #[serde(default)]
    pub payloads: bool,
}

/// Reply to [`WATCH`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WatchesTaken {
    /// The ids of watches that were refused, because there are [`MAX_WATCHES`] others.
    pub refused: Vec<String>,
}

/// Payload of [`WATCHED`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Watched {
    /// The watch.
    pub id: String,
    /// What was seen, in order.
    pub sightings: Vec<Sighting>,
    /// How much more was seen since the last batch, and left out because it was too much.
    pub lost: u64,
    /// How much was seen since the watch began, this batch included: shows whether a batch is missing.
    pub seen: u64,
}

/// One thing that was seen of a watched client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sighting {
    /// What it is.
    pub kind: SightingKind,
    /// When, in milliseconds since 1970, by the clock of the ws-node.
    pub at_ms: i64,
    /// What is known about it.
    pub details: Details,
}

/// The kind of a [`Sighting`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SightingKind {
    /// A connection began, or had begun before the watch (`already`).
    Connected,
    /// A connection ended, with its code and reason.
    Closed,
    /// The client joined a room, or had joined it before the watch (`already`).
    Joined,
    /// The client left a room.
    Left,
    /// The client sent something.
    In,
    /// The client was sent something that is no reply.
    Out,
    /// The client was sent a reply; with `code`, an error.
    Reply,
    /// Something was not handled, or not sent.
    Dropped,
    /// The client reads too slowly: its connection takes no more for now.
    Slow,
    /// The client answered a ping.
    Ping,
}

impl SightingKind {
    /// The name of its events in admin's API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Closed => "closed",
            Self::Joined => "joined",
            Self::Left => "left",
            Self::In => "in",
            Self::Out => "out",
            Self::Reply => "reply",
            Self::Dropped => "dropped",
            Self::Slow => "slow",
            Self::Ping => "ping",
        }
    }
}

/// What is known about a [`Sighting`]: what does not apply is left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    /// The connection, as in the context of the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// It had happened before the watch began.
    #[serde(default, skip_serializing_if = "is_false")]
    pub already: bool,
    /// The Redis node that carried a message of another server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// What kind of message it is: `event`, `request`, `answer`, `heartbeat` or `unreadable` from the client; `push`, `request`,
    /// `heartbeat` or `other` to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// The event's name, cut if it is very long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// The id of the client's request, as JSON: that of a reply is the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_id: Option<String>,
    /// The id of a server's request to the client: that of the client's answer is the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The room's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The room's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room_id: Option<String>,
    /// The size of the message; of `slow`, of everything that waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// How long the message waited in the ws-node. One from the client: since it was read, until it is handled. One to the client:
    /// since the end of the turn of the shard in which it was queued, or since the watch began, until it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_ms: Option<f64>,
    /// The close code, or the code of an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// The reason of whoever closed the connection, or why something was dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long the connection lasted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lasted_ms: Option<u64>,
    /// How long the client took to answer the ping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    /// How many messages, if it is not one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The payload as JSON text: its first [`MAX_SHOWN_BYTES`] bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// The payload is longer than what is shown.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cut: bool,
}

/// A close code, or the code of an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Code {
    /// 1005: the client gave none; 1006: the connection broke, or was never opened.
    Close(u16),
    /// As the client gets it.
    Error(String),
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_apply_to_a_sighting_is_left_out() {
        let sighting = Sighting {
            kind: SightingKind::Ping,
            at_ms: 7,
            details: Details {
                rtt_ms: Some(1.5),
                ..Details::default()
            },
        };
        let json = serde_json::to_string(&sighting).expect("JSON");
        assert_eq!(json, r#"{"kind":"ping","atMs":7,"details":{"rttMs":1.5}}"#);
        let read: Sighting = serde_json::from_str(&json).expect("reads");
        assert_eq!(read, sighting);
    }

    #[test]
    fn a_code_is_a_number_or_a_text() {
        for (code, json) in [
            (Code::Close(4013), "4013"),
            (Code::Error("TIMEOUT".to_owned()), r#""TIMEOUT""#),
        ] {
            assert_eq!(serde_json::to_string(&code).expect("JSON"), json);
            assert_eq!(serde_json::from_str::<Code>(json).expect("reads"), code);
        }
    }

    #[test]
    fn the_name_of_a_kind_is_the_one_that_travels() {
        for kind in [SightingKind::Connected, SightingKind::In, SightingKind::Ping] {
            let json = serde_json::to_string(&kind).expect("JSON");
            assert_eq!(json, format!("\"{}\"", kind.as_str()));
        }
    }
}
