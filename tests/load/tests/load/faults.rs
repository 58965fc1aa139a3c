//! Mistakes of a server are found and counted.

use crate::rogue::{Fault, Rogue};
use crate::{assert_complete, messages, run};

/// 100 messages to three members.
fn load(server: &Rogue, more: &[&str]) -> anyhow::Result<wsmesh_load::report::Report> {
    let load = [
        "fanout",
        "--connections",
        "3",
        "--rate",
        "100",
        "--warmup",
        "0",
        "--seconds",
        "1",
        "--drain",
        "0.5",
    ];
    run(&[&load[..], &["--url", &server.url], more].concat())
}

#[test]
fn a_message_that_one_member_does_not_get_is_lost() {
    let report = load(&Rogue::start(vec![Fault::Drop(7)]), &[]).expect("runs");
    let m = messages(&report);
    assert_eq!(
        (m.expected, m.delivered, m.lost, m.doubled),
        (300, 299, 1, 0),
        "{report}"
    );
    assert_eq!(report.problems(false), ["1 deliveries were lost"]);
    assert_eq!(report.problems(true), [] as [&str; 0]);
}

#[test]
fn the_last_message_is_missed_too() {
    let report = load(&Rogue::start(vec![Fault::Drop(99)]), &[]).expect("runs");
    assert_eq!(messages(&report).lost, 1, "{report}");
}

#[test]
fn a_message_that_comes_twice_is_doubled_and_not_counted_again() {
    let report = load(&Rogue::start(vec![Fault::Double(7)]), &[]).expect("runs");
    let m = messages(&report);
    assert_eq!((m.delivered, m.lost, m.doubled), (300, 0, 1), "{report}");
    assert_eq!(report.problems(false), ["1 deliveries came twice"]);
}

#[test]
fn a_message_that_overtakes_another_is_reported_and_is_not_a_problem() {
    let report = load(&Rogue::start(vec![Fault::Swap(7)]), &[]).expect("runs");
    let m = messages(&report);
    assert_eq!(
        (m.delivered, m.lost, m.doubled, m.out_of_order),
        (300, 0, 0, 1),
        "{report}"
    );
    assert_eq!(report.problems(false), [] as [&str; 0]);
}

#[test]
fn frames_in_single_bytes_in_parts_and_between_pings_are_the_same_messages() {
    let report = load(&Rogue::start(vec![Fault::Dribble]), &["--size", "300"]).expect("runs");
    assert_complete(&report);
    assert_eq!(messages(&report).delivered, 300);
}

#[test]
fn a_window_goes_on_though_a_message_is_lost() {
    let server = Rogue::start(vec![Fault::Drop(0)]);
    let load = [
        "fanout",
        "--connections",
        "3",
        "--window",
        "1",
        "--seconds",
        "4",
        "--drain",
        "0.5",
    ];
    let report = run(&[&load[..], &["--url", &server.url]].concat()).expect("runs");
    let m = messages(&report);
    assert_eq!((m.lost, m.stalls), (1, 1), "{report}");
    assert!(m.sent > 10, "{report}");
}

#[test]
fn a_refused_connection_is_an_error_with_status_and_text() {
    let error = load(&Rogue::start(vec![Fault::Refuse(1..2)]), &[])
        .expect_err("one is missing")
        .to_string();
    assert!(error.starts_with("2 of 3 connections are ready, 1 failed"), "{error}");
    assert!(error.ends_with("1 x status 503: come back later"), "{error}");
}

#[test]
fn a_server_that_is_not_there_is_an_error_with_the_reason() {
    let error = run(&["fanout", "--connections", "2", "--url", "ws://127.0.0.1:1/"])
        .expect_err("nobody")
        .to_string();
    assert!(error.contains("2 x unreachable: Connection refused"), "{error}");
}

#[test]
fn connections_that_end_meanwhile_are_reported() {
    let server = Rogue::start(vec![Fault::Close(50)]);
    let report = load(&server, &[]).expect("runs");
    assert_eq!(report.ended.get("close code 4999: enough"), Some(&1), "{report}");
    assert_eq!(messages(&report).lost, 50, "what came after the end is lost: {report}");
}
