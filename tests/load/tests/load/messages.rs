//! Modes with messages against ws-nodes.

use crate::node::Nodes;
use crate::{assert_complete, messages, run};

const SHORT: [&str; 4] = ["--warmup", "0.2", "--seconds", "0.8"];

fn with<'a>(more: &[&'a str], nodes: &'a Nodes) -> Vec<&'a str> {
    let urls = nodes.urls.iter().flat_map(|url| ["--url", url]);
    more.iter().copied().chain(SHORT).chain(urls).collect()
}

#[test]
fn as_fast_as_it_goes_every_member_of_every_room_gets_everything_on_several_threads() {
    let nodes = Nodes::start(1);
    let load = [
        "fanout",
        "--connections",
        "20",
        "--rooms",
        "4",
        "--publishers",
        "8",
        "--window",
        "4",
    ];
    let report = run(&with(&[&load[..], &["--threads", "2"]].concat(), &nodes)).expect("runs");
    assert_complete(&report);
    let m = messages(&report);
    assert_eq!(m.expected, m.sent * 5, "every room has five members: {report}");
    assert_eq!(report.connecting.connections, 20);
}

#[test]
fn at_a_fixed_rate_exactly_as_much_is_sent_and_latency_counts_from_when_it_was_due() {
    let nodes = Nodes::start(1);
    let load = [
        "fanout",
        "--connections",
        "6",
        "--rooms",
        "2",
        "--publishers",
        "4",
        "--rate",
        "300",
    ];
    let report = run(&with(&load, &nodes)).expect("runs");
    assert_complete(&report);
    let m = messages(&report);
    assert_eq!((m.sent, m.expected), (300, 900), "{report}");
    let (latency, lateness) = (
        m.latency.as_ref().expect("measured"),
        m.lateness.as_ref().expect("measured"),
    );
    assert_eq!((latency.count, lateness.count), (m.measured, m.sent));
}

#[test]
fn clients_of_one_server_write_to_clients_of_another() {
    let nodes = Nodes::start(2);
    let report = run(&with(&["direct", "--connections", "10", "--rate", "200"], &nodes)).expect("runs");
    assert_complete(&report);
    assert_eq!(
        (messages(&report).sent, messages(&report).expected),
        (200, 200),
        "{report}"
    );
}

#[test]
fn members_of_a_room_on_two_servers_get_everything_once() {
    let nodes = Nodes::start(2);
    let report = run(&with(&["fanout", "--connections", "8", "--window", "2"], &nodes)).expect("runs");
    assert_complete(&report);
}

#[test]
fn while_clients_come_and_go_the_others_miss_nothing() {
    let nodes = Nodes::start(1);
    let load = [
        "churn",
        "--connections",
        "4",
        "--rate",
        "200",
        "--churn-rate",
        "50",
        "--stay",
        "0.2",
    ];
    let report = run(&with(&load, &nodes)).expect("runs");
    assert_complete(&report);
    let churn = report.churn.as_ref().expect("churn");
    assert!(
        churn.joined >= 20 && churn.left >= 10 && churn.left <= churn.joined,
        "{report}"
    );
    assert_eq!(
        messages(&report).expected,
        200 * 4,
        "who comes and goes is owed nothing: {report}"
    );
}

#[test]
fn clients_that_never_read_are_closed_as_slow_and_the_others_miss_nothing() {
    let nodes = Nodes::start(1);
    let load = [
        "slow",
        "--connections",
        "4",
        "--slow",
        "2",
        "--outlast",
        "0",
        "--size",
        "30000",
        "--window",
        "8",
    ];
    // Kernels keep megabytes for a socket before a server notices anything.
    let report = run(&with(&[&load[..], &["--drain", "20"]].concat(), &nodes)).expect("runs");
    assert_complete(&report);
    let slow = report.slow_clients.as_ref().expect("slow clients");
    assert_eq!(slow.values().sum::<u64>(), 2, "{report}");
    assert!(!slow.contains_key("no end seen"), "{report}");
}

#[test]
fn options_that_make_no_sense_are_refused_with_the_reason() {
    let refused = |arguments: &[&str]| run(arguments).expect_err("refused").to_string();
    assert!(refused(&["fanout", "--rooms", "11", "--connections", "10"]).contains("every room needs a member"));
    assert!(refused(&["fanout", "--publishers", "11", "--connections", "10"]).contains("publishers are members"));
    assert!(refused(&["direct", "--connections", "1"]).contains("one sends, one receives"));
    assert!(refused(&["fanout", "--pid", "nobody"]).contains("NAME=PID"));
}
