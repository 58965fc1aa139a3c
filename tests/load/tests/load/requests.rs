//! Mode `request` against a ws-node.

use crate::node::Nodes;
use crate::run;

fn asked(event: &str, nodes: &Nodes, more: &[&str]) -> wsmesh_load::report::Report {
    let load = [
        "request",
        "--connections",
        "5",
        "--event",
        event,
        "--url",
        &nodes.urls[0],
    ];
    let short = ["--warmup", "0.2", "--seconds", "0.8"];
    run(&[&load[..], &short, more].concat()).expect("runs")
}

#[test]
fn every_request_is_answered_once() {
    let nodes = Nodes::start(1);
    let report = asked("echo", &nodes, &["--rate", "250", "--threads", "2"]);
    let r = report.requests.as_ref().expect("requests");
    assert_eq!(
        (r.sent, r.replies, r.unanswered, r.doubled, r.others),
        (250, 250, 0, 0, 0),
        "{report}"
    );
    assert_eq!(report.problems(false), [] as [&str; 0]);
    let report = asked("echo", &nodes, &["--window", "2"]);
    let r = report.requests.as_ref().expect("requests");
    assert!(r.sent == r.replies && r.measured > 0 && r.unanswered == 0, "{report}");
}

#[test]
fn refusals_are_counted_by_code_and_are_a_problem() {
    let nodes = Nodes::start(1);
    let report = asked("nobody-handles-this", &nodes, &["--rate", "50"]);
    let r = report.requests.as_ref().expect("requests");
    assert_eq!(
        r.errors
            .iter()
            .map(|(code, count)| (&code[..], *count))
            .collect::<Vec<_>>(),
        [("UNKNOWN_EVENT", 50)]
    );
    assert_eq!(report.problems(false), ["50 requests were refused"]);
}
