//! Which players are in which match, and which are promised to a match that is being formed.
//!
//! Each server keeps what it learned about all matches of the cluster. It answers whether a player is free, so that no player
//! is put into two matches. Entries expire, so that lost news does not keep players out forever.
//!
//! News of different servers arrives in any order: the end of one match says nothing about another. So a player may have
//! several engagements here. Each ends only by news of itself, and the player is free when none is left.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wsmesh_adapter::{ClientId, Instance, ServerName};

use super::matches::MatchId;

/// How long a promise holds without news from the server that asked for it: longer than starting a match may take.
const PROMISE: Duration = Duration::from_secs(20);
/// How long a match may be overdue before it is dropped.
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

    /// The id as text: the key for the choice of a host.
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
    /// The player.
    pub client: ClientId,
    /// Whether it is in a match; otherwise it is only promised to one, which may be given up.
    pub playing: bool,
}

/// What a player is engaged in, as far as this server knows.
#[derive(Debug, Default)]
struct Engagements {
    promised: Vec<FormationId>,
    /// The latest news is the last entry.
    playing: Vec<MatchId>,
}

#[derive(Debug)]
struct Promise {
    clients: Vec<ClientId>,
    until: Duration,
}

#[derive(Debug)]
struct Known {
    players: Vec<Player>,
    until: Duration,
}

/// What one server knows about the players of all matches.
#[derive(Debug)]
pub struct Players {
    longest_match: Duration,
    engaged: HashMap<ClientId, Engagements>,
    promises: HashMap<FormationId, Promise>,
    matches: HashMap<MatchId, Known>,
}

impl Players {
    /// No player is in a match yet. No match takes longer than `longest_match`.
    pub fn new(longest_match: Duration) -> Self {
        Self {
            longest_match,
            engaged: HashMap::new(),
            promises: HashMap::new(),
            matches: HashMap::new(),
        }
    }

    /// The match that a player is in; of several, the latest.
    pub fn match_of(&self, client: &ClientId) -> Option<&MatchId> {
        self.engaged.get(client)?.playing.last()
    }

    /// Whether a player is in this match.
    pub fn plays(&self, client: &ClientId, id: &MatchId) -> bool {
        self.engaged
            .get(client)
            .is_some_and(|places| places.playing.contains(id))
    }

    /// Those of these players that are not free for `formation`.
    pub fn busy(&self, now: Duration, formation: &FormationId, clients: &[ClientId]) -> Vec<Busy> {
        let holds = |other: &FormationId| {
            let until = self.promises.get(other).map(|promise| promise.until);
            other != formation && until.is_some_and(|until| until > now)
        };
        let busy = |client: &ClientId| {
            let places = self.engaged.get(client)?;
            let playing = !places.playing.is_empty();
            (playing || places.promised.iter().any(holds)).then(|| Busy {
                client: client.clone(),
                playing,
            })
        };
        clients.iter().filter_map(busy).collect()
    }

    /// Promises players to a formation, in addition to earlier promises.
    pub fn promise(&mut self, now: Duration, formation: &FormationId, clients: &[ClientId]) {
        self.release(formation);
        for client in clients {
            let places = self.engaged.entry(client.clone()).or_default();
            places.promised.push(formation.clone());
        }
        let promise = Promise {
            clients: clients.to_vec(),
            until: now + PROMISE,
        };
        self.promises.insert(formation.clone(), promise);
    }

    /// A formation was given up.
    pub fn release(&mut self, formation: &FormationId) {
        let promise = self.promises.remove(formation);
        for client in promise.into_iter().flat_map(|promise| promise.clients) {
            self.forget(&client, |places| places.promised.retain(|held| held != formation));
        }
    }

    /// A formation became a match.
    pub fn play(&mut self, now: Duration, formation: &FormationId, id: &MatchId, players: &[Player]) {
        self.release(formation);
        let until = now + self.longest_match + OVERDUE;
        if let Some(known) = self.matches.get_mut(id) {
            // The match is known already: players who left since do not come back.
            known.until = until;
            return;
        }
        for player in players {
            let places = self.engaged.entry(player.client.clone()).or_default();
            places.playing.push(id.clone());
        }
        let known = Known {
            players: players.to_vec(),
            until,
        };
        self.matches.insert(id.clone(), known);
    }

