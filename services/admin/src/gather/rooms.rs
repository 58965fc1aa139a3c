//! The list of rooms: each room once, with the number of its members on all servers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wsmesh_adapter::{Gathered, Namespace, Room, RoomsPart};

use super::page::{Cursor, Limit};
use crate::shapes::{self, Name};

/// Which rooms to return.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RoomsPage {
    /// Only rooms of this namespace.
    #[param(value_type = Option<Name>)]
    pub(crate) namespace: Option<Namespace>,
    /// Only rooms whose id starts with this.
    #[serde(default)]
    #[param(max_length = 255)]
    pub(crate) prefix: String,
    /// Most entries of a page.
    #[serde(default)]
    #[param(value_type = usize, minimum = 1, maximum = 10000, default = 1000)]
    pub(crate) limit: Limit,
    /// The `next` of the page before.
    #[param(value_type = Option<String>, format = "cursor")]
    pub(crate) cursor: Option<Cursor<Room>>,
}

/// `GET /api/v1/rooms`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Rooms)]
pub(crate) struct RoomsView {
    /// Matching rooms on all servers that answered.
    pub(crate) count: usize,
    /// One page of rooms, sorted by namespace and id.
    pub(crate) rooms: Vec<RoomCount>,
    /// The cursor of the next page; null at the end.
    #[schema(value_type = Option<String>, required = true)]
    pub(crate) next: Option<Cursor<Room>>,
}

/// A room and how many members it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct RoomCount {
    #[serde(flatten)]
    #[schema(value_type = shapes::Room)]
    pub(crate) room: Room,
    pub(crate) members: usize,
}

/// One page of the rooms.
pub(crate) fn rooms(gathered: &Gathered<RoomsPart>, page: &RoomsPage) -> RoomsView {
    let mut rooms: BTreeMap<&Room, usize> = BTreeMap::new();
    for (room, members) in gathered.servers.iter().flat_map(|(_, part)| &part.rooms) {
        *rooms.entry(room).or_default() += members;
    }
    let after = page.cursor.as_ref().map(|Cursor(room)| room);
    let mut rest = rooms
        .iter()
        .filter(|(room, _)| after.is_none_or(|after| **room > after))
        .peekable();
    let wanted: Vec<_> = rest
        .by_ref()
        .take(page.limit.0)
        .map(|(room, members)| RoomCount {
            room: (*room).clone(),
            members: *members,
        })
        .collect();
    let more = rest.peek().is_some();
    let next = wanted.last().filter(|_| more).map(|last| Cursor(last.room.clone()));
    RoomsView {
        count: rooms.len(),
        rooms: wanted,
        next,
    }
}

#[cfg(test)]
mod tests {
    use wsmesh_adapter::ServerName;

    use super::*;

    fn room(namespace: &str, id: &str) -> Room {
        Room::new(namespace, id).expect("a room")
    }

    fn part(server: &str, rooms: Vec<(Room, usize)>) -> (ServerName, RoomsPart) {
        (ServerName::new(server).expect("a name"), RoomsPart { rooms })
    }

    fn page(limit: usize) -> RoomsPage {
        RoomsPage {
            namespace: None,
            prefix: String::new(),
            limit: Limit(limit),
            cursor: None,
        }
    }

    #[test]
    fn a_room_on_two_servers_is_listed_once_with_all_its_members() {
        let gathered = Gathered {
            servers: vec![
                part("edge-1", vec![(room("chat", "b"), 2)]),
                part("edge-2", vec![(room("chat", "b"), 3), (room("chat", "a"), 1)]),
            ],
            missing: Vec::new(),
            complete: true,
        };
        let view = rooms(&gathered, &page(10));
        let counts: Vec<_> = view
            .rooms
            .iter()
            .map(|count| (count.room.to_string(), count.members))
            .collect();
        assert_eq!(counts, [("chat/a".to_owned(), 1), ("chat/b".to_owned(), 5)]);
        assert_eq!(view.next, None);
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_repetition() {
        let all = vec![(room("chat", "a"), 1), (room("chat", "b"), 1), (room("game", "a"), 1)];
        let gathered = Gathered {
            servers: vec![part("edge-1", all)],
            missing: Vec::new(),
            complete: true,
        };
        let mut page = page(2);
        let first = rooms(&gathered, &page);
        assert_eq!(
            (first.count, first.rooms.len(), first.next),
            (3, 2, Some(Cursor(room("chat", "b"))))
        );
        page.cursor = Some(Cursor(room("chat", "b")));
        let second = rooms(&gathered, &page);
        assert_eq!(
            second.rooms,
            [RoomCount {
                room: room("game", "a"),
                members: 1
            }]
        );
        assert_eq!(second.next, None);
    }
}
