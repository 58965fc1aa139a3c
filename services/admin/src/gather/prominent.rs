//! The rooms and clients that stand out in the statistics: the largest and the busiest rooms, and clients that read too slowly.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;
use wsmesh_adapter::{Gathered, Room, ServerName, StatsPart};

use super::measured::{Measured, short};
use super::reports::EdgeReports;
use crate::shapes::{self, Name};

/// Most rooms of each kind in the answer.
const TOP_ROOMS: usize = 20;
/// Most clients in the answer.
const SLOW_CLIENTS: usize = 20;

/// The rooms that have most.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TopRooms {
    /// Most members first, at most 20.
    pub(crate) by_members: Vec<RoomMembersView>,
    /// Most messages first, at most 20.
    pub(crate) by_messages: Vec<RoomMessagesView>,
}

/// A large room.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = LargeRoom)]
pub(crate) struct RoomMembersView {
    #[serde(flatten)]
    #[schema(value_type = shapes::Room)]
    pub(crate) room: Room,
    /// On the servers where it is among the largest ones.
    pub(crate) members: u64,
}

/// A busy room.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = BusyRoom)]
pub(crate) struct RoomMessagesView {
    #[serde(flatten)]
    #[schema(value_type = shapes::Room)]
    pub(crate) room: Room,
    #[serde(serialize_with = "short")]
    pub(crate) messages_per_second: f64,
}

/// A client that reads too slowly.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SlowClient)]
pub(crate) struct SlowClientStats {
    pub(crate) client: String,
    #[schema(value_type = Name)]
    pub(crate) server: ServerName,
    pub(crate) queued_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) queued_ms: Option<u64>,
}

/// Each server with members gets every message of a room, so the largest number is that of the room.
pub(super) fn top_rooms(gathered: &Gathered<StatsPart>, measured: &BTreeMap<ServerName, Measured>) -> TopRooms {
    let mut members: BTreeMap<&Room, u64> = BTreeMap::new();
    for large in gathered.servers.iter().flat_map(|(_, part)| &part.top_rooms.by_members) {
        *members.entry(&large.room).or_default() += large.members;
    }
    let mut messages: BTreeMap<&Room, f64> = BTreeMap::new();
    for (room, rate) in measured.values().flat_map(|measured| &measured.rooms) {
        let most = messages.entry(room).or_default();
        *most = most.max(*rate);
    }
    messages.retain(|_, rate| *rate > 0.0);
    let mut by_members: Vec<_> = members.into_iter().collect();
    by_members.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    let mut by_messages: Vec<_> = messages.into_iter().collect();
    by_messages.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    TopRooms {
        by_members: by_members
            .into_iter()
            .take(TOP_ROOMS)
            .map(|(room, members)| RoomMembersView {
                room: room.clone(),
                members,
            })
            .collect(),
        by_messages: by_messages
            .into_iter()
            .take(TOP_ROOMS)
            .map(|(room, messages_per_second)| RoomMessagesView {
                room: room.clone(),
                messages_per_second,
            })
            .collect(),
    }
}

/// Those of servers that answered now: what others said last may be long over.
pub(super) fn slow_clients(gathered: &Gathered<StatsPart>, reports: &EdgeReports) -> Vec<SlowClientStats> {
    let edges = gathered.servers.iter();
    let edges = edges.filter_map(|(server, _)| Some((server, reports.of(server)?)));
    let mut slow: Vec<_> = edges
        .flat_map(|(server, edge)| edge.slow_clients.iter().map(move |client| (server, client)))
        .map(|(server, slow)| SlowClientStats {
            client: slow.client.clone(),
            server: server.clone(),
            queued_bytes: slow.queued_bytes,
            queued_ms: slow.queued_ms,
        })
        .collect();
    slow.sort_by(|a, b| (b.queued_bytes, &a.client).cmp(&(a.queued_bytes, &b.client)));
    slow.truncate(SLOW_CLIENTS);
    slow
}

#[cfg(test)]
mod tests {
    use wsmesh_adapter::RoomMembers;

    use super::*;

    fn name(name: &str) -> ServerName {
        ServerName::new(name).expect("a name")
    }

    fn room(id: &str) -> Room {
        Room::new("chat", id).expect("a room")
    }

    fn gathered(parts: Vec<(&str, StatsPart)>) -> Gathered<StatsPart> {
        Gathered {
            servers: parts.into_iter().map(|(server, part)| (name(server), part)).collect(),
            missing: Vec::new(),
            complete: true,
        }
    }

    #[test]
    fn the_members_of_a_room_are_added_up_and_its_messages_are_those_of_the_server_that_gets_most() {
        let large = |members| StatsPart {
            top_rooms: wsmesh_adapter::TopRooms {
                by_members: vec![RoomMembers {
                    room: room("a"),
                    members,
                }],
                ..Default::default()
            },
            ..StatsPart::default()
        };
        let busy = |rate| Measured {
            rooms: [(room("a"), rate), (room("quiet"), 0.0)].into(),
            ..Measured::default()
        };
        let gathered = gathered(vec![("a", large(3)), ("b", large(4))]);
        let top = top_rooms(&gathered, &[(name("a"), busy(5.0)), (name("b"), busy(7.0))].into());
        assert_eq!((top.by_members.len(), top.by_members[0].members), (1, 7));
        let busy: Vec<_> = top.by_messages.iter().map(|busy| busy.messages_per_second).collect();
        assert_eq!(busy, [7.0]);
    }
}
