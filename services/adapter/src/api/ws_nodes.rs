//! What services do with clients, wherever they are connected: push to them, close their connections, move them between rooms.
//!
//! The adapter moves frames as bytes; here alone it writes one, and uses the requests that ws-nodes answer. The names and shapes
//! are those of `wsmesh-protocol`. They are repeated here, and compared with it by a test, so that neither library needs the
//! other.

use serde::{Deserialize, Serialize};

use super::adapter::Adapter;
use super::clients::{Presence, RoomOptions, Scope};
use crate::error::{CallError, ClientError, ClientOrderError, PublishError};
use crate::flow::requests::RequestOptions;
use crate::flow::targets::Target;
use crate::local::Dismissal;
use crate::wire::{ClientId, Frame, PayloadError, Room, ServerName};

const JOIN: &str = "wsmesh.clientJoin";
const LEAVE: &str = "wsmesh.clientLeave";
const KICK: &str = "wsmesh.kick";

/// The close code of [`Adapter::kick`]: logged out by force.
const FORCED_LOGOUT: u16 = 4010;

#[derive(Serialize)]
struct Kick<'a> {
    client: &'a ClientId,
    code: u16,
    reason: &'a str,
}

#[derive(Serialize)]
struct ClientRoom<'a> {
    client: &'a ClientId,
    namespace: &'a str,
    room: &'a str,
}

#[derive(Deserialize)]
struct Kicked {
    kicked: bool,
}

#[derive(Serialize)]
struct Push<'a, T: ?Sized> {
    event: &'a str,
    payload: &'a T,
}

impl Frame {
    /// A push: `{"event":EVENT,"payload":VALUE}`, which clients get as an event.
    ///
    /// ```
    /// let frame = wsmesh_adapter::Frame::push("price", &42).unwrap();
    /// assert_eq!(frame.as_str(), r#"{"event":"price","payload":42}"#);
    /// ```
    ///
    /// # Errors
    /// When `value` cannot be JSON, for example a map whose keys are not strings.
    pub fn push<T: Serialize + ?Sized>(event: &str, value: &T) -> Result<Self, PayloadError> {
        let push = Push { event, payload: value };
        Ok(Self::new(serde_json::to_string(&push)?))
    }
}

impl Adapter {
    /// Sends an event to one client, wherever it is connected.
    ///
    /// ```no_run
    /// # async fn example(adapter: wsmesh_adapter::Adapter) -> Result<(), Box<dyn std::error::Error>> {
    /// use wsmesh_adapter::{ClientId, Presence};
    ///
    /// let ann = ClientId::new("ann")?;
    /// if adapter.push(&ann, "outbid", &serde_json::json!({"price": 42})).await? == Presence::Offline {
    ///     println!("ann is not connected");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the value cannot be JSON, or no node took the message.
    pub async fn push<T: Serialize + ?Sized>(
        &self,
        client: &ClientId,
        event: &str,
        value: &T,
    ) -> Result<Presence, PublishError> {
        self.to_client(client, Frame::push(event, value)?).await
    }

    /// Sends an event to every client in a room, on every server. [`Adapter::to_room`] can leave clients out.
    ///
    /// ```no_run
    /// # async fn example(adapter: wsmesh_adapter::Adapter) -> Result<(), Box<dyn std::error::Error>> {
    /// let room = wsmesh_adapter::Room::new("auction", "7")?;
    /// adapter.push_to_room(&room, "price", &serde_json::json!({"price": 42})).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Adapter::push`].
    pub async fn push_to_room<T: Serialize + ?Sized>(
        &self,
        room: &Room,
        event: &str,
        value: &T,
    ) -> Result<(), PublishError> {
        let frame = Frame::push(event, value)?;
        self.to_room(room, frame, RoomOptions::default()).await
    }

    /// Sends an event to every client, on every server.
    ///
    /// # Errors
    /// As [`Adapter::push`].
    pub async fn push_to_everyone<T: Serialize + ?Sized>(&self, event: &str, value: &T) -> Result<(), PublishError> {
        self.to_everyone(Frame::push(event, value)?, Scope::Cluster).await
    }

    /// Closes the connections of a client, wherever they are, with code 4010 (logged out by force) and a reason for the client.
    /// Returns whether the client was connected. [`Adapter::kick_with`] takes another code.
    ///
    /// ```no_run
    /// # async fn example(adapter: wsmesh_adapter::Adapter) -> Result<(), Box<dyn std::error::Error>> {
    /// let cheater = wsmesh_adapter::ClientId::new("cheater")?;
    /// if !adapter.kick(&cheater, "you were banned").await? {
    ///     println!("not connected");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When it cannot be known where the client is, or its ws-node does not close the connection: see [`ClientOrderError`].
    pub async fn kick(&self, client: &ClientId, reason: &str) -> Result<bool, ClientOrderError> {
        let dismissal = Dismissal {
            code: FORCED_LOGOUT,
            reason: reason.into(),
        };
        self.kick_with(client, dismissal).await
    }

