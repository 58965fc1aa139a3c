//! Random schedules of faults on the embedded bus, in paused time: whatever happens to nodes, links, servers and the
//! topology, every message that the promise covers arrives, once.
//!
//! `WSMESH_SCHEDULES=5000 cargo test --release -p wsmesh-adapter --test schedules` runs more; `WSMESH_SEED=7` runs one.

mod faults;
mod load;
mod server;
mod verdict;

use std::time::Duration;

use wsmesh_adapter::MemoryBus;

use crate::faults::Plan;
use crate::verdict::Verdict;

/// How many schedules run by default: about ten seconds' worth.
const SCHEDULES: u64 = 60;
/// Faults begin before this time; then everything is healed.
const END: Duration = Duration::from_secs(30);
/// The load continues for this long after that, and messages on their way get as long again to arrive.
const AFTER: Duration = Duration::from_secs(12);

#[expect(clippy::disallowed_methods, reason = "a test has no settings")]
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Runs one schedule in its own runtime, and returns the verdict and the faults.
fn run(seed: u64) -> (Verdict, String) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let plan = Plan::draw(seed);
        let bus = MemoryBus::new(plan.nodes.iter().map(String::as_str)).expect("valid ids");
        for node in &plan.nodes {
            bus.set_delay(node, faults::LATENCY);
        }
        let cluster = server::Cluster::start(&bus, &plan).await;
        let load = load::Load::new(&plan);
        let faults = faults::play(&plan, &bus, &cluster, END);
        tokio::join!(faults, load.run(&cluster, END + AFTER));
        tokio::time::sleep(Duration::from_secs(18)).await;
        let verdict = verdict::judge(&plan, &cluster, &load);
        cluster.stop().await;
        (verdict, format!("{:?}", plan.faults))
    })
}

#[expect(clippy::print_stdout, reason = "progress for long runs")]
fn run_all(seeds: impl Iterator<Item = u64>) {
    let seeds: Vec<u64> = seeds.collect();
    let threads = std::thread::available_parallelism().map_or(2, usize::from).min(8);
    let shares = (0..threads).map(|thread| seeds.iter().copied().skip(thread).step_by(threads));
    let (mut total, mut wrong) = (Verdict::default(), Vec::new());
    std::thread::scope(|scope| {
        let running: Vec<_> = shares
            .map(|share| scope.spawn(move || share.map(|seed| (seed, run(seed))).collect::<Vec<_>>()))
            .collect();
        for share in running {
            for (seed, (verdict, faults)) in share.join().expect("a schedule does not panic") {
                if !verdict.problems.is_empty() {
                    wrong.push(format!("WSMESH_SEED={seed}: {:?}\n    {faults}", verdict.problems));
                }
                total.add(&verdict);
            }
        }
    });
    println!(
        "{} schedules: {} messages, {} deliveries, {} not covered by the promise",
        seeds.len(),
        total.messages,
        total.delivered,
        total.excluded
    );
    assert!(
        total.delivered > seeds.len() as u64 * 100,
        "the load reached too few receivers"
    );
    assert!(
        wrong.is_empty(),
        "{} schedules failed:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn every_message_that_the_promise_covers_arrives_once_whatever_happens() {
    match number("WSMESH_SEED") {
        Some(seed) => {
            // RUST_LOG=wsmesh_adapter=debug shows what the servers did.
            let filter = tracing_subscriber::EnvFilter::from_default_env();
            tracing_subscriber::fmt()
                .with_env_filter(filter)
                .with_test_writer()
                .init();
            run_all(seed..seed + 1);
        }
        None => run_all(0..number("WSMESH_SCHEDULES").unwrap_or(SCHEDULES)),
    }
}
