//! The hub: which shard holds which client and room. Counts and queries; any thread may ask.
//!
//! Locks are striped by key, held for a few lines and never across an await. A client's lock is taken before a room's.
//! The hub does not touch outboxes: it says where a command must go, and sends it there.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::shard::{Asked, Command, ConnectionId, Recipients};
use crate::wire::{ClientId, Frame, Namespace, Room};

const STRIPES: usize = 64;
/// A shard that takes nothing for so long hangs.
const STUCK: Duration = Duration::from_secs(10);
/// Who came longer ago than this is older than any copy.
const NEW: Duration = Duration::from_secs(120);

/// A map behind many small locks.
#[derive(Debug)]
struct Striped<K, V> {
    stripes: Vec<Mutex<HashMap<K, V>>>,
    hasher: RandomState,
}

impl<K: Hash + Eq, V> Striped<K, V> {
    fn new() -> Self {
        let stripes = (0..STRIPES).map(|_| Mutex::default()).collect();
        Self {
            stripes,
            hasher: RandomState::new(),
        }
    }

    fn lock(&self, key: &K) -> MutexGuard<'_, HashMap<K, V>> {
        let stripe = self.hasher.hash_one(key) as usize % STRIPES;
        self.stripes[stripe].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn each(&self) -> impl Iterator<Item = MutexGuard<'_, HashMap<K, V>>> {
        self.stripes
            .iter()
            .map(|stripe| stripe.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Where a connection lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) shard: usize,
    pub(crate) connection: ConnectionId,
}

#[derive(Debug)]
struct ClientEntry {
    place: Place,
    since: Instant,
    rooms: HashSet<Room>,
}

#[derive(Debug)]
struct Member {
    place: Place,
    since: Instant,
}

#[derive(Debug, Default)]
struct RoomEntry {
    members: HashMap<ClientId, Member>,
}

/// A client that was taken off: where it was, and the rooms that it was in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Departed {
    pub(crate) place: Place,
    pub(crate) rooms: Vec<Room>,
}

