//! Handlers of the program that a ws-node is part of: for clients' events, and for what happens to connections.

#[path = "../common/mod.rs"]
mod common;

mod chat;
mod events;
mod happenings;
mod order;
mod support;
