//! The command line.

mod common;
mod modes;

use clap::{Parser, Subcommand};

pub use common::Common;
pub use modes::{ChurnOptions, Direct, Fanout, Idle, Messages, ReconnectOptions, Request, Slow};

use crate::bench::Bench;

const HELP: &str = "\
Examples:
  wsmesh-load fanout                                              1000 clients in one room of ws://127.0.0.1:9000/, as fast as possible
  wsmesh-load fanout --connections 1000 --rooms 100 --rate 2000   10 clients in each of 100 rooms, 2000 messages/s: latency
  wsmesh-load direct --url ws://127.0.0.1:9000 --url ws://127.0.0.1:9001   to clients on another server
  wsmesh-load request --event matchRequest --payload '{\"mode\":\"duel\"}' --window 1
  wsmesh-load idle --connections 50000 --source 127.0.0.2,127.0.0.3 --pid ws-node=4711
  wsmesh-load churn --churn-rate 500 --rate 1000                  500 clients come and go each second while messages flow
  wsmesh-load slow --slow 50 --outlast 20                         50 clients never read: how are they closed, do others notice?
  wsmesh-load reconnect --connections 5000 --jitter 2000          all are gone at once and come back
  wsmesh-load bench --peer 'other=PORT={port} node server.js'     the standard cases, measured in turn

Exit code 0 if all is well; 1 if messages were lost or doubled (unless --allow-loss), connections failed or ended, or requests
stayed unanswered; 64 if the options make no sense.";

/// Puts load on servers that speak the client protocol of wsmesh and websocket-cross-server-adapter, and measures them.
#[derive(Debug, Parser)]
#[command(name = "wsmesh-load", version, after_help = HELP)]
pub struct Options {
    /// What to do.
    #[command(subcommand)]
    pub mode: Mode,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Mode {
    /// Messages to rooms: deliveries per second, latency, what was lost, doubled or out of order.
    Fanout(Fanout),
    /// Messages from client to client, with several --url from server to server.
    Direct(Direct),
    /// Requests and their replies.
    Request(Request),
    /// Connections that do nothing: what does one cost?
    Idle(Idle),
    /// Fan-out while other clients come and go.
    Churn(ChurnOptions),
    /// Fan-out while some clients never read.
    Slow(Slow),
    /// All connections end at once and come back.
    Reconnect(ReconnectOptions),
    /// The standard cases: starts the server, and peers to compare with, measures them in turn and prints a table.
    Bench(Bench),
}
