//! What services do with clients, wherever they are connected: push to them, close their connections, move them between rooms.
//!
//! The adapter moves frames as bytes; here alone it writes one, and uses the requests that ws-nodes answer. The names and shapes
//! are those of `wsmesh-protocol`. They are repeated here, and compared with it by a test, so that neither library needs the
//! other.

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use super::adapter::Adapter;
use super::clients::{Presence, RoomOptions, Scope};
use crate::error::{CallError, ClientError, ClientOrderError, PublishError};
use crate::flow::ask::request_options::RequestOptions;
use crate::flow::ask::target::Target;
use crate::local::Dismissal;
use crate::wire::{ClientId, Frame, PayloadError, Refusal, Room, ServerName};

const JOIN: &str = "wsmesh.clientJoin";
const LEAVE: &str = "wsmesh.clientLeave";
const KICK: &str = "wsmesh.kick";

/// The close code of [`Adapter::kick`]: logged out by force.
const FORCED_LOGOUT: u16 = 4010;
/// The code with which a ws-node refuses an order about a client that it does not have.
const NOT_FOUND: &str = "NOT_FOUND";
/// The code that ws-nodes of older versions use for that, and for other things.
const UNAVAILABLE: &str = "UNAVAILABLE";

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
    /// When it cannot be known where the client is, or a ws-node does not close its connection: see [`ClientOrderError`]. The
    /// other ws-nodes that have the client are asked all the same.
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
    /// As [`Adapter::kick`], and when another code is given.
    pub async fn kick_with(&self, client: &ClientId, dismissal: Dismissal) -> Result<bool, ClientOrderError> {
        let order = Kick {
            client,
            code: dismissal.code,
            reason: &dismissal.reason,
        };
        let here = self.dismiss(client, dismissal.clone()).await;
        if let Err(error @ ClientError::CloseCode(_)) = here {
            return Err(error.into());
        }
        let kicked = |answer: Kicked| answer.kicked;
        self.order_elsewhere(KICK, client, &order, here, kicked).await
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
        let here = not_here_is_false(self.join(client, room.clone()).await);
        self.order_room(JOIN, client, room, here).await
    }

    /// Takes a client out of a room, wherever it is connected; returns whether the client is connected. Leaving a room that it is
    /// not in does nothing.
    ///
    /// # Errors
    /// When it cannot be known where the client is, or its ws-node does not answer: see [`ClientOrderError`].
    pub async fn leave_client(&self, client: &ClientId, room: &Room) -> Result<bool, ClientOrderError> {
        let here = not_here_is_false(self.leave(client, room).await.map(drop));
        self.order_room(LEAVE, client, room, here).await
    }

    async fn order_room(
        &self,
        event: &str,
        client: &ClientId,
        room: &Room,
        here: Result<bool, ClientError>,
    ) -> Result<bool, ClientOrderError> {
        let order = ClientRoom {
            client,
            namespace: room.namespace.as_str(),
            room: room.id.as_str(),
        };
        let done = |_: serde_json::Value| true;
        self.order_elsewhere(event, client, &order, here, done).await
    }

    /// Sends an order to every other server that has the client, after it was carried out here (or not: the client is not
    /// here, or it failed). Every server is asked, whatever the others answer. Returns whether one of them carried it out.
    async fn order_elsewhere<Q: Serialize, A: serde::de::DeserializeOwned>(
        &self,
        event: &str,
        client: &ClientId,
        order: &Q,
        here: Result<bool, ClientError>,
        is_done: impl Fn(A) -> bool,
    ) -> Result<bool, ClientOrderError> {
        let has_several_homes = self.parts.foundation.options.several_homes;
        let is_elsewhere = has_several_homes || matches!(here, Ok(false));
        let mut outcome = OrderOutcome::default();
        outcome.add(self.name(), here.map_err(Into::into));
        if is_elsewhere {
            match self.parts.flow.holders.find(client, self.order_key()).await {
                Ok(found) => {
                    let ordering = found
                        .servers
                        .iter()
                        .map(|server| self.order(server, event, client, order));
                    for (server, answer) in found.servers.iter().zip(join_all(ordering).await) {
                        let done = answer.map(|answer| answer.is_some_and(&is_done));
                        outcome.add(server, done.map_err(Into::into));
                    }
                    if !found.is_complete && (has_several_homes || outcome.done.is_empty()) {
                        outcome.fail(ClientOrderError::Unknown(client.clone()));
                    }
                }
                Err(error) => outcome.fail(error.into()),
            }
        }
        outcome.result()
    }

    /// Sends an order to one server; its answer, and nothing if the client is no longer there.
    async fn order<Q: Serialize, A: serde::de::DeserializeOwned>(
        &self,
        server: &ServerName,
        event: &str,
        client: &ClientId,
        order: &Q,
    ) -> Result<Option<A>, CallError> {
        let target = Target::Server(server.clone());
        let answer = self.call_typed(target, event, order, RequestOptions::default());
        match answer.await {
            Ok(answer) => Ok(Some(answer)),
            Err(CallError::Refused { refusal, .. }) if is_not_here(&refusal, client) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The result of an order at all servers that have the client.
#[derive(Default)]
pub(super) struct OrderOutcome {
    /// The servers that carried it out.
    pub(super) done: Vec<ServerName>,
    /// The first error.
    error: Option<ClientOrderError>,
}

impl OrderOutcome {
    pub(super) fn add(&mut self, server: &ServerName, done: Result<bool, ClientOrderError>) {
        match done {
            Ok(true) => self.done.push(server.clone()),
            Ok(false) => {}
            Err(error) => self.fail(error),
        }
    }

    pub(super) fn fail(&mut self, error: ClientOrderError) {
        self.error.get_or_insert(error);
    }

    pub(super) fn result(self) -> Result<bool, ClientOrderError> {
        match self.error {
            None => Ok(!self.done.is_empty()),
            Some(error) if self.done.is_empty() => Err(error),
            Some(error) => Err(ClientOrderError::Partly {
                done: self.done,
                error: Box::new(error),
            }),
        }
    }
}

fn not_here_is_false(done: Result<(), ClientError>) -> Result<bool, ClientError> {
    match done {
        Ok(()) => Ok(true),
        Err(ClientError::NotHere(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a ws-node refused an order because it does not have the client. Older versions say so only by the text.
fn is_not_here(refusal: &Refusal, client: &ClientId) -> bool {
    let is_old = || refusal.text == ClientError::NotHere(client.clone()).to_string();
    refusal.code == NOT_FOUND || refusal.code == UNAVAILABLE && is_old()
}

#[cfg(test)]
mod tests {
    use wsmesh_protocol::forward;
    use wsmesh_protocol::{CloseCode, ErrorCode, frame};

    use super::*;

    #[test]
    fn names_and_shapes_are_those_of_the_protocol() {
        assert_eq!(
            [JOIN, LEAVE, KICK],
            [forward::CLIENT_JOIN, forward::CLIENT_LEAVE, forward::KICK]
        );
        assert_eq!(CloseCode::from(FORCED_LOGOUT), CloseCode::ForcedLogout);
        assert_eq!(
            [NOT_FOUND, UNAVAILABLE],
            [ErrorCode::NotFound.as_str(), ErrorCode::Unavailable.as_str()]
        );
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

    #[test]
    fn a_refusal_that_means_not_here_is_told_from_others() {
        let ann = ClientId::new("ann").expect("valid");
        let old = ClientError::NotHere(ann.clone()).to_string();
        let unconfirmed = ClientError::Unconfirmed.to_string();
        assert!(is_not_here(&Refusal::new(NOT_FOUND, "it has left"), &ann));
        assert!(is_not_here(&Refusal::new(UNAVAILABLE, old), &ann));
        assert!(!is_not_here(&Refusal::new(UNAVAILABLE, unconfirmed), &ann));
        assert!(!is_not_here(&Refusal::new("BAD_PAYLOAD", "a wrong name"), &ann));
    }

    fn json(value: &impl Serialize) -> String {
        serde_json::to_string(value).expect("JSON")
    }
}
