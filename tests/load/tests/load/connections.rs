//! Modes without messages: idle connections, and connections that come back.

use crate::node::Nodes;
use crate::rogue::{Fault, Rogue};
use crate::run;

#[test]
fn idle_connections_are_counted_and_the_process_is_measured() {
    let nodes = Nodes::start(1);
    let pid = format!("myself={}", std::process::id());
    let load = [
        "idle",
        "--connections",
        "50",
        "--settle",
        "0",
        "--seconds",
        "0.2",
        "--connect-rate",
        "500",
    ];
    let report = run(&[&load[..], &["--url", &nodes.urls[0], "--pid", &pid]].concat()).expect("runs");
    assert_eq!(report.problems(false), [] as [&str; 0]);
    assert!(report.connecting.seconds >= 0.098, "500 a second: {report}");
    let process = &report.processes[0];
    assert!(process.name == "myself" && process.resident_before > 0 && process.bytes_per_connection.is_some());
}

#[test]
fn a_process_that_is_not_there_is_a_mistake() {
    let error = run(&["idle", "--connections", "1", "--pid", "redis=4194999"]).expect_err("no such process");
    assert!(
        format!("{error:#}").contains("the process redis (pid 4194999) cannot be watched"),
        "{error:#}"
    );
}

#[test]
fn everybody_comes_back_after_all_were_dropped() {
    let nodes = Nodes::start(1);
    let load = [
        "reconnect",
        "--connections",
        "40",
        "--jitter",
        "200",
        "--url",
        &nodes.urls[0],
    ];
    let report = run(&load).expect("runs");
    let back = report.reconnect.as_ref().expect("reconnect");
    assert_eq!((back.back, back.missing, back.told_when), (40, 0, 0), "{report}");
    assert!(back.seconds_until_all_back.is_some_and(|seconds| seconds > 0.0));
    assert_eq!(report.problems(false), [] as [&str; 0]);
}

#[test]
fn clients_come_back_after_the_delay_of_the_server_and_refused_attempts_are_counted() {
    // The fourth to sixth attempt are the first to come back: they are refused.
    let server = Rogue::start(vec![
        Fault::SendAway {
            after: 3,
            delay_ms: 300,
        },
        Fault::Refuse(3..6),
    ]);
    let load = [
        "reconnect",
        "--connections",
        "3",
        "--by-server",
        "--within",
        "20",
        "--url",
        &server.url,
    ];
    let report = run(&load).expect("runs");
    let back = report.reconnect.as_ref().expect("reconnect");
    assert_eq!((back.back, back.missing, back.told_when), (3, 0, 3), "{report}");
    assert_eq!(back.ends.get("close code 1012"), Some(&3), "{report}");
    assert_eq!(
        back.failed_attempts.get("status 503: come back later"),
        Some(&3),
        "{report}"
    );
    assert!(
        back.until_back
            .as_ref()
            .is_some_and(|latency| latency.min_us >= 300_000.0),
        "{report}"
    );
}
