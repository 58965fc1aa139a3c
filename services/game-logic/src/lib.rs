//! Matchmaking and a demo game, authoritative, spread over several servers.
//!
//! `rules` is pure: queues, matches, the game, who owns what. `shell` connects the rules to the bus. To play another game,
//! implement [`rules::game::Game`] and start it with [`run_game`].

mod config;
pub mod metrics;
pub mod rules;
mod service;
mod settings;
mod shell;

pub use config::Config;
pub use service::{Service, run, run_game};
pub use settings::{Modes, Settings};
pub use shell::GameLogic;