/// Which shard holds which client and room.
#[derive(Debug)]
pub(crate) struct Hub {
    clients: Striped<ClientId, ClientEntry>,
    rooms: Striped<Room, RoomEntry>,
    shards: Vec<mpsc::Sender<Command>>,
    next_connection: AtomicU64,
    client_count: AtomicUsize,
    room_count: AtomicUsize,
    /// Who came lately, in order: copies of older messages are not for them.
    newcomers: Mutex<VecDeque<(Instant, ConnectionId)>>,
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
        }
    }

    /// Registers a client. A former connection of the same id is taken off and returned.
    pub(crate) fn attach(&self, client: &ClientId, shard: usize) -> (ConnectionId, Option<Departed>) {
        let connection = ConnectionId(self.next_connection.fetch_add(1, Ordering::Relaxed));
        let mut clients = self.clients.lock(client);
        let former = clients.remove(client).map(|entry| self.departed(client, entry));
        let place = Place { shard, connection };
        let since = Instant::now();
        self.note_newcomer(connection, since);
        clients.insert(
            client.clone(),
            ClientEntry {
                place,
                since,
                rooms: HashSet::new(),
            },
        );
        self.client_count.fetch_add(1, Ordering::Relaxed);
        (connection, former)
    }

    /// Takes a client off, unless another connection has its id by now.
    pub(crate) fn detach(&self, client: &ClientId, connection: ConnectionId) -> Option<Departed> {
        let mut clients = self.clients.lock(client);
        if clients.get(client)?.place.connection != connection {
            return None;
        }
        let entry = clients.remove(client)?;
        Some(self.departed(client, entry))
    }

    fn departed(&self, client: &ClientId, entry: ClientEntry) -> Departed {
        self.client_count.fetch_sub(1, Ordering::Relaxed);
        for room in &entry.rooms {
            self.forget_member(room, client);
        }
        Departed {
            place: entry.place,
            rooms: entry.rooms.into_iter().collect(),
        }
    }

    /// Notes a member. `None` if the client is not here; `Some((place, false))` if it was in the room already.
    pub(crate) fn join(&self, client: &ClientId, room: &Room) -> Option<(Place, bool)> {
        let mut clients = self.clients.lock(client);
        let entry = clients.get_mut(client)?;
        let new = entry.rooms.insert(room.clone());
        if new {
            let mut rooms = self.rooms.lock(room);
            let members = &mut rooms.entry(room.clone()).or_default().members;
            if members.is_empty() {
                self.room_count.fetch_add(1, Ordering::Relaxed);
            }
            let (place, since) = (entry.place, Instant::now());
            members.insert(client.clone(), Member { place, since });
        }
        Some((entry.place, new))
    }

    /// Forgets a member. `None` if the client is not here; `Some((place, false))` if it was not in the room.
    pub(crate) fn leave(&self, client: &ClientId, room: &Room) -> Option<(Place, bool)> {
        let mut clients = self.clients.lock(client);
        let entry = clients.get_mut(client)?;
        let was = entry.rooms.remove(room);
        if was {
            self.forget_member(room, client);
        }
        Some((entry.place, was))
    }

    fn forget_member(&self, room: &Room, client: &ClientId) {
        let mut rooms = self.rooms.lock(room);
        if let Some(entry) = rooms.get_mut(room) {
            entry.members.remove(client);
            if entry.members.is_empty() {
                rooms.remove(room);
                self.room_count.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// Where a client is, if it is here.
    pub(crate) fn place(&self, client: &ClientId) -> Option<Place> {
        self.clients.lock(client).get(client).map(|entry| entry.place)
    }

    /// Sends a command to one shard; waits while its inbox is full, not for ever: an owner that hangs must not make this
    /// server deaf. `false` when the command was not taken.
    pub(crate) async fn command(&self, shard: usize, command: Command) -> bool {
        let Some(inbox) = self.shards.get(shard) else {
            return false;
        };
        match timeout(STUCK, inbox.send(command)).await {
            Ok(sent) => sent.is_ok(),
            Err(_) => {
                tracing::error!(
                    shard,
                    "a shard's owner takes nothing: what was for its clients is lost; restart this server"
                );
                false
            }
        }
    }

    /// Delivers a frame to one client; `false` if it is not here.
    pub(crate) async fn to_client(&self, client: &ClientId, frame: Frame) -> bool {
        match self.place(client) {
            Some(place) => {
                self.command(place.shard, Command::Deliver(Recipients::One(place.connection), frame))
                    .await
            }
            None => false,
        }
    }

    /// Delivers a request to one client; `false` if it is not here.
    pub(crate) async fn ask(&self, client: &ClientId, asked: Asked, frame: Frame) -> bool {
        match self.place(client) {
            Some(place) => {
                self.command(place.shard, Command::Ask(place.connection, asked, frame))
                    .await
            }
            None => false,
        }
    }

    /// Delivers a frame to the members of a room; says how many shards have any.
    pub(crate) async fn to_room(&self, room: &Room, frame: Frame, except: std::sync::Arc<[ClientId]>) -> usize {
        let shards = self.shards_of(room);
        for &shard in &shards {
            let recipients = Recipients::Room(room.clone(), except.clone());
            self.command(shard, Command::Deliver(recipients, frame.clone())).await;
        }
        shards.len()
    }

    /// Delivers a frame to every client; a copy not to those who came after it was sent first.
    pub(crate) async fn to_everyone(&self, frame: Frame, sent: Option<Instant>) {
        if self.client_count() == 0 {
            return;
        }
        let recipients = match sent.map(|sent| self.came_after(sent)) {
            Some(younger) if !younger.is_empty() => Recipients::AllBut(younger.into()),
            _ => Recipients::All,
        };
        for shard in 0..self.shards.len() {
            self.command(shard, Command::Deliver(recipients.clone(), frame.clone()))
                .await;
        }
    }

    fn note_newcomer(&self, connection: ConnectionId, now: Instant) {
        let mut newcomers = self.newcomers.lock().unwrap_or_else(PoisonError::into_inner);
        newcomers.push_back((now, connection));
        while let Some((since, _)) = newcomers.front()
            && now.saturating_duration_since(*since) > NEW
        {
            newcomers.pop_front();
        }
    }

    fn came_after(&self, sent: Instant) -> Vec<ConnectionId> {
        let newcomers = self.newcomers.lock().unwrap_or_else(PoisonError::into_inner);
        let younger = newcomers.iter().rev().take_while(|(since, _)| *since > sent);
        younger.map(|(_, connection)| *connection).collect()
    }

    /// Whether a client came after a copy was sent first.
    pub(crate) fn is_younger(&self, client: &ClientId, sent: Option<Instant>) -> bool {
        sent.is_some_and(|sent| {
            self.clients
                .lock(client)
                .get(client)
                .is_some_and(|entry| entry.since > sent)
        })
    }

    /// The members who joined after a copy was sent first.
    pub(crate) fn younger_members(&self, room: &Room, sent: Option<Instant>) -> Vec<ClientId> {
        let Some(sent) = sent else { return Vec::new() };
        let rooms = self.rooms.lock(room);
        let members = rooms.get(room).into_iter().flat_map(|entry| &entry.members);
        members
            .filter(|(_, member)| member.since > sent)
            .map(|(client, _)| client.clone())
            .collect()
    }

    fn shards_of(&self, room: &Room) -> Vec<usize> {
        let rooms = self.rooms.lock(room);
        let Some(entry) = rooms.get(room) else {
            return Vec::new();
        };
        if self.shards.len() == 1 {
            return vec![0];
        }
        let mut found = Vec::with_capacity(self.shards.len());
        for member in entry.members.values() {
            if !found.contains(&member.place.shard) {
                found.push(member.place.shard);
                if found.len() == self.shards.len() {
                    break;
                }
            }
        }
        found
    }

    pub(crate) fn client_count(&self) -> usize {
        self.client_count.load(Ordering::Relaxed)
    }

    pub(crate) fn room_count(&self) -> usize {
        self.room_count.load(Ordering::Relaxed)
    }

    pub(crate) fn members(&self, room: &Room) -> Vec<ClientId> {
        let rooms = self.rooms.lock(room);
        rooms
            .get(room)
            .map(|entry| entry.members.keys().cloned().collect())
            .unwrap_or_default()
    }

    pub(crate) fn joined_rooms(&self, client: &ClientId) -> Vec<Room> {
        let clients = self.clients.lock(client);
        clients
            .get(client)
            .map(|entry| entry.rooms.iter().cloned().collect())
            .unwrap_or_default()
    }

    pub(crate) fn rooms(&self, namespace: Option<&Namespace>, id_prefix: &str) -> Vec<(Room, usize)> {
        let mut found = Vec::new();
        for stripe in self.rooms.each() {
            for (room, entry) in stripe.iter() {
                let wanted = namespace.is_none_or(|namespace| *namespace == room.namespace);
                if wanted && room.id.as_str().starts_with(id_prefix) {
                    found.push((room.clone(), entry.members.len()));
                }
            }
        }
        found.sort();
        found
    }
}

#[cfg(test)]
#[path = "hub_tests.rs"]
mod tests;
