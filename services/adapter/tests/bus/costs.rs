//! What being asked for statistics costs a server. A measurement, not a check: other work on the machine is part of what it sees.

use std::time::Duration;

use wsmesh_adapter::{Bus, MemoryBus};

use crate::support::*;

/// Idle servers.
const SERVERS: usize = 24;
/// How long each half is measured; the CPU time of a process is told in steps of 10 ms.
const MEASURED: Duration = Duration::from_secs(20);

/// The CPU time that this process has used: user and system, from `/proc/self/stat`.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let (_, fields) = stat.rsplit_once(')').expect("the name of the process");
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.map(|field| field.parse::<u64>().expect("a number")).sum();
    Duration::from_millis(10 * ticks)
}

/// The CPU time per second of everything here, with `asks` questions to all servers each second.
async fn per_second(asker: &Server, asks: u32) -> Duration {
    let (before, mut every) = (cpu(), tokio::time::interval(Duration::from_secs(1)));
    for _ in 0..MEASURED.as_secs() {
        every.tick().await;
        for _ in 0..asks {
            let gathered = asker.adapter.cluster_stats_within(Duration::from_millis(800)).await;
            assert!(gathered.complete, "{:?}", gathered.missing);
        }
    }
    every.tick().await;
    (cpu() - before) / MEASURED.as_secs() as u32
}

/// `cargo test --release -p wsmesh-adapter --test bus -- --ignored --nocapture costs`
#[tokio::test]
#[ignore = "a measurement of 40 s"]
async fn statistics_once_a_second_cost_each_of_24_idle_servers_less_than_a_millisecond() {
    let bus = Bus::Memory(MemoryBus::new(["redis-0", "redis-1", "redis-2"]).expect("good ids"));
    let mut servers = Vec::new();
    for number in 0..=SERVERS {
        servers.push(Server::ready(options(&format!("s{number}"), "ws-node", bus.clone())).await);
    }
    acquainted(&servers.iter().collect::<Vec<_>>()).await;
    let (idle, asked) = (per_second(&servers[0], 0).await, per_second(&servers[0], 1).await);
    let each = asked.saturating_sub(idle) / SERVERS as u32;
    eprintln!("idle {idle:?}/s, asked {asked:?}/s: {each:?}/s for each server, the asker's part included");
    assert!(
        cfg!(debug_assertions) || each < Duration::from_millis(1),
        "{each:?} a second for each server"
    );
}
