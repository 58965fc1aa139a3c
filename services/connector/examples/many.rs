//! Many clients in one process: connects them, sends a request on each, and prints the memory per client.
//!
//! `cargo run -p wsmesh-connector --example many -- ws://127.0.0.1:9000/ 1000`; the server must know the event `echo`
//! (a ws-node with the demo profile does).

#![expect(clippy::print_stdout, reason = "a command line program prints")]

use std::future::IntoFuture;
use std::time::Instant;

use serde_json::json;
use wsmesh_connector::{Connector, Options};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("the first argument must be a URL")?;
    let count: u32 = arguments.next().map_or(Ok(1000), |count| count.parse())?;
    let (memory, start) = (resident_kib(), Instant::now());
    let (mut clients, mut tasks) = (Vec::new(), Vec::new());
    for n in 0..count {
        let (client, task) = Connector::new(Options::new(&url).param("id", format!("many-{n}")))?;
        tasks.push(tokio::spawn(task.run()));
        client.opened().await?;
        clients.push(client);
    }
    println!("{count} clients open in {} ms", start.elapsed().as_millis());
    let start = Instant::now();
    let asked = clients
        .iter()
        .map(|client| tokio::spawn(client.request("echo", &json!({})).into_future()));
    for reply in asked.collect::<Vec<_>>() {
        reply.await??;
    }
    println!("{count} replies in {} ms", start.elapsed().as_millis());
    if let (Some(before), Some(after)) = (memory, resident_kib()) {
        println!("{} KiB per client", (after - before) / u64::from(count.max(1)));
    }
    for client in clients {
        client.close().await;
    }
    for task in tasks {
        task.await?;
    }
    Ok(())
}

/// Memory of this process, where the system reports it.
fn resident_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
