//! The watches of this admin, and who answered when it told the ws-nodes of them. State without I/O.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;
use wsmesh_adapter::{ClientId, Instance, ServerInfo, ServerName};
use wsmesh_protocol::watching::{MAX_WATCHES, WatchOrder, Watched, Watches};

use super::events::{self, Leaving, Servers};
use super::queue::Queue;

/// The watches of this admin.
#[derive(Debug)]
pub(super) struct Book {
    instance: Instance,
    /// Of the last request to the ws-nodes.
    number: u64,
    last_id: u64,
    watches: BTreeMap<u64, Watch>,
    /// Who answered last.
    servers: Servers,
    /// Whether a server is a ws-node, of those that have ever answered.
    kinds: BTreeMap<(ServerName, Instance), bool>,
    /// The servers, as they were when the roster was looked at last.
    present: Vec<ServerInfo>,
}

/// One watch.
#[derive(Debug)]
struct Watch {
    client: ClientId,
    payloads: bool,
    until: Instant,
    queue: Arc<Queue>,
    /// How much each server has seen.
    seen: BTreeMap<ServerName, u64>,
}

impl Book {
    pub(super) fn new(instance: Instance) -> Self {
        Self {
            instance,
            number: 0,
            last_id: 0,
            watches: BTreeMap::new(),
            servers: Servers::default(),
            kinds: BTreeMap::new(),
            present: Vec::new(),
        }
    }

    /// One more watch. None, if this admin alone has as many as a cluster may have.
    pub(super) fn open(&mut self, client: ClientId, payloads: bool, until: Instant) -> Option<(u64, Arc<Queue>)> {
        if self.watches.len() >= MAX_WATCHES {
            return None;
        }
        self.last_id += 1;
        let watch = Watch {
            client,
            payloads,
            until,
            queue: Arc::default(),
            seen: BTreeMap::new(),
        };
        let queue = Arc::clone(&watch.queue);
        self.watches.insert(self.last_id, watch);
        Some((self.last_id, queue))
    }

    /// A watch ends.
    pub(super) fn close(&mut self, id: u64) {
        self.watches.remove(&id);
    }

    /// Ends watches whose viewers do not even notice that their time is up.
    pub(super) fn expire(&mut self, now: Instant) {
        self.watches.retain(|_, watch| now < watch.until);
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.watches.len()
    }

    /// What the ws-nodes are told.
    pub(super) fn told(&mut self) -> Watches {
        self.number += 1;
        let watches = self.watches.iter().map(|(id, watch)| WatchOrder {
            id: self.name(*id),
            client: watch.client.to_string(),
            payloads: watch.payloads,
        });
        Watches {
            instance: self.instance.0,
            number: self.number,
            watches: watches.collect(),
        }
    }

    /// What a watch is called in the cluster.
    pub(super) fn name(&self, id: u64) -> String {
        format!("{}-{id}", self.instance)
    }

    /// A server answered: it is a ws-node, or it is none.
    pub(super) fn is_ws_node(&mut self, server: &ServerName, is_one: bool) {
        let known = self.present.iter().find(|known| known.name == *server);
        if let Some(known) = known {
            self.kinds.insert((known.name.clone(), known.instance), is_one);
        }
    }

    /// Whether this server may have the client, as far as is known.
    pub(super) fn may_be_ws_node(&self, server: &ServerName) -> bool {
        let known = self.kinds.iter().find(|((name, _), _)| name == server);
        known.is_none_or(|(_, is_one)| *is_one)
    }

    /// These answered, and these did not. Viewers are told if that is new.
    pub(super) fn answered(&mut self, servers: Servers, now: Instant) {
        if servers == self.servers {
            return;
        }
        self.servers = servers;
        let event = events::servers(&self.servers);
        self.tell_all(&event, now);
    }

    /// Who answered last.
    pub(super) fn servers(&self) -> &Servers {
        &self.servers
    }

    /// The roster is this now. Viewers are told which ws-nodes are gone. Returns whether there are new servers.
    pub(super) fn look(&mut self, roster: &[ServerInfo], now: Instant) -> bool {
        let known = |servers: &[ServerInfo], of: &ServerInfo| {
            servers
                .iter()
                .any(|server| (&server.name, server.instance) == (&of.name, of.instance))
        };
        let before = std::mem::replace(&mut self.present, roster.to_vec());
        for gone in before.iter().filter(|server| !known(roster, server)) {
            if self.kinds.remove(&(gone.name.clone(), gone.instance)) == Some(true) {
                self.servers.servers.retain(|name| *name != gone.name);
                self.servers.missing.retain(|silent| silent.server != gone.name);
                let leaving = if gone.retiring { Leaving::Stopped } else { Leaving::Lost };
                let event = events::gone(&gone.name, leaving);
                self.tell_all(&event, now);
            }
        }
        roster.iter().any(|server| !known(&before, server))
    }

    /// A server sends what it saw.
    pub(super) fn saw(&mut self, server: &ServerName, watched: &Watched, now: Instant) {
        let (mine, number) = (self.instance.to_string(), watched.id.rsplit_once('-'));
        let id = number.and_then(|(of, id)| (of == mine).then(|| id.parse::<u64>().ok())?);
        // It may have ended a moment ago.
        let Some(watch) = id.and_then(|id| self.watches.get_mut(&id)) else {
            return;
        };
        let before = watch.seen.insert(server.clone(), watched.seen);
        let told = watched.sightings.len() as u64 + watched.lost;
        // A ws-node that forgot the watch counts from the beginning.
        let before = before.filter(|before| *before <= watched.seen).unwrap_or(0);
        let on_the_way = (watched.seen - before).saturating_sub(told);
        let lost = watched.lost + on_the_way;
        let first_ms = watched.sightings.first().map(|first| first.at_ms);
        let lost = (lost > 0).then(|| {
            let at_ms = first_ms.unwrap_or_else(|| Timestamp::now().as_millisecond());
            events::lost(Some(server), lost, at_ms)
        });
        let seen = watched.sightings.iter().map(|sighting| events::seen(server, sighting));
        watch.queue.add(lost.into_iter().chain(seen), now);
    }

    fn tell_all(&self, event: &(i64, super::queue::Event), now: Instant) {
        self.watches
            .values()
            .for_each(|watch| watch.queue.add([event.clone()], now));
    }
}
