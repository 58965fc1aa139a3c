//! The interface of a game: implement [`Game`] to play another one. Nothing else in this service has to change.
//!
//! A game is a plain value. It gets the inputs of the players and the passing of time, in fixed steps. It says what the players
//! see and when it is over. It does no I/O and reads no clock, so the same seed and the same inputs at the same ticks give the
//! same match.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use wsmesh_adapter::ClientId;

/// A player's index in [`Setup::players`].
pub type Seat = usize;

/// What a match begins with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The players, in the order of their seats; never empty.
    pub players: Vec<ClientId>,
    /// The seed of all random numbers of the match.
    pub seed: u64,
    /// The time that passes with one [`Game::tick`].
    pub tick: Duration,
    /// The mode that is played.
    pub mode: String,
}

/// Whether a match goes on after a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It goes on.
    Running,
    /// It is over; [`Game::result`] says how it ended.
    Over,
}

/// The rules of a game.
pub trait Game: Send + Sized + 'static {
    /// What a player sends with `matchInput`, in addition to `match`.
    type Input: DeserializeOwned + Send;
    /// What is shown to everyone in the match.
    type State: Serialize + Send;
    /// How the match stands, and in the end how it ended.
    type Result: Serialize + Send;

    /// A new match.
    fn start(setup: &Setup) -> Self;

    /// An input of a player, valid from now on. Called between ticks, in order of arrival.
    ///
    /// # Errors
    /// If the input makes no sense. The text is sent to the player, and the game does not change.
    fn input(&mut self, seat: Seat, input: Self::Input) -> Result<(), String>;

    /// A player has left and does not come back.
    fn leave(&mut self, seat: Seat);

    /// One step of time passes.
    fn tick(&mut self) -> Progress;

    /// What everyone sees at this moment.
    fn state(&self) -> Self::State;

    /// How the match stands now.
    fn result(&self) -> Self::Result;
}
