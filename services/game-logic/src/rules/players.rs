//! Who plays in which match, and who is promised to a match that is being formed.
//!
//! Each server keeps what it was told about all matches of the cluster. It answers whether a player is free, so that no
//! player is put into two matches; what was not renewed in time is forgotten, so that lost news locks nobody out.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wsmesh_adapter::{ClientId, Instance, ServerName};

use super::matches::MatchId;

/// How long a promise holds without word from whoever asked for it: longer than starting a match may take.
const PROMISE: Duration = Duration::from_secs(20);
/// How long a match may be overdue before it is forgotten.
const OVERDUE: Duration = Duration::from_secs(60);

/// One attempt to start a match; unique in the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FormationId(String);

impl FormationId {
    /// The `number`th attempt of a process.
    pub fn new(owner: Instance, number: u64) -> Self {
        Self(format!("{:x}.{number:x}", owner.0))
    }

    /// The id as text: the key by which a host is chosen.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A player and the ws-node that has its connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Player {
    /// The player.
    pub client: ClientId,
    /// The ws-node.
    pub server: ServerName,
}

/// A player that cannot be matched now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Busy {
    /// Who.
    pub client: ClientId,
    /// Whether it is in a match; otherwise it is only promised to one, which may come to nothing.
    pub playing: bool,
}

#[derive(Debug)]
enum Place {
    Promised { formation: FormationId, until: Duration },
    Playing { id: MatchId, server: ServerName },
}

#[derive(Debug)]
struct Known {
    clients: Vec<ClientId>,
    until: Duration,
}

/// What one server knows of who plays where.
#[derive(Debug)]
pub struct Players {
    longest_match: Duration,
    places: HashMap<ClientId, Place>,
    promises: HashMap<FormationId, Vec<ClientId>>,
    matches: HashMap<MatchId, Known>,
}

impl Players {
    /// Nobody plays yet; no match takes longer than `longest_match`.
    pub fn new(longest_match: Duration) -> Self {
        Self {
            longest_match,
            places: HashMap::new(),
            promises: HashMap::new(),
            matches: HashMap::new(),
        }
    }

    /// The match that a player is in.
    pub fn match_of(&self, client: &ClientId) -> Option<&MatchId> {
        match self.places.get(client)? {
            Place::Playing { id, .. } => Some(id),
            Place::Promised { .. } => None,
        }
    }

    /// Who of these is not free for `formation`.
    pub fn busy(&self, now: Duration, formation: &FormationId, clients: &[ClientId]) -> Vec<Busy> {
        let busy = |client: &ClientId| match self.places.get(client)? {
            Place::Playing { .. } => Some(Busy {
                client: client.clone(),
                playing: true,
            }),
            Place::Promised {
                formation: other,
                until,
            } => (other != formation && *until > now).then(|| Busy {
                client: client.clone(),
                playing: false,
            }),
        };
        clients.iter().filter_map(busy).collect()
    }

    /// Promises players to a formation, whatever was promised before.
    pub fn promise(&mut self, now: Duration, formation: &FormationId, clients: &[ClientId]) {
        for client in clients {
            let place = Place::Promised {
                formation: formation.clone(),
                until: now + PROMISE,
            };
            self.places.insert(client.clone(), place);
        }
        self.promises.insert(formation.clone(), clients.to_vec());
    }

    /// A formation came to nothing.
    pub fn release(&mut self, formation: &FormationId) {
        for client in self.promises.remove(formation).unwrap_or_default() {
            if matches!(self.places.get(&client), Some(Place::Promised { formation: held, .. }) if held == formation) {
                self.places.remove(&client);
            }
        }
    }

    /// A formation became a match.
    pub fn play(&mut self, now: Duration, formation: &FormationId, id: &MatchId, players: &[Player]) {
        self.release(formation);
        for Player { client, server } in players {
            self.places.insert(
                client.clone(),
                Place::Playing {
                    id: id.clone(),
                    server: server.clone(),
                },
            );
        }
        let clients = players.iter().map(|player| player.client.clone()).collect();
        self.matches.insert(
            id.clone(),
            Known {
                clients,
                until: now + self.longest_match + OVERDUE,
            },
        );
    }

    /// A player left a match.
    pub fn leave(&mut self, client: &ClientId, id: &MatchId) {
        if self.match_of(client) == Some(id) {
            self.places.remove(client);
            if let Some(known) = self.matches.get_mut(id) {
                known.clients.retain(|other| other != client);
            }
        }
    }

