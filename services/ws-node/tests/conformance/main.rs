//! RFC 6455 and RFC 7692 with raw sockets against the engine, as in the example `echo`: the groups of Autobahn's suite.
//!
//! Each case is written in one piece and octet by octet. A case ends with a close of the client, so that the whole output of
//! the server is compared.

mod closing;
mod compression;
mod control;
mod fragments;
mod framing;
mod limits;
mod peer;
mod utf8;