    /// A player left a match.
    pub fn leave(&mut self, client: &ClientId, id: &MatchId) {
        self.forget(client, |places| places.playing.retain(|other| other != id));
        if let Some(known) = self.matches.get_mut(id) {
            known.players.retain(|player| player.client != *client);
        }
    }

    /// A player's connection to `server` has ended. Returns the matches that it left.
    pub fn closed(&mut self, client: &ClientId, server: &ServerName) -> Vec<MatchId> {
        let connected = |id: &MatchId| {
            let known = self.matches.get(id);
            known.is_some_and(|known| {
                let mut players = known.players.iter();
                players.any(|player| player.client == *client && player.server == *server)
            })
        };
        let playing = self.engaged.get(client).into_iter().flat_map(|places| &places.playing);
        let left: Vec<MatchId> = playing.filter(|id| connected(id)).cloned().collect();
        left.iter().for_each(|id| self.leave(client, id));
        left
    }

    /// All players in a match that are connected to `server`.
    pub fn on_server(&self, server: &ServerName) -> Vec<ClientId> {
        let players = self.matches.values().flat_map(|known| &known.players);
        players
            .filter(|player| player.server == *server)
            .map(|player| player.client.clone())
            .collect()
    }

    /// A match ended. Returns the players that were still in it.
    pub fn ended(&mut self, id: &MatchId) -> Vec<ClientId> {
        let players = self.matches.remove(id).map(|known| known.players).unwrap_or_default();
        let clients: Vec<ClientId> = players.into_iter().map(|player| player.client).collect();
        for client in &clients {
            self.forget(client, |places| places.playing.retain(|other| other != id));
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

    /// Drops promises that were not renewed and matches that must have ended.
    pub fn expire(&mut self, now: Duration) {
        let ended = self.matches.iter().filter(|(_, known)| known.until <= now);
        let ended: Vec<MatchId> = ended.map(|(id, _)| id.clone()).collect();
        ended.iter().for_each(|id| drop(self.ended(id)));
        let broken = self.promises.iter().filter(|(_, promise)| promise.until <= now);
        let broken: Vec<FormationId> = broken.map(|(formation, _)| formation.clone()).collect();
        broken.iter().for_each(|formation| self.release(formation));
    }

    /// How many players are in a match or promised to one.
    pub fn len(&self) -> usize {
        self.engaged.len()
    }

    /// Whether no player is in a match or promised to one.
    pub fn is_empty(&self) -> bool {
        self.engaged.is_empty()
    }

    fn forget(&mut self, client: &ClientId, what: impl FnOnce(&mut Engagements)) {
        if let Some(places) = self.engaged.get_mut(client) {
            what(places);
            if places.promised.is_empty() && places.playing.is_empty() {
                self.engaged.remove(client);
            }
        }
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
    fn a_promise_that_is_not_renewed_and_a_match_that_never_ends_are_dropped() {
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
            []
        );
        assert_eq!(
            players.closed(&client("ann"), &ServerName::new("ws-1").expect("valid")),
            std::slice::from_ref(&id)
        );
        assert_eq!(players.ended(&id), [client("bob")]);
        assert!(players.is_empty());
    }

    #[test]
    fn late_news_of_a_withdrawn_match_does_not_free_the_players_of_the_next_one() {
        let mut players = Players::new(Duration::from_secs(60));
        let (withdrawn, running) = (MatchId::new(Instance(2), 1), MatchId::new(Instance(1), 2));
        players.play(NOW, &formation(2), &running, &[player("ann")]);
        players.play(NOW, &formation(1), &withdrawn, &[player("ann")]);
        players.ended(&withdrawn);
        let busy = players.busy(NOW, &formation(3), &[client("ann")]);
        assert!(busy.iter().any(|busy| busy.playing), "{busy:?}");
        assert_eq!(players.match_of(&client("ann")), Some(&running));
        players.ended(&running);
        assert!(players.is_empty());
    }

    #[test]
    fn a_promise_outlives_others_and_old_matches_of_the_same_player() {
        let mut players = Players::new(Duration::from_secs(60));
        let old = MatchId::new(Instance(2), 1);
        players.promise(NOW, &formation(1), &[client("ann")]);
        players.promise(NOW, &formation(2), &[client("ann")]);
        players.release(&formation(2));
        players.play(NOW, &formation(3), &old, &[player("ann")]);
        players.ended(&old);
        assert_eq!(players.busy(NOW, &formation(4), &[client("ann")]).len(), 1);
        players.release(&formation(1));
        assert!(players.is_empty());
    }
}
