//! The client SDK against a scripted server, over real sockets.

mod closing;
mod keeping;
mod lasting;
mod otel;
mod recorded;
mod support;
mod table;
mod talking;
mod tokens;
mod traces;
