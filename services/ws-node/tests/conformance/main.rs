//! RFC 6455 and RFC 7692 with raw sockets against the engine, as it is behind the example `echo`: the groups of Autobahn's suite.
//!
//! Each case is written in one piece and octet-wise. A case ends with a close of the client, so that all that the server
//! says is compared, and nothing beside it.

mod closing;
mod compression;
mod control;
mod fragments;
mod framing;
mod limits;
mod peer;
mod utf8;
