//! Authentication: who may connect, as which client, until when and for what; with real sockets, keys made by openssl, and a
//! JWKS server that misbehaves.

#[path = "../common/mod.rs"]
mod common;
mod door;
mod signer;

mod first_message;
mod jwks;
mod origins;
mod permissions;
mod publishing;
mod refresh;
mod rotation;
mod tickets;
mod tokens;