    /// A player's connection on `server` ended: the match it left, if it was in one.
    pub fn closed(&mut self, client: &ClientId, server: &ServerName) -> Option<MatchId> {
        match self.places.get(client)? {
            Place::Playing { id, server: has } if has == server => {
                let id = id.clone();
                self.leave(client, &id);
                Some(id)
            }
            _ => None,
        }
    }

    /// Everyone who plays and is connected to `server`.
    pub fn on_server(&self, server: &ServerName) -> Vec<ClientId> {
        let here = |place: &Place| matches!(place, Place::Playing { server: has, .. } if has == server);
        self.places
            .iter()
            .filter(|(_, place)| here(place))
            .map(|(client, _)| client.clone())
            .collect()
    }

    /// A match ended: who was still in it.
    pub fn ended(&mut self, id: &MatchId) -> Vec<ClientId> {
        let clients = self.matches.remove(id).map(|known| known.clients).unwrap_or_default();
        for client in &clients {
            if self.match_of(client) == Some(id) {
                self.places.remove(client);
            }
        }
        clients
    }

    /// The matches that ran in a process.
    pub fn hosted_by(&self, host: Instance) -> Vec<MatchId> {
        self.matches
            .keys()
            .filter(|id| id.host() == Some(host))
            .cloned()
            .collect()
    }

    /// Forgets promises nobody kept and matches that must have ended.
    pub fn expire(&mut self, now: Duration) {
        let late: Vec<MatchId> = self
            .matches
            .iter()
            .filter(|(_, known)| known.until <= now)
            .map(|(id, _)| id.clone())
            .collect();
        late.iter().for_each(|id| drop(self.ended(id)));
        self.places
            .retain(|_, place| !matches!(place, Place::Promised { until, .. } if *until <= now));
        let places = &self.places;
        let held = |formation: &FormationId, client: &ClientId| matches!(places.get(client), Some(Place::Promised { formation: held, .. }) if held == formation);
        self.promises
            .retain(|formation, clients| clients.iter().any(|client| held(formation, client)));
    }

    /// How many players play or are promised.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether nobody plays or is promised.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(name: &str) -> ClientId {
        ClientId::new(name).expect("valid")
    }

    fn player(name: &str) -> Player {
        Player {
            client: client(name),
            server: ServerName::new("ws-1").expect("valid"),
        }
    }

    fn formation(number: u64) -> FormationId {
        FormationId::new(Instance(1), number)
    }

    const NOW: Duration = Duration::from_secs(100);

    #[test]
    fn a_player_promised_to_one_match_is_not_free_for_another_until_released() {
        let mut players = Players::new(Duration::from_secs(60));
        players.promise(NOW, &formation(1), &[client("ann"), client("bob")]);
        let busy = players.busy(NOW, &formation(2), &[client("bob"), client("cid")]);
        assert_eq!(
            busy,
            [Busy {
                client: client("bob"),
                playing: false
            }]
        );
        assert!(
            players.busy(NOW, &formation(1), &[client("bob")]).is_empty(),
            "its own promise"
        );
        players.release(&formation(1));
        assert!(players.busy(NOW, &formation(2), &[client("bob")]).is_empty());
    }

    #[test]
    fn a_promise_nobody_keeps_and_a_match_that_never_ends_are_forgotten() {
        let mut players = Players::new(Duration::from_secs(60));
        players.promise(NOW, &formation(1), &[client("ann")]);
        players.play(NOW, &formation(2), &MatchId::new(Instance(1), 1), &[player("bob")]);
        players.expire(NOW + PROMISE);
        assert!(players.busy(NOW + PROMISE, &formation(3), &[client("ann")]).is_empty());
        assert!(players.match_of(&client("bob")).is_some());
        players.expire(NOW + Duration::from_secs(120));
        assert!(players.is_empty() && players.promises.is_empty() && players.matches.is_empty());
    }

    #[test]
    fn a_closed_connection_leaves_the_match_unless_the_player_is_there_through_another_ws_node() {
        let mut players = Players::new(Duration::from_secs(60));
        let id = MatchId::new(Instance(1), 1);
        players.play(NOW, &formation(1), &id, &[player("ann"), player("bob")]);
        assert_eq!(
            players.closed(&client("ann"), &ServerName::new("ws-2").expect("valid")),
            None
        );
        assert_eq!(
            players.closed(&client("ann"), &ServerName::new("ws-1").expect("valid")),
            Some(id.clone())
        );
        assert_eq!(players.ended(&id), [client("bob")]);
        assert!(players.is_empty());
    }
}
