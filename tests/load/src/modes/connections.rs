//! Modes without messages: connections that stay, and connections that reconnect.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::ensure;

use super::connecting;
use crate::duty::reconnect::{Reconnect, Returning, Returns};
use crate::duty::stay::Stay;
use crate::net::Identity;
use crate::options::{Idle, ReconnectOptions};
use crate::report::{ReconnectReport, Report};
use crate::run::{Setup, Stage};

/// Connections that do nothing.
///
/// # Errors
/// When connections cannot be made, or a process cannot be watched.
pub fn idle(options: &Idle) -> anyhow::Result<Report> {
    let (setup, connections) = (options.common.setup()?, options.connections);
    ensure!(connections > 0, "--connections 0: nothing would be measured");
    let shared = setup.shared();
    let mut stage = Stage::start(&setup, Arc::clone(&shared), connections, named(&setup), |worker, _| {
        Stay::new(&shared, setup.arrivals(connections, worker))
    })?;
    stage.wait_ready(connections)?;
    let connecting = connecting(&shared, connections);
    let [settle, seconds] =
        [options.settle, options.seconds].map(|s| Duration::try_from_secs_f64(s).unwrap_or_default());
    let measured = stage.measure(settle, seconds)?;
    stage.end()?;
    let processes = stage.processes(&measured, 0);
    Ok(Report::new("idle", connecting, &measured, 0, processes, shared.ends()))
}

/// Connections that all end at once and reconnect.
///
/// # Errors
/// When the first connections cannot be made, or a process cannot be watched.
pub fn reconnect(options: &ReconnectOptions) -> anyhow::Result<Report> {
    let (setup, connections) = (options.common.setup()?, options.connections);
    ensure!(connections > 0, "--connections 0: nothing would come back");
    let shared = setup.shared();
    let returning = Returning {
        jitter: Duration::from_millis(options.jitter),
        by_server: options.by_server,
    };
    let mut stage = Stage::start(&setup, Arc::clone(&shared), connections, named(&setup), |worker, _| {
        Reconnect::new(&returning, &shared, setup.arrivals(connections, worker))
    })?;
    stage.wait_ready(connections)?;
    let connecting = connecting(&shared, connections);
    let opened = stage.begin_open()?;
    let within = Duration::try_from_secs_f64(options.within)?;
    let all_back = || shared.delivered.load(Ordering::Acquire) >= connections as u64;
    stage.wait_for("coming back", within, all_back)?;
    let measured = stage.end_open(opened)?;
    let mut sum = Returns::default();
    for (duty, _) in stage.end()? {
        add(&mut sum, &duty.returns);
    }
    let processes = stage.processes(&measured, sum.back);
    let report = ReconnectReport {
        back: sum.back,
        missing: connections as u64 - sum.back,
        told_when: sum.told_when,
        seconds_until_all_back: sum
            .span
            .filter(|_| sum.back == connections as u64)
            .map(|(first, last)| (last - first) as f64 / 1e9),
        failed_attempts: sum.failed_attempts,
        ends: sum.ends,
        until_back: sum.until_back.summary(),
        upgrade: sum.upgrades.summary(),
    };
    Ok(Report {
        reconnect: Some(report),
        ..Report::new("reconnect", connecting, &measured, sum.back, processes, shared.ends())
    })
}

fn named(setup: &Setup) -> impl Fn(usize) -> Identity {
    |number| Identity {
        number,
        target: number,
        id: format!("{}{number}", setup.id_prefix),
    }
}

fn add(sum: &mut Returns, other: &Returns) {
    sum.back += other.back;
    sum.told_when += other.told_when;
    for (into, from) in [
        (&mut sum.failed_attempts, &other.failed_attempts),
        (&mut sum.ends, &other.ends),
    ] {
        for (label, count) in from {
            *into.entry(label.clone()).or_default() += count;
        }
    }
    sum.until_back.add(&other.until_back);
    sum.upgrades.add(&other.upgrades);
    sum.span = match (sum.span, other.span) {
        (Some(one), Some(two)) => Some((one.0.min(two.0), one.1.max(two.1))),
        (one, two) => one.or(two),
    };
}
