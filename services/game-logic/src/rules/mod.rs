//! The rules of this service: which players wait, who plays with whom and on which server, and the game itself.
//!
//! Everything here is a value: it is told what happened and what time it is, and returns what follows. No I/O, no clock and no
//! tasks: those are in the shell.

pub mod collect;
pub mod game;
pub mod lobby;
pub mod matches;
pub mod matchmaking;
pub mod ownership;
pub mod players;
