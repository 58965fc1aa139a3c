//! The client that a handler is called for.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use wsmesh_adapter::{
    Adapter, ClientContext, ClientError, ClientId, ConnectionId, Dismissal, Frame, LiveContext, PayloadError, Room,
};

/// A client's connection, for a handler. Cheap to clone and to keep; once the connection has ended, nothing reaches it any more.
#[derive(Clone)]
pub struct Client(Arc<Parts>);

struct Parts {
    adapter: Adapter,
    id: ClientId,
    connection: ConnectionId,
    context: LiveContext,
}

impl Client {
    pub(crate) fn new(adapter: Adapter, id: ClientId, connection: ConnectionId, context: LiveContext) -> Self {
        Self(Arc::new(Parts {
            adapter,
            id,
            connection,
            context,
        }))
    }

    /// Who it is.
    pub fn id(&self) -> &ClientId {
        &self.0.id
    }

    /// Which of its connections this is; unique in this process.
    pub fn connection(&self) -> ConnectionId {
        self.0.connection
    }

    /// What is known about this connection, as of now: path, parameters, address, claims of its token, attached data.
    pub fn context(&self) -> ClientContext {
        let Parts {
            adapter,
            id,
            connection,
            context,
        } = &*self.0;
        adapter.context(id, *connection, context)
    }

    /// The adapter that the ws-node runs on, to reach other clients, rooms and services.
    pub fn adapter(&self) -> &Adapter {
        &self.0.adapter
    }

    /// Pushes an event to this connection; `false` if it has ended. What a handler pushes arrives before its reply.
    ///
    /// # Errors
    /// When the value cannot be JSON.
    pub async fn push<T: Serialize + ?Sized>(&self, event: &str, value: &T) -> Result<bool, PayloadError> {
        Ok(self.send(Frame::push(event, value)?).await)
    }

    /// Sends a finished frame to this connection; `false` if it has ended.
    pub async fn send(&self, frame: Frame) -> bool {
        let Parts {
            adapter,
            id,
            connection,
            ..
        } = &*self.0;
        adapter.to_connection(id, *connection, frame).await
    }

    /// The client joins a room, with all its connections to this server: see [`Adapter::join`].
    ///
    /// # Errors
    /// When it is not connected any more, or no node confirms it in time.
    pub async fn join(&self, room: Room) -> Result<(), ClientError> {
        self.0.adapter.join(&self.0.id, room).await
    }

    /// The client leaves a room; `false` if it was not in it.
    ///
    /// # Errors
    /// When it is not connected any more.
    pub async fn leave(&self, room: &Room) -> Result<bool, ClientError> {
        self.0.adapter.leave(&self.0.id, room).await
    }

    /// The rooms that the client is in.
    pub fn rooms(&self) -> Vec<Room> {
        self.0.adapter.joined_rooms(&self.0.id)
    }

    /// Closes this connection, after what was sent to it before; `false` if it has ended.
    ///
    /// # Errors
    /// When a close frame must not carry the code: see [`Dismissal::code`].
    pub async fn disconnect(&self, code: u16, reason: &str) -> Result<bool, ClientError> {
        let Parts {
            adapter,
            id,
            connection,
            ..
        } = &*self.0;
        let reason = reason.into();
        adapter
            .dismiss_connection(id, *connection, Dismissal { code, reason })
            .await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("id", &self.0.id)
            .field("connection", &self.0.connection)
            .finish_non_exhaustive()
    }
}
