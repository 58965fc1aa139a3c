//! The hub: which shard holds which client and room. Any thread may query it.
//!
//! Locks are striped by key, held for a few lines and never across an await. A client's lock is taken before a room's.
//! The hub never touches outboxes: it sends each command to the shard that must apply it.

mod queries;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::value::RawValue;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::time::{Instant, timeout};

use super::context::{LiveContext, Origin};
use super::hub_entries::{ClientEntry, Connection, Location, Locations};
use super::observer::{ClientObserver, Observed, ObservedConnection};
use super::room_stripe::RoomStripe;
use super::shard::{Command, ConnectionId, PendingRequest, Recipients};
use super::striped::Striped;
use crate::wire::{ClientId, Frame, Room};

/// A shard that accepts no command for this long is considered stuck.
const STUCK: Duration = Duration::from_secs(10);
/// A connection older than this is older than any copy that may still arrive.
const NEW: Duration = Duration::from_secs(120);

/// Which shard holds which client and room.
#[derive(Debug)]
pub(crate) struct Hub {
    clients: Striped<HashMap<ClientId, ClientEntry>>,
    rooms: Striped<RoomStripe>,
    shards: Vec<mpsc::Sender<Command>>,
    next_connection: AtomicU64,
    client_count: AtomicUsize,
    room_count: AtomicUsize,
    /// Recent connections, in order: they do not get copies of older messages.
    newcomers: Mutex<VecDeque<(Instant, ConnectionId)>>,
    /// The stripe of rooms whose turn it is to look at all its rooms.
    renewed_next: AtomicUsize,
    observed: Option<Observed>,
}

impl Hub {
    pub(crate) fn new(shards: Vec<mpsc::Sender<Command>>) -> Self {
        Self {
            clients: Striped::new(),
            rooms: Striped::new(),
            shards,
            next_connection: AtomicU64::new(1),
            client_count: AtomicUsize::new(0),
            room_count: AtomicUsize::new(0),
            newcomers: Mutex::default(),
            renewed_next: AtomicUsize::new(0),
            observed: None,
        }
    }

    /// Tells an observer what happens to clients, each of which it locks meanwhile.
    pub(crate) fn observed(mut self, by: Arc<dyn ClientObserver>, origin: Origin) -> Self {
        self.observed = Some(Observed::new(by, origin));
        self
    }

    /// Registers one more connection of a client. It shares the client's rooms: the owner of its shard makes it join
    /// them.
    pub(crate) fn attach(&self, client: &ClientId, shard: usize, context: LiveContext) -> ConnectionId {
        let connection = ConnectionId(self.next_connection.fetch_add(1, Ordering::Relaxed));
        let mut clients = self.clients.lock(client);
        let attached = Connection {
            location: Location { shard, connection },
            since: Instant::now(),
            context,
        };
        self.note_newcomer(connection, attached.since);
        self.tell(client, &attached, |by, at| by.connected(at));
        match clients.get_mut(client) {
            Some(entry) => {
                for room in &entry.rooms {
                    if let Some(entry) = self.rooms.lock(room).of_mut(room) {
                        entry.count_in(shard);
                    }
                }
                entry.add(attached);
            }
            None => {
                let entry = ClientEntry::new(attached);
                clients.insert(client.clone(), entry);
                self.client_count.fetch_add(1, Ordering::Relaxed);
            }
        }
        connection
    }

    /// Removes a connection. When it was the client's last one, the client leaves its rooms, which are returned.
    pub(crate) fn detach(&self, client: &ClientId, connection: ConnectionId) -> Vec<Room> {
        self.detach_and(client, connection, |_| ())
    }

    /// As [`Hub::detach`]. Then says, before anything else happens to the client, whether the client has a connection here.
    pub(crate) fn detach_and(&self, client: &ClientId, connection: ConnectionId, say: impl FnOnce(bool)) -> Vec<Room> {
        let mut clients = self.clients.lock(client);
        let left = self.take_out(&mut clients, client, connection);
        say(clients.contains_key(client));
        left
    }

    fn take_out(
        &self,
        clients: &mut HashMap<ClientId, ClientEntry>,
        client: &ClientId,
        connection: ConnectionId,
    ) -> Vec<Room> {
        let Some(entry) = clients.get_mut(client) else {
            return Vec::new();
        };
        if let Some(removed) = entry.remove(connection) {
            for room in &entry.rooms {
                if let Some(entry) = self.rooms.lock(room).of_mut(room) {
                    entry.count_out(removed.location.shard);
                }
            }
            return Vec::new();
        }
        if !entry.is_only(connection) {
            return Vec::new();
        }
        let Some(entry) = clients.remove(client) else {
            return Vec::new();
        };
        self.client_count.fetch_sub(1, Ordering::Relaxed);
        for room in &entry.rooms {
            self.forget_member(room, client, &entry);
            self.tell(client, &entry.first, |by, at| by.left(at, room));
        }
        entry.rooms.into_iter().collect()
    }

