//! One running match: its players, what they send, its ticks and its end. The game's rules are the [`Game`]'s.
//!
//! No I/O and no clock: whoever runs a match calls [`Match::tick`] at the right times and sends what comes out.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use wsmesh_adapter::{ClientId, Instance};

use super::game::{Game, Progress, Seat, Setup};

/// A match's id. It names the process that runs the match, so that any server can find it in the roster.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MatchId(String);

impl MatchId {
    /// The `number`th match of a process.
    pub fn new(host: Instance, number: u64) -> Self {
        Self(format!("{:x}-{number:x}", host.0))
    }

    /// The process that runs the match; `None` when the text (from a client) is no match id.
    pub fn host(&self) -> Option<Instance> {
        let (host, _) = self.0.split_once('-')?;
        u64::from_str_radix(host, 16).ok().map(Instance)
    }

    /// The id as text: the id of the match's room.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a match ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndReason {
    /// The rules of the game said so.
    Finished,
    /// It took as long as a match may.
    TimeLimit,
    /// Too few players were left.
    PlayersLeft,
    /// The server that ran it was stopped.
    ServerRestart,
    /// The server that ran it vanished.
    ServerLost,
    /// It should not have been started: the server that asked for it took its players back.
    Withdrawn,
    /// The game failed.
    InternalError,
}

/// What everyone in the room gets with `matchState`.
#[derive(Debug, Serialize)]
pub struct StateFrame<'a, S> {
    /// Which match.
    #[serde(rename = "match")]
    pub id: &'a MatchId,
    /// How many ticks have passed.
    pub tick: u64,
    /// What the game shows.
    pub state: S,
}

/// What everyone in the room gets with `matchEnd`.
#[derive(Debug, Serialize)]
pub struct EndFrame<'a, R> {
    /// Which match.
    #[serde(rename = "match")]
    pub id: &'a MatchId,
    /// Why it ended.
    pub reason: EndReason,
    /// How it ended; `null` when nobody can tell any more.
    pub result: Option<R>,
}

/// Why an input was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// The sender is not one of the players, or not any more.
    #[error("you are not a player of this match")]
    NotAPlayer,
    /// The input does not have the shape that the game reads, or makes no sense.
    #[error("{0}")]
    Bad(String),
}

/// One running match.
#[derive(Debug)]
pub struct Match<G> {
    id: MatchId,
    players: Vec<ClientId>,
    present: Vec<bool>,
    game: G,
    tick: u64,
    longest: u64,
}

impl<G: Game> Match<G> {
    /// Starts a match of at most `longest` ticks.
    pub fn new(id: MatchId, setup: &Setup, longest: u64) -> Self {
        let players = setup.players.clone();
        Self {
            id,
            present: vec![true; players.len()],
            players,
            game: G::start(setup),
            tick: 0,
            longest,
        }
    }

    /// What a player sends.
    ///
    /// # Errors
    /// When the sender does not play here, or the game does not understand it.
    pub fn input(&mut self, client: &ClientId, input: Map<String, Value>) -> Result<(), InputError> {
        let seat = self.seat(client).ok_or(InputError::NotAPlayer)?;
        let input = serde_json::from_value(Value::Object(input)).map_err(|error| InputError::Bad(error.to_string()))?;
        self.game.input(seat, input).map_err(InputError::Bad)
    }

    /// A player leaves; `false` when it was not, or no longer, a player.
    pub fn leave(&mut self, client: &ClientId) -> bool {
        let Some(seat) = self.seat(client) else { return false };
        self.present[seat] = false;
        self.game.leave(seat);
        true
    }

    /// Whether the match can go on with the players that are left: one alone plays only where one was enough to start.
    pub fn is_deserted(&self) -> bool {
        let present = self.present.iter().filter(|&&present| present).count();
        present < self.players.len().min(2)
    }

    /// One step of time. Says why the match is over, if it is.
    pub fn tick(&mut self) -> Option<EndReason> {
        if self.is_deserted() {
            return Some(EndReason::PlayersLeft);
        }
        self.tick += 1;
        match self.game.tick() {
            Progress::Over => Some(EndReason::Finished),
            Progress::Running => (self.tick >= self.longest).then_some(EndReason::TimeLimit),
        }
    }

    /// What everyone sees now.
    pub fn state(&self) -> StateFrame<'_, G::State> {
        StateFrame {
            id: &self.id,
            tick: self.tick,
            state: self.game.state(),
        }
    }

    /// The last word on the match.
    pub fn end(&self, reason: EndReason) -> EndFrame<'_, G::Result> {
        EndFrame {
            id: &self.id,
            reason,
            result: Some(self.game.result()),
        }
    }

    fn seat(&self, client: &ClientId) -> Option<Seat> {
        self.players
            .iter()
            .position(|player| player == client)
            .filter(|&seat| self.present[seat])
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::rules::collect::Collect;

    fn client(name: &str) -> ClientId {
        ClientId::new(name).expect("valid")
    }

    fn game(players: &[&str], longest: u64) -> Match<Collect> {
        let setup = Setup {
            players: players.iter().map(|name| client(name)).collect(),
            seed: 1,
            tick: Duration::from_millis(50),
            mode: "duel".into(),
        };
        Match::new(MatchId::new(Instance(0xabc), 7), &setup, longest)
    }

    fn input(value: Value) -> Map<String, Value> {
        value.as_object().expect("an object").clone()
    }

    #[test]
    fn an_id_names_the_process_that_runs_the_match_and_nonsense_names_none() {
        let id = MatchId::new(Instance(u64::MAX >> 1), u64::MAX);
        assert_eq!(id.host(), Some(Instance(u64::MAX >> 1)));
        assert!(id.as_str().len() <= wsmesh_adapter::MAX_NAME_BYTES);
        assert_eq!(MatchId("".into()).host(), None);
        assert_eq!(MatchId("zz-1".into()).host(), None);
    }

    #[test]
    fn a_match_ends_at_the_time_limit() {
        let mut game = game(&["ann", "bob"], 3);
        assert_eq!(
            [game.tick(), game.tick(), game.tick()],
            [None, None, Some(EndReason::TimeLimit)]
        );
    }

    #[test]
    fn a_match_ends_when_one_player_is_left_and_says_who_won() {
        let mut game = game(&["ann", "bob"], 100);
        assert!(game.leave(&client("ann")));
        assert!(!game.leave(&client("ann")), "only once");
        assert_eq!(game.tick(), Some(EndReason::PlayersLeft));
        let end = serde_json::to_value(game.end(EndReason::PlayersLeft)).expect("JSON");
        assert_eq!(end["reason"], "players-left");
        assert_eq!(end["result"]["winner"], "bob");
    }

    #[test]
    fn inputs_from_strangers_from_those_who_left_and_of_a_wrong_shape_are_refused() {
        let mut game = game(&["ann", "bob", "cid"], 100);
        let good = || input(json!({"direction": {"x": 1, "y": 0}}));
        assert_eq!(game.input(&client("ann"), good()), Ok(()));
        assert_eq!(game.input(&client("eve"), good()), Err(InputError::NotAPlayer));
        assert!(matches!(
            game.input(&client("ann"), input(json!({"direction": 5}))),
            Err(InputError::Bad(_))
        ));
        game.leave(&client("ann"));
        assert_eq!(game.input(&client("ann"), good()), Err(InputError::NotAPlayer));
    }
}
