//! One client for a first try: connects, sends one request if one is given, prints the reply, and ends.
//!
//! `cargo run -p wsmesh-connector --example ask -- 'ws://127.0.0.1:9000/?id=888' echo '{"n": 1}'`

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program prints")]

use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;
use wsmesh_connector::{Client, Connector, Lifecycle, Options};

/// Time limit for the connection: a server that was just started may need some seconds.
const PATIENCE: Duration = Duration::from_secs(15);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Err(error) = ask().await else {
        return ExitCode::SUCCESS;
    };
    eprintln!("ask: {error}");
    ExitCode::FAILURE
}

async fn ask() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments
        .next()
        .ok_or("usage: ask URL [EVENT [PAYLOAD]], where URL is ws://127.0.0.1:9000/?id=888 and PAYLOAD is JSON")?;
    let event = arguments.next();
    let payload = arguments.next().unwrap_or_else(|| "null".to_owned());
    let payload: Value =
        serde_json::from_str(&payload).map_err(|error| format!("the payload is not valid JSON: {error}"))?;
    let mut options = Options::new(url);
    options.fast_reconnect_interval = Duration::from_millis(500);
    let (client, task) = Connector::new(options)?;
    let task = tokio::spawn(task.run());
    let outcome = talk(&client, event.as_deref(), &payload).await;
    client.close().await;
    drop(client);
    task.await?;
    outcome
}

async fn talk(client: &Client, event: Option<&str>, payload: &Value) -> Result<(), Box<dyn std::error::Error>> {
    let (mut happened, mut why) = (client.lifecycle(), String::new());
    let opened = async {
        loop {
            tokio::select! {
                opened = client.opened() => return opened,
                Some(now) = happened.recv() => if let Lifecycle::Ended(error) = now { why = format!(" ({error})") },
            }
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, opened).await;
    in_time.map_err(|_| {
        format!("no connection within {PATIENCE:?}: is the server running, and does it listen there?{why}")
    })??;
    // The URL is not printed: it may contain a token.
    println!("connected");
    if let Some(event) = event {
        println!("{}", client.request(event, payload).await?);
    }
    Ok(())
}
