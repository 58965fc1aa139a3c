//! Clients that stay connected to a cluster through its Service whatever is done to it. They send numbered messages to rooms and to
//! each other, come back when they are sent away, and write down what they sent, what arrived, and when they were connected. The
//! judge counts from that what was lost, doubled, and how often and how fast clients were closed.
//!
//! `options` is the command line, `run` plays it, `client` is one client, `speech` the words that it uses, `player` one that plays
//! matches, `record` what is written down, `judge` counts and knows only records, `closes` the closes, `report` what is printed.

mod client;
mod closes;
mod judge;
mod options;
mod player;
mod record;
mod report;
mod run;
mod speech;

pub use options::Options;
pub use run::run;
