//! Puts load on servers that speak the client protocol, and measures them.
//!
//! An instrument must cost less than what it measures, or it measures itself. A good server spends well below a
//! microsecond on a delivery, so this tool may not spend one: each thread owns its sockets and reads them into one large
//! buffer, frames are read in place (servers do not mask), and the sender, number and time of a message
//! are found by byte search. Nothing is parsed as JSON on the hot path, no task is woken, nothing is allocated. A general
//! WebSocket library over an async runtime costs several times as much per frame; this is why there is none here. Every
//! report contains what the tool used itself.
//!
//! `options` is the command line, `modes` runs one mode, `run` directs its threads, `duty` is what a thread does with its
//! connections, `net` holds sockets, `wire` knows bytes, `measure` counts; `bench` starts servers and compares them.

pub mod bench;
pub mod duty;
pub mod measure;
pub mod modes;
pub mod net;
pub mod options;
pub mod report;
pub mod run;
pub mod start;
pub mod wire;
