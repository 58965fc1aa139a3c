//! What a game is: implement [`Game`] to play another one. Nothing else of this service has to change.
//!
//! A game is a plain value. It is told what players want and that time passes, in fixed steps; it says what the players
//! see and when it is over. It does no I/O and reads no clock, so that the same seed and the same inputs at the same
//! ticks give the same match.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use wsmesh_adapter::ClientId;

/// A player's place in one match: index into [`Setup::players`].
pub type Seat = usize;

/// What a match begins with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The players, in the order of their seats; never empty.
    pub players: Vec<ClientId>,
    /// Where all chance in the match comes from.
    pub seed: u64,
    /// How much time one [`Game::tick`] stands for.
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
    /// What a player sends with `matchInput`, beside `match`.
    type Input: DeserializeOwned + Send;
    /// What everyone in the match is shown.
    type State: Serialize + Send;
    /// How the match stands, and in the end how it ended.
    type Result: Serialize + Send;

    /// A new match.
    fn start(setup: &Setup) -> Self;

    /// What a player wants from now on. Called between ticks, in order of arrival.
    ///
    /// # Errors
    /// When the input makes no sense; the text is told to the player, and the game is as before.
    fn input(&mut self, seat: Seat, input: Self::Input) -> Result<(), String>;

    /// A player left and does not come back.
    fn leave(&mut self, seat: Seat);

    /// One step of time passes.
    fn tick(&mut self) -> Progress;

    /// What everyone sees now.
    fn state(&self) -> Self::State;

    /// How the match stands now.
    fn result(&self) -> Self::Result;
}
