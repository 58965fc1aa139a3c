//! The Redis nodes of a stage, started without blocking the thread on which the links run.

use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::time::sleep;
use wsmesh_test_support::ports::free_port;
use wsmesh_test_support::redis::{Redis, START_TIMEOUT};

/// Starts a Redis on a free port with these arguments, and waits until it answers.
///
/// # Errors
/// When redis-server is not installed or does not start.
pub(super) async fn start(arguments: &[&str]) -> anyhow::Result<Redis> {
    let redis = Redis::launch(free_port()?, arguments)?;
    until_it_answers(&redis).await?;
    Ok(redis)
}

/// Starts a Redis again on its port, and waits until it answers.
///
/// # Errors
/// As [`start`].
pub(super) async fn restart(redis: &mut Redis) -> anyhow::Result<()> {
    redis.relaunch()?;
    until_it_answers(redis).await
}

async fn until_it_answers(redis: &Redis) -> anyhow::Result<()> {
    let start = Instant::now();
    while !redis.answers() {
        let in_time = start.elapsed() < START_TIMEOUT;
        ensure!(in_time, "redis-server does not answer on port {}", redis.port);
        sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// The number of clients that a Redis disconnected because they read too slowly, according to its log.
///
/// # Errors
/// When the log cannot be read.
pub(super) fn cut_off_by(redis: &Redis) -> anyhow::Result<usize> {
    let log = redis.log()?;
    Ok(log.lines().filter(|line| line.contains("output buffer limits")).count())
}
