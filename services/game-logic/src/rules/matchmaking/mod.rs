//! Matchmaking: players wait in the queue of a mode until there are enough players of similar rating.
//!
//! The range of ratings that a player accepts widens while it waits. Parties stay together. A queue is bounded. No I/O
//! and no clock: the time is passed to every call.

mod departures;
mod form;
mod queue;
#[cfg(test)]
mod tests;
mod ticket;

pub use form::Widening;
pub use queue::{Adopted, Mode, Queue, QueueFull};
pub use ticket::{Connection, HandedConnection, HandedTicket, Party, Ticket};