    /// As [`Adapter::kick`], with a close code: 1000 to 1003, 1007 to 1014, or 3000 to 4999.
    ///
    /// # Errors
    /// As [`Adapter::kick`].
    pub async fn kick_with(&self, client: &ClientId, dismissal: Dismissal) -> Result<bool, ClientOrderError> {
        let mut was_there = self.dismiss(client, dismissal.clone()).await;
        let order = Kick {
            client,
            code: dismissal.code,
            reason: &dismissal.reason,
        };
        for server in self.other_holders(client, was_there).await? {
            let Kicked { kicked } = self.order(server, KICK, &order).await?;
            was_there |= kicked;
        }
        Ok(was_there)
    }

    /// Puts a client in a room, wherever it is connected. Resolves when messages to the room reach it; returns whether the client
    /// is connected. Joining twice is joining once.
    ///
    /// ```no_run
    /// # async fn example(adapter: wsmesh_adapter::Adapter) -> Result<(), Box<dyn std::error::Error>> {
    /// let (ann, room) = (wsmesh_adapter::ClientId::new("ann")?, wsmesh_adapter::Room::new("auction", "7")?);
    /// if adapter.join_client(&ann, &room).await? {
    ///     adapter.push_to_room(&room, "welcome", &"ann").await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When it cannot be known where the client is, or joining is not confirmed: see [`ClientOrderError`].
    pub async fn join_client(&self, client: &ClientId, room: &Room) -> Result<bool, ClientOrderError> {
        let here = match self.join(client, room.clone()).await {
            Ok(()) => true,
            Err(ClientError::NotHere(_)) => false,
            Err(error) => return Err(error.into()),
        };
        self.order_room(JOIN, client, room, here).await
    }

    /// Takes a client out of a room, wherever it is connected; returns whether the client is connected. Leaving a room that it is
    /// not in does nothing.
    ///
    /// # Errors
    /// When it cannot be known where the client is, or its ws-node does not answer: see [`ClientOrderError`].
    pub async fn leave_client(&self, client: &ClientId, room: &Room) -> Result<bool, ClientOrderError> {
        let here = self.leave(client, room).await.is_ok();
        self.order_room(LEAVE, client, room, here).await
    }

    async fn order_room(
        &self,
        event: &str,
        client: &ClientId,
        room: &Room,
        is_here: bool,
    ) -> Result<bool, ClientOrderError> {
        let order = ClientRoom {
            client,
            namespace: room.namespace.as_str(),
            room: room.id.as_str(),
        };
        let servers = self.other_holders(client, is_here).await?;
        let found = is_here || !servers.is_empty();
        for server in servers {
            let _done: serde_json::Value = self.order(server, event, &order).await?;
        }
        Ok(found)
    }

    /// The other servers that hold a client.
    async fn other_holders(&self, client: &ClientId, is_here: bool) -> Result<Vec<ServerName>, ClientOrderError> {
        if is_here && !self.parts.foundation.options.several_homes {
            return Ok(Vec::new());
        }
        let found = self.parts.flow.holders.find(client, self.order_key()).await?;
        if found.servers.is_empty() && !found.is_complete {
            return Err(ClientOrderError::Unknown(client.clone()));
        }
        Ok(found.servers)
    }

    async fn order<Q: Serialize, A: serde::de::DeserializeOwned>(
        &self,
        server: ServerName,
        event: &str,
        order: &Q,
    ) -> Result<A, CallError> {
        let target = Target::Server(server);
        self.call_typed(target, event, order, RequestOptions::default()).await
    }
}

#[cfg(test)]
mod tests {
    use wsmesh_protocol::forward;
    use wsmesh_protocol::{CloseCode, frame};

    use super::*;

    #[test]
    fn names_and_shapes_are_those_of_the_protocol() {
        assert_eq!(
            [JOIN, LEAVE, KICK],
            [forward::CLIENT_JOIN, forward::CLIENT_LEAVE, forward::KICK]
        );
        assert_eq!(CloseCode::from(FORCED_LOGOUT), CloseCode::ForcedLogout);
        let client = ClientId::new("ann").expect("valid");
        let kick = Kick {
            client: &client,
            code: 4010,
            reason: "banned",
        };
        let theirs = forward::Kick {
            client: "ann".to_owned(),
            code: 4010,
            reason: "banned".to_owned(),
        };
        assert_eq!(json(&kick), json(&theirs));
        let room = ClientRoom {
            client: &client,
            namespace: "auction",
            room: "7",
        };
        let theirs = forward::ClientRoom {
            client: "ann".to_owned(),
            namespace: "auction".to_owned(),
            room: "7".to_owned(),
        };
        assert_eq!(json(&room), json(&theirs));
    }

    #[test]
    fn a_push_is_written_as_the_protocol_writes_it() {
        for (event, value) in [
            ("price", serde_json::json!({"price": 42, "by": "ann"})),
            ("a \"quoted\" event\n", serde_json::json!(null)),
            ("é", serde_json::json!(["ü", 1.5, true])),
        ] {
            let pushed = Frame::push(event, &value).expect("JSON");
            assert_eq!(pushed.as_str(), frame::push(event, &value));
        }
    }

    fn json(value: &impl Serialize) -> String {
        serde_json::to_string(value).expect("JSON")
    }
}
