//! The whole bundle, end to end: separate processes, real Redis, real sockets.

mod bad_input;
mod chart;
mod cluster;
mod games;
mod logins;
mod nodes;
mod once;
mod sdk;
mod start;
