//! Who is told what happens to this server's clients, as it happens.

use std::fmt;
use std::sync::Arc;

use super::context::{LiveContext, Origin};
use super::shard::ConnectionId;
use crate::wire::{ClientContext, ClientId, Instance, Room, ServerName, ServiceName};

/// Is told what happens to this server's clients: in order for each client, whoever caused it. Called from any thread, for what
/// happens to a client while that client is locked: it must neither wait nor call the adapter.
pub trait ClientObserver: fmt::Debug + Send + Sync {
    /// A connection was attached. Its end is told to [`Attachment::detach`](crate::Attachment::detach).
    fn connected(&self, at: &ObservedConnection<'_>);

    /// A client joined a room on this server, with all its connections. The newest of them is given.
    fn joined(&self, at: &ObservedConnection<'_>, room: &Room);

    /// A client left a room on this server, or its last connection ended while it was in the room.
    fn left(&self, at: &ObservedConnection<'_>, room: &Room);

    /// Another server left the roster without saying goodbye.
    fn server_lost(&self, lost: &LostServer);
}

/// The connection that something happens to.
pub struct ObservedConnection<'a> {
    origin: &'a Origin,
    client: &'a ClientId,
    connection: ConnectionId,
    context: &'a LiveContext,
}

/// Who is told what happens to clients, and the names of their connections.
#[derive(Debug)]
pub(super) struct Observed {
    by: Arc<dyn ClientObserver>,
    origin: Origin,
}

impl Observed {
    pub(super) fn new(by: Arc<dyn ClientObserver>, origin: Origin) -> Self {
        Self { by, origin }
    }

    /// Tells something that happens to a client, which is locked.
    pub(super) fn tell(
        &self,
        client: &ClientId,
        connection: ConnectionId,
        context: &LiveContext,
        what: impl FnOnce(&dyn ClientObserver, &ObservedConnection<'_>),
    ) {
        let at = ObservedConnection {
            origin: &self.origin,
            client,
            connection,
            context,
        };
        what(&*self.by, &at);
    }
}

/// A server that left the roster without saying goodbye: it crashed, was killed, or is cut off from every node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostServer {
    /// Its name.
    pub name: ServerName,
    /// Its service.
    pub service: ServiceName,
    /// Which process.
    pub instance: Instance,
    /// How many clients it had, by its last beacon.
    pub clients: u64,
}

impl ObservedConnection<'_> {
    /// The client.
    pub fn client(&self) -> &ClientId {
        self.client
    }

    /// The connection's name, as [`ClientContext::connection`].
    pub fn connection(&self) -> String {
        self.origin.connection_name(self.connection)
    }

    /// What is known about the connection.
    pub fn context(&self) -> ClientContext {
        self.context.of(self.origin, self.client.clone(), self.connection)
    }
}

impl fmt::Debug for ObservedConnection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObservedConnection")
            .field("client", &self.client)
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}
