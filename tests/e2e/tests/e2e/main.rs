//! The whole bundle, end to end: separate processes, real Redis, real sockets.

mod backends;
mod bad_input;
mod chart;
mod cluster;
mod context;
mod games;
mod logins;
mod nodes;
mod once;
mod publishing;
mod sdk;
mod secrets;
mod start;
mod traces;
mod watches;
