//! The rules of this service: who waits, who plays with whom, on which server, and the game itself.
//!
//! Everything here is a value that is told what happened and what time it is, and says what follows. No I/O, no clock,
//! no tasks: the shell does those.

pub mod collect;
pub mod game;
pub mod lobby;
pub mod matches;
pub mod matchmaking;
pub mod ownership;
pub mod players;
