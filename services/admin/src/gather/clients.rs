//! One room with its members, and one client with its connections.

use serde::Serialize;
use utoipa::ToSchema;
use wsmesh_adapter::{ClientContext, ClientId, ClientPart, Gathered, Room, RoomPart, ServerName};

use super::page::{Cursor, Page};
use crate::shapes::{self, Name};

/// `GET /api/v1/rooms/{namespace}/{id}`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = RoomMembers)]
pub(crate) struct RoomView {
    #[schema(value_type = shapes::Room)]
    pub(crate) room: Room,
    /// Members on all servers that answered. A room without members does not exist anywhere.
    pub(crate) count: usize,
    /// One page of members, sorted by id.
    pub(crate) members: Vec<Member>,
    /// The cursor of the next page; null at the end.
    #[schema(value_type = Option<String>, required = true)]
    pub(crate) next: Option<Cursor<ClientId>>,
}

/// A client in a room.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
pub(crate) struct Member {
    #[schema(value_type = Name)]
    pub(crate) client: ClientId,
    #[schema(value_type = Name)]
    pub(crate) server: ServerName,
}

/// A room's members, one page of them.
pub(crate) fn room(room: Room, gathered: &Gathered<RoomPart>, page: &Page<ClientId>) -> RoomView {
    let mut members: Vec<_> = gathered
        .servers
        .iter()
        .flat_map(|(server, part)| {
            part.members.iter().map(|client| Member {
                client: client.clone(),
                server: server.clone(),
            })
        })
        .collect();
    members.sort_unstable();
    let count = members.len();
    let first = page
        .after()
        .map_or(0, |after| members.partition_point(|member| member.client <= *after));
    members.drain(..first);
    // One id may be on two servers for a moment; a page ends between ids, so that none is skipped.
    let mut end = page.limit().min(members.len());
    while end > 0 && end < members.len() && members[end].client == members[end - 1].client {
        end += 1;
    }
    let more = end < members.len();
    members.truncate(end);
    let next = members.last().filter(|_| more);
    let next = next.map(|member| Cursor(member.client.clone()));
    RoomView {
        room,
        count,
        members,
        next,
    }
}

/// `GET /api/v1/clients/{id}`
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Client)]
pub(crate) struct ClientView {
    #[schema(value_type = Name)]
    pub(crate) client: ClientId,
    pub(crate) state: ClientState,
    /// Sorted by server; more than one only while the client moves.
    pub(crate) connections: Vec<Connection>,
}

/// Whether a client is connected. unknown: no server that answered has it, but some servers did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum ClientState {
    /// Some server has it.
    Connected,
    /// Every server answered that it does not have it.
    Offline,
    /// No server that answered has it, but some servers did not answer.
    Unknown,
}

impl ClientState {
    /// Of a client that some server has or not, when every server has answered or not.
    pub(super) fn of(is_connected: bool, is_complete: bool) -> Self {
        match (is_connected, is_complete) {
            (true, _) => Self::Connected,
            (false, true) => Self::Offline,
            (false, false) => Self::Unknown,
        }
    }
}

/// A client's connection to a server.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Connection {
    #[schema(value_type = Name)]
    pub(crate) server: ServerName,
    /// The rooms that the client joined there.
    #[schema(value_type = Vec<shapes::Room>)]
    pub(crate) rooms: Vec<Room>,
    /// What is known about its connections there, newest first.
    #[schema(value_type = Vec<shapes::Context>)]
    pub(crate) contexts: Vec<ClientContext>,
}

impl ClientView {
    /// For callers who may not read what clients sent when they connected, nor what was attached to them since.
    pub(crate) fn without_payloads(mut self) -> Self {
        let contexts = self
            .connections
            .iter_mut()
            .flat_map(|connection| &mut connection.contexts);
        for context in contexts {
            context.params.clear();
            context.headers.clear();
            context.claims = None;
            context.data = None;
        }
        self
    }
}

/// Where a client is.
pub(crate) fn client(client: ClientId, gathered: &Gathered<ClientPart>) -> ClientView {
    let mut connections: Vec<_> = gathered
        .servers
        .iter()
        .filter(|(_, part)| part.connected)
        .map(|(server, part)| {
            let mut rooms = part.rooms.clone();
            rooms.sort_unstable();
            Connection {
                server: server.clone(),
                rooms,
                contexts: part.contexts.clone(),
            }
        })
        .collect();
    connections.sort_by(|a, b| a.server.cmp(&b.server));
    ClientView {
        client,
        state: ClientState::of(!connections.is_empty(), gathered.complete),
        connections,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(id: &str) -> ClientId {
        ClientId::new(id).expect("an id")
    }

    fn name(name: &str) -> ServerName {
        ServerName::new(name).expect("a name")
    }

    fn members(server: &str, ids: &[&str]) -> (ServerName, RoomPart) {
        (
            name(server),
            RoomPart {
                members: ids.iter().map(|text| id(text)).collect(),
            },
        )
    }

    fn lobby() -> Room {
        Room::new("chat", "lobby").expect("a room")
    }

    #[test]
    fn members_of_all_servers_come_in_pages_by_id() {
        let gathered = Gathered {
            servers: vec![members("edge-2", &["d", "b"]), members("edge-1", &["c", "a", "e"])],
            missing: Vec::new(),
            complete: true,
        };
        let mut page = Page::new(2, None);
        let mut seen = Vec::new();
        loop {
            let view = room(lobby(), &gathered, &page);
            assert_eq!(view.count, 5);
            seen.extend(view.members.iter().map(|member| member.client.to_string()));
            match view.next {
                Some(next) => page = Page::new(2, Some(next)),
                None => break,
            }
        }
        assert_eq!(seen, ["a", "b", "c", "d", "e"]);
    }

    #[test]
    fn an_id_on_two_servers_is_never_split_over_two_pages() {
        let gathered = Gathered {
            servers: vec![members("edge-1", &["a", "b"]), members("edge-2", &["a"])],
            missing: Vec::new(),
            complete: true,
        };
        let view = room(lobby(), &gathered, &Page::new(1, None));
        assert_eq!(view.members.len(), 2);
        assert_eq!(view.next, Some(Cursor(id("a"))));
    }

    #[test]
    fn an_empty_room_has_no_members_and_no_next_page() {
        let gathered = Gathered {
            servers: vec![members("edge-1", &[])],
            missing: Vec::new(),
            complete: true,
        };
        let view = room(lobby(), &gathered, &Page::new(10, None));
        assert_eq!((view.count, view.next), (0, None));
    }

    #[test]
    fn a_client_is_offline_only_if_every_server_answered_so() {
        let nobody = (name("edge-1"), ClientPart::default());
        let mut gathered = Gathered {
            servers: vec![nobody],
            missing: Vec::new(),
            complete: true,
        };
        assert_eq!(client(id("7"), &gathered).state, ClientState::Offline);
        gathered.complete = false;
        assert_eq!(client(id("7"), &gathered).state, ClientState::Unknown);
        gathered.servers.push((
            name("edge-2"),
            ClientPart {
                connected: true,
                rooms: vec![lobby()],
                contexts: Vec::new(),
            },
        ));
        let view = client(id("7"), &gathered);
        assert_eq!(view.state, ClientState::Connected);
        assert_eq!(
            view.connections,
            [Connection {
                server: name("edge-2"),
                rooms: vec![lobby()],
                contexts: Vec::new(),
            }]
        );
    }
}