    /// Adds a member, with all its connections. `None` if the client is not on this server; `Some((locations, false))`
    /// if it was already in the room.
    pub(crate) fn join(&self, client: &ClientId, room: &Room) -> Option<(Locations, bool)> {
        let mut clients = self.clients.lock(client);
        let entry = clients.get_mut(client)?;
        let new = entry.rooms.insert(room.clone());
        if new {
            if self.rooms.lock(room).join(room, client, entry) {
                self.room_count.fetch_add(1, Ordering::Relaxed);
            }
            self.tell(client, entry.newest(), |by, at| by.joined(at, room));
        }
        Some((entry.locations(), new))
    }

    /// Removes a member. `None` if the client is not on this server; `Some((locations, false))` if it was not in the
    /// room.
    pub(crate) fn leave(&self, client: &ClientId, room: &Room) -> Option<(Locations, bool)> {
        let mut clients = self.clients.lock(client);
        let entry = clients.get_mut(client)?;
        let was = entry.rooms.remove(room);
        if was {
            self.forget_member(room, client, entry);
            self.tell(client, entry.newest(), |by, at| by.left(at, room));
        }
        Some((entry.locations(), was))
    }

    /// Tells the observer, if there is one, about a client that is locked.
    fn tell(
        &self,
        client: &ClientId,
        connection: &Connection,
        what: impl FnOnce(&dyn ClientObserver, &ObservedConnection<'_>),
    ) {
        if let Some(observed) = &self.observed {
            observed.tell(client, connection.location.connection, &connection.context, what);
        }
    }

    fn forget_member(&self, room: &Room, client: &ClientId, gone: &ClientEntry) {
        if self.rooms.lock(room).leave(room, client, gone) {
            self.room_count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Whether a client has a connection to this server.
    pub(crate) fn is_here(&self, client: &ClientId) -> bool {
        self.clients.lock(client).contains_key(client)
    }

    /// The locations of a client's connections.
    pub(crate) fn locations(&self, client: &ClientId) -> Locations {
        let clients = self.clients.lock(client);
        clients.get(client).map(ClientEntry::locations).unwrap_or_default()
    }

    /// A client's connections and when each was attached, oldest first.
    pub(crate) fn connections(&self, client: &ClientId) -> Vec<(ConnectionId, Instant)> {
        let clients = self.clients.lock(client);
        let connections = clients.get(client).into_iter().flat_map(ClientEntry::connections);
        connections
            .map(|connection| (connection.location.connection, connection.since))
            .collect()
    }

    /// A client's connections and what is known about each, newest first.
    pub(crate) fn contexts(&self, client: &ClientId) -> Vec<(ConnectionId, LiveContext)> {
        let clients = self.clients.lock(client);
        let connections = clients.get(client).into_iter().flat_map(ClientEntry::connections);
        let mut found: Vec<_> = connections
            .map(|connection| (connection.location.connection, connection.context.clone()))
            .collect();
        found.reverse();
        found
    }

    /// Replaces what is attached to a client, on all its connections at once; `false` if it is not on this server. A copy does
    /// not undo what came after it was sent first, and connections attached since then are not concerned.
    pub(crate) fn set_data(&self, client: &ClientId, data: Option<Box<RawValue>>, sent: Option<Instant>) -> bool {
        let data: Option<Arc<RawValue>> = data.map(Arc::from);
        // Under the lock, so that of two concurrent calls the same one counts on every connection.
        let clients = self.clients.lock(client);
        let Some(entry) = clients.get(client) else {
            return false;
        };
        let old = entry
            .connections()
            .filter(|connection| sent.is_none_or(|sent| connection.since <= sent));
        old.for_each(|connection| connection.context.set_data(data.as_ref(), sent));
        true
    }

    /// The locations of those connections of a client that existed when a copy was first sent.
    fn locations_before(&self, client: &ClientId, sent: Option<Instant>) -> Locations {
        let clients = self.clients.lock(client);
        let Some(entry) = clients.get(client) else {
            return Locations::default();
        };
        entry.locations_before(sent)
    }

    /// Sends a command to one shard. Waits while its inbox is full, but not forever: a stuck owner must not stop this
    /// server from receiving. `false` if the command was not accepted.
    pub(crate) async fn command(&self, shard: usize, command: Command) -> bool {
        let Some(inbox) = self.shards.get(shard) else {
            return false;
        };
        let command = match inbox.try_send(command) {
            Ok(()) => return true,
            Err(TrySendError::Closed(_)) => return false,
            Err(TrySendError::Full(command)) => command,
        };
        // Boxed, because this rarely happens but would enlarge every future that sends something.
        match Box::pin(timeout(STUCK, inbox.send(command))).await {
            Ok(sent) => sent.is_ok(),
            Err(_) => {
                tracing::error!(
                    shard,
                    "a shard accepts no commands: messages for its clients are lost; restart this server"
                );
                false
            }
        }
    }

    /// Delivers a frame to every connection of a client. A copy skips connections attached after it was first sent.
    /// `false` if no connection gets it.
    pub(crate) async fn to_client(&self, client: &ClientId, frame: Frame, sent: Option<Instant>) -> bool {
        let mut delivered = false;
        for location in self.locations_before(client, sent).iter() {
            let recipients = Recipients::One(location.connection);
            delivered |= self
                .command(location.shard, Command::Deliver(recipients, frame.clone()))
                .await;
        }
        delivered
    }

    /// Delivers a frame to one connection of a client; `false` if it is not here.
    pub(crate) async fn to_connection(&self, client: &ClientId, connection: ConnectionId, frame: Frame) -> bool {
        let locations = self.locations(client);
        match locations.iter().find(|location| location.connection == connection) {
            Some(location) => {
                let deliver = Command::Deliver(Recipients::One(connection), frame);
                self.command(location.shard, deliver).await
            }
            None => false,
        }
    }

    /// Delivers a request to a client's newest connection; `false` if the client is not on this server.
    pub(crate) async fn ask(&self, client: &ClientId, request: PendingRequest, frame: Frame) -> bool {
        let newest = self
            .clients
            .lock(client)
            .get(client)
            .map(|entry| entry.newest().location);
        match newest {
            Some(location) => {
                self.command(location.shard, Command::Ask(location.connection, request, frame))
                    .await
            }
            None => false,
        }
    }

    /// Delivers a frame to the members of a room. Returns the number of shards that have members.
    pub(crate) async fn to_room(&self, room: &Room, frame: Frame, except: std::sync::Arc<[ClientId]>) -> usize {
        let shards = self.rooms.lock(room).message(room);
        for &shard in &shards {
            let recipients = Recipients::Room(room.clone(), except.clone());
            self.command(shard, Command::Deliver(recipients, frame.clone())).await;
        }
        shards.len()
    }

    /// Delivers a frame to every client. A copy skips connections attached after it was first sent.
    pub(crate) async fn to_everyone(&self, frame: Frame, sent: Option<Instant>) {
        self.to_everyone_but(frame, sent, &[]).await;
    }

    /// As [`Hub::to_everyone`], with exceptions.
    pub(crate) async fn to_everyone_but(&self, frame: Frame, sent: Option<Instant>, except: &[ClientId]) {
        if self.client_count() == 0 {
            return;
        }
        let mut left_out = sent.map(|sent| self.came_after(sent)).unwrap_or_default();
        for client in except {
            left_out.extend(self.locations(client).iter().map(|location| location.connection));
        }
        let recipients = if left_out.is_empty() {
            Recipients::All
        } else {
            Recipients::AllBut(left_out.into())
        };
        for shard in 0..self.shards.len() {
            self.command(shard, Command::Deliver(recipients.clone(), frame.clone()))
                .await;
        }
    }

    fn note_newcomer(&self, connection: ConnectionId, now: Instant) {
        let mut newcomers = self.newcomers.lock();
        newcomers.push_back((now, connection));
        while let Some((since, _)) = newcomers.front()
            && now.saturating_duration_since(*since) > NEW
        {
            newcomers.pop_front();
        }
    }

    fn came_after(&self, sent: Instant) -> Vec<ConnectionId> {
        let newcomers = self.newcomers.lock();
        let younger = newcomers.iter().rev().take_while(|(since, _)| *since > sent);
        younger.map(|(_, connection)| *connection).collect()
    }

    /// Whether even a client's oldest connection was attached after a copy was first sent.
    pub(crate) fn is_younger(&self, client: &ClientId, sent: Option<Instant>) -> bool {
        sent.is_some_and(|sent| {
            self.clients
                .lock(client)
                .get(client)
                .is_some_and(|entry| entry.first.since > sent)
        })
    }

    /// The members that joined after a copy was first sent.
    pub(crate) fn younger_members(&self, room: &Room, sent: Option<Instant>) -> Vec<ClientId> {
        let Some(sent) = sent else { return Vec::new() };
        let rooms = self.rooms.lock(room);
        let members = rooms.of(room).into_iter().flat_map(|entry| &entry.members);
        members
            .filter(|(_, since)| **since > sent)
            .map(|(client, _)| client.clone())
            .collect()
    }
}

#[cfg(test)]
#[path = "hub_tests.rs"]
mod tests;
