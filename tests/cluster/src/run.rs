//! Plays one run: connects everyone, says so, lets them send until it is told to stop, waits for what is under way, and judges.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::client::{Runner, Shared};
use crate::judge::{Tally, judge};
use crate::options::Options;
use crate::player;
use crate::record::{Clock, Diary};
use crate::report::Report;
use crate::speech::Speech;

/// How often it looks whether something has happened that nobody tells.
const LOOK: Duration = Duration::from_millis(200);
/// The least time to wait for what may come twice.
const TWICE: Duration = Duration::from_secs(3);
/// Longest time for the goodbyes of clients.
const GOODBYE: Duration = Duration::from_secs(5);

/// Runs until `stop` is cancelled. The exit code is 1 if something went wrong that the cluster promises, or the run says nothing.
///
/// # Errors
/// When not all clients could connect, or nothing can be printed.
pub async fn run(options: Options, stop: CancellationToken) -> anyhow::Result<ExitCode> {
    let speech = Speech::new(options.jwt_key_file.as_deref())?;
    let shared = Arc::new(Shared {
        speech,
        clock: Clock::start(),
        stop: stop.clone(),
        options,
    });
    let (mut living, mut sending) = (JoinSet::new(), JoinSet::new());
    let runners = (0..shared.options.clients).map(|number| Runner::start(&shared, number, &mut living, &mut sending));
    let runners: Vec<Arc<Runner>> = runners.collect::<anyhow::Result<_>>()?;
    let plays = match shared.options.players {
        0 => None,
        _ => Some(player::start(&shared, &mut living)?),
    };
    connected(&runners, &shared.options, &stop).await?;
    writeln!(io::stdout(), "ready")?;
    let started = Instant::now();
    let seconds = shared.options.seconds.map_or(Duration::MAX, Duration::from_secs);
    let _ = timeout(seconds, stop.cancelled()).await;
    stop.cancel();
    let loaded = started.elapsed().as_secs_f64();
    while sending.join_next().await.is_some() {}
    let (diaries, tally) = settled(&runners, shared.options.settle()).await;
    let plays = plays.map(|plays| plays.lock().clone());
    let report = Report::new(&diaries, &tally, plays, loaded, shared.options.rate);
    let faults = report.faults();
    for example in tally.examples.iter().chain(&faults) {
        writeln!(io::stderr(), "{example}")?;
    }
    writeln!(io::stdout(), "{}", serde_json::to_string(&report)?)?;
    let goodbyes = runners.iter().map(|runner| {
        let runner = Arc::clone(runner);
        async move { runner.close().await }
    });
    let mut leaving: JoinSet<()> = goodbyes.collect();
    let _ = timeout(GOODBYE, async { while leaving.join_next().await.is_some() {} }).await;
    living.shutdown().await;
    Ok(if faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Waits until all clients are connected and in their rooms.
async fn connected(runners: &[Arc<Runner>], options: &Options, stop: &CancellationToken) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(options.ready_within);
    loop {
        let there = runners.iter().filter(|runner| runner.book.is_present()).count();
        if there == runners.len() {
            return Ok(());
        }
        let why = "is the address right, do the profile and the key fit, is the cluster ready?";
        ensure!(
            Instant::now() < deadline,
            "only {there} of {} clients connected within {} s: {why}",
            runners.len(),
            options.ready_within
        );
        ensure!(!stop.is_cancelled(), "stopped before all clients were connected");
        sleep(LOOK).await;
    }
}

/// Waits until everything that is due has come and everyone is back, for the time to settle at most.
async fn settled(runners: &[Arc<Runner>], settle: Duration) -> (Vec<Diary>, Tally) {
    let (least, deadline) = (Instant::now() + TWICE, Instant::now() + settle);
    loop {
        let diaries: Vec<Diary> = runners
            .iter()
            .map(|runner| runner.book.write(|diary| diary.clone()))
            .collect();
        let everyone_is_back = runners.iter().all(|runner| runner.book.is_present());
        let tally = judge(&diaries, settle.as_micros() as u64);
        let now = Instant::now();
        if (tally.is_complete() && everyone_is_back && now >= least) || now >= deadline {
            return (diaries, tally);
        }
        sleep(Duration::from_secs(1)).await;
    }
}
