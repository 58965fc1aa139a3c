//! Runs clients against a cluster until it is told to stop, and prints what they saw as one line of JSON.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use wsmesh_cluster::{Options, run};

#[tokio::main]
async fn main() -> ExitCode {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let outcome = supervised(Options::parse()).await;
    outcome.unwrap_or_else(|error| {
        let _ = writeln!(io::stderr(), "wsmesh-cluster: {error:#}");
        ExitCode::FAILURE
    })
}

/// The first signal ends the load, and what is under way still counts; a second one ends the program.
async fn supervised(options: Options) -> anyhow::Result<ExitCode> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stop = CancellationToken::new();
    let running = run(options, stop.clone());
    tokio::pin!(running);
    tokio::select! {
        outcome = &mut running => return outcome,
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    stop.cancel();
    tokio::select! {
        outcome = running => outcome,
        _ = interrupt.recv() => anyhow::bail!("interrupted"),
        _ = terminate.recv() => anyhow::bail!("interrupted"),
    }
}
