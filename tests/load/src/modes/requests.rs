//! Requests and replies.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::ensure;
use serde_json::json;

use super::connecting;
use crate::duty::requests::{Answers, Questions, Requests};
use crate::net::Identity;
use crate::options::Request;
use crate::report::{Report, RequestReport};
use crate::run::Stage;

/// Requests of every connection.
///
/// # Errors
/// When the options are not valid, connections cannot be made, or a process cannot be watched.
pub fn request(options: &Request) -> anyhow::Result<Report> {
    let (setup, messages) = (options.common.setup()?, &options.messages);
    let connections = messages.connections;
    ensure!(connections > 0, "--connections 0: nobody would ask");
    let shared = setup.shared();
    let payload = options.payload.clone();
    let payload = payload.unwrap_or_else(|| json!({ "msg": "x".repeat(messages.size) }));
    let questions = Questions::new(&options.event, &payload, messages.pace(), connections);
    let questions = Arc::new(questions);
    let identity = |number| Identity {
        number,
        target: number,
        id: format!("{}{number}", setup.id_prefix),
    };
    let mut stage = Stage::start(&setup, Arc::clone(&shared), connections, identity, |worker, wakers| {
        let arrivals = setup.arrivals(connections, worker);
        Requests::new(&questions, &shared, worker, wakers.len(), arrivals)
    })?;
    stage.wait_ready(connections)?;
    let connecting = connecting(&shared, connections);
    let [warmup, seconds, patience] = messages.times();
    let measured = stage.measure(warmup, seconds)?;
    stage.drain(patience, || {
        shared.delivered.load(Ordering::Acquire) >= shared.sent.load(Ordering::Acquire)
    })?;
    let mut sum = Answers::default();
    for (mut requests, _) in stage.end()? {
        requests.count_unanswered();
        add(&mut sum, &requests.answers);
    }
    let processes = stage.processes(&measured, sum.measured);
    let report = RequestReport {
        event: options.event.clone(),
        sent: sum.sent,
        replies: sum.replies,
        unanswered: sum.unanswered,
        doubled: sum.doubled,
        errors: sum.errors,
        others: sum.others,
        measured: sum.measured,
        replies_per_s: sum.measured as f64 / measured.seconds,
        latency: sum.latencies.summary(),
    };
    Ok(Report {
        requests: Some(report),
        ..Report::new("request", connecting, &measured, sum.measured, processes, shared.ends())
    })
}

fn add(sum: &mut Answers, other: &Answers) {
    sum.sent += other.sent;
    sum.replies += other.replies;
    sum.measured += other.measured;
    sum.doubled += other.doubled;
    sum.unanswered += other.unanswered;
    sum.others += other.others;
    for (code, count) in &other.errors {
        *sum.errors.entry(code.clone()).or_default() += count;
    }
    sum.latencies.add(&other.latencies);
}
