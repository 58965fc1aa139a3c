//! The rooms that a client is in, so that it can join them again on the next connection. A value without I/O.

use serde::Serialize;

/// A room of the server, joined with [`Client::join_room`](crate::Client::join_room).
///
/// ```
/// use wsmesh_connector::Room;
///
/// let room = Room::new("1000").in_namespace("chat");
/// assert_eq!(room.namespace.as_deref(), Some("chat"));
/// assert_eq!(Room::from(7), Room::new(7));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Room {
    /// Its id within the namespace.
    #[serde(rename = "roomId")]
    pub id: RoomId,
    /// Its namespace; the server's own when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Box<str>>,
}

/// What a client publishes to a room.
#[derive(Debug, Serialize)]
pub(crate) struct RoomMessage<'a, T: ?Sized> {
    #[serde(flatten)]
    pub(crate) room: &'a Room,
    pub(crate) data: &'a T,
}

/// The id of a room. To the server the number 7 and the text "7" are the same room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum RoomId {
    /// Sent as a number.
    Number(i64),
    /// Sent as a text.
    Text(Box<str>),
}

impl Room {
    /// A room in the server's own namespace.
    pub fn new(id: impl Into<RoomId>) -> Self {
        Self {
            id: id.into(),
            namespace: None,
        }
    }

    /// The room of this id in another namespace.
    #[must_use]
    pub fn in_namespace(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    fn is(&self, other: &Self) -> bool {
        self.namespace == other.namespace
            && match (&self.id, &other.id) {
                (RoomId::Text(text), RoomId::Number(number)) | (RoomId::Number(number), RoomId::Text(text)) => {
                    **text == number.to_string()
                }
                (one, other) => one == other,
            }
    }
}

impl From<i64> for RoomId {
    fn from(id: i64) -> Self {
        Self::Number(id)
    }
}

impl From<&str> for RoomId {
    fn from(id: &str) -> Self {
        Self::Text(id.into())
    }
}

impl From<String> for RoomId {
    fn from(id: String) -> Self {
        Self::Text(id.into())
    }
}

impl From<i64> for Room {
    fn from(id: i64) -> Self {
        Self::new(id)
    }
}

impl From<&str> for Room {
    fn from(id: &str) -> Self {
        Self::new(id)
    }
}

impl From<String> for Room {
    fn from(id: String) -> Self {
        Self::new(id)
    }
}

/// Requested and joined rooms, in the order of the first request.
#[derive(Debug, Default)]
pub(crate) struct Rooms {
    entries: Vec<Entry>,
    last: u64,
}

/// A membership, from the first request to join a room until it is left. A later join of the same room is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Membership(u64);

#[derive(Debug)]
struct Entry {
    membership: Membership,
    room: Room,
    joined: bool,
    /// The number of requests to join it that wait for a reply.
    pending: usize,
}

impl Rooms {
    /// A request to join a room begins; [`answered`](Self::answered) ends it.
    pub(crate) fn wanted(&mut self, room: &Room) -> Membership {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.room.is(room)) {
            entry.pending += 1;
            return entry.membership;
        }
        self.last += 1;
        let membership = Membership(self.last);
        self.entries.push(Entry {
            membership,
            room: room.clone(),
            joined: false,
            pending: 1,
        });
        membership
    }

    /// The server agreed. Has no effect if the room was left meanwhile.
    pub(crate) fn joined(&mut self, membership: Membership) {
        if let Some(entry) = self.entry(membership) {
            entry.joined = true;
        }
    }

    /// A request ended. A room that was never joined is forgotten with its last request.
    pub(crate) fn answered(&mut self, membership: Membership) {
        if let Some(entry) = self.entry(membership) {
            entry.pending -= 1;
            if entry.pending == 0 && !entry.joined {
                self.forget(membership);
            }
        }
    }

    pub(crate) fn left(&mut self, room: &Room) {
        self.entries.retain(|entry| !entry.room.is(room));
    }

    pub(crate) fn forget(&mut self, membership: Membership) {
        self.entries.retain(|entry| entry.membership != membership);
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    /// Whether the room was not left meanwhile.
    pub(crate) fn stands(&self, membership: Membership) -> bool {
        self.entries.iter().any(|entry| entry.membership == membership)
    }

    /// The rooms to join again.
    pub(crate) fn to_rejoin(&self) -> Vec<(Membership, Room)> {
        let joined = self.entries.iter().filter(|entry| entry.joined);
        joined.map(|entry| (entry.membership, entry.room.clone())).collect()
    }

    fn entry(&mut self, membership: Membership) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.membership == membership)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to_rejoin(rooms: &Rooms) -> Vec<Room> {
        rooms.to_rejoin().into_iter().map(|(_, room)| room).collect()
    }

    #[test]
    fn only_rooms_that_were_joined_and_not_left_are_requested_again_in_order() {
        let mut rooms = Rooms::default();
        let names = ["b", "a", "c"].map(Room::from);
        let memberships = names.each_ref().map(|room| rooms.wanted(room));
        assert!(to_rejoin(&rooms).is_empty());
        for membership in memberships {
            rooms.joined(membership);
            rooms.answered(membership);
        }
        let [b, a, c] = names;
        rooms.left(&c);
        rooms.joined(memberships[2]);
        assert!(!rooms.stands(memberships[2]));
        let again = rooms.wanted(&a);
        rooms.answered(again);
        assert_eq!(to_rejoin(&rooms), [b, a]);
        rooms.clear();
        assert!(to_rejoin(&rooms).is_empty());
    }

    #[test]
    fn one_success_of_several_requests_is_enough_and_a_later_join_is_another_membership() {
        let mut rooms = Rooms::default();
        let room = Room::from("a");
        let (first, second) = (rooms.wanted(&room), rooms.wanted(&room));
        rooms.answered(first);
        rooms.joined(second);
        rooms.answered(second);
        assert_eq!(to_rejoin(&rooms).as_slice(), std::slice::from_ref(&room));
        rooms.left(&room);
        let third = rooms.wanted(&room);
        rooms.joined(second);
        assert!(to_rejoin(&rooms).is_empty());
        rooms.answered(third);
        assert!(!rooms.stands(third));
    }

    #[test]
    fn a_number_and_its_text_are_one_room_and_a_namespace_makes_another() {
        let mut rooms = Rooms::default();
        let membership = rooms.wanted(&Room::new(7));
        assert_eq!(rooms.wanted(&Room::new("7")), membership);
        rooms.joined(membership);
        rooms.wanted(&Room::new("7").in_namespace("chat"));
        assert_eq!(to_rejoin(&rooms), [Room::new(7)]);
        rooms.left(&Room::new("7"));
        assert!(to_rejoin(&rooms).is_empty());
    }
}
