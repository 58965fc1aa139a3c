//! One running match: its players, their inputs, its ticks and its end. The rules are those of the [`Game`].
//!
//! No I/O and no clock: the shell calls [`Match::tick`] at the right times and sends the results.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use wsmesh_adapter::{ClientId, Instance};

use super::game::{Game, Progress, Seat, Setup};

/// A match's id. It contains the process that runs the match, so any server can find that process in the roster.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MatchId(String);

impl MatchId {
    /// The `number`th match of a process.
    pub fn new(host: Instance, number: u64) -> Self {
        Self(format!("{:x}-{number:x}", host.0))
    }

    /// The process that runs the match; `None` if the text, which comes from a client, is not a match id.
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
    /// It took as long as a match may take.
    TimeLimit,
    /// Too few players were left.
    PlayersLeft,
    /// The server that ran it stopped.
    ServerRestart,
    /// The server that ran it was lost.
    ServerLost,
    /// It should not have started: the server that asked for it has taken its players back.
    Withdrawn,
    /// The game failed.
    InternalError,
}

impl EndReason {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::Finished,
        Self::TimeLimit,
        Self::PlayersLeft,
        Self::ServerRestart,
        Self::ServerLost,
        Self::Withdrawn,
        Self::InternalError,
    ];

    /// As it is sent to the players.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::TimeLimit => "time-limit",
            Self::PlayersLeft => "players-left",
            Self::ServerRestart => "server-restart",
            Self::ServerLost => "server-lost",
            Self::Withdrawn => "withdrawn",
            Self::InternalError => "internal-error",
        }
    }
}

/// Sent to everyone in the room with `matchState`.
#[derive(Debug, Serialize)]
pub struct StateFrame<'a, S> {
    /// The match.
    #[serde(rename = "match")]
    pub id: &'a MatchId,
    /// How many ticks have passed.
    pub tick: u64,
    /// What the game shows.
    pub state: S,
}

/// Sent to everyone in the room with `matchEnd`.
#[derive(Debug, Serialize)]
pub struct EndFrame<'a, R> {
    /// The match.
    #[serde(rename = "match")]
    pub id: &'a MatchId,
    /// Why it ended.
    pub reason: EndReason,
    /// How it ended; `null` if that is lost.
    pub result: Option<R>,
}

/// Why an input was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// The sender is not, or no longer, one of the players.
    #[error("you are not a player of this match")]
    NotAPlayer,
    /// The input does not have the shape that the game expects, or makes no sense.
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

    /// An input of a player.
    ///
    /// # Errors
    /// If the sender does not play here, or the game does not accept the input.
    pub fn input(&mut self, client: &ClientId, input: Map<String, Value>) -> Result<(), InputError> {
        let seat = self.seat(client).ok_or(InputError::NotAPlayer)?;
        let input = serde_json::from_value(Value::Object(input)).map_err(|error| InputError::Bad(error.to_string()))?;
        self.game.input(seat, input).map_err(InputError::Bad)
    }

    /// A player leaves; `false` if it was not, or no longer, one of the players.
    pub fn leave(&mut self, client: &ClientId) -> bool {
        let Some(seat) = self.seat(client) else { return false };
        self.present[seat] = false;
        self.game.leave(seat);
        true
    }

    /// Whether too few players are left: fewer than two, or than the match started with.
    pub fn is_deserted(&self) -> bool {
        let present = self.present.iter().filter(|&&present| present).count();
        present < self.players.len().min(2)
    }

    /// One step of time. Returns why the match is over, if it is.
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

    /// What everyone sees at this moment.
    pub fn state(&self) -> StateFrame<'_, G::State> {
        StateFrame {
            id: &self.id,
            tick: self.tick,
            state: self.game.state(),
        }
    }

    /// The last frame of the match.
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
    fn an_id_contains_the_process_that_runs_the_match_and_other_texts_do_not() {
        let id = MatchId::new(Instance(u64::MAX >> 1), u64::MAX);
        assert_eq!(id.host(), Some(Instance(u64::MAX >> 1)));
        assert!(id.as_str().len() <= wsmesh_adapter::MAX_NAME_BYTES);
        assert_eq!(MatchId("".into()).host(), None);
        assert_eq!(MatchId("zz-1".into()).host(), None);
    }

    #[test]
    fn a_reason_is_counted_under_the_name_that_players_are_sent() {
        for reason in EndReason::ALL {
            assert_eq!(serde_json::to_value(reason).expect("JSON"), reason.as_str());
        }
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
    fn inputs_of_strangers_of_players_who_left_and_of_a_wrong_shape_are_rejected() {
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
