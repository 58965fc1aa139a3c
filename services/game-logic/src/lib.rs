//! Matchmaking and a demo game, authoritative, spread over several servers.

pub mod rules;
