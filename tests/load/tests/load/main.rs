//! Every mode against real servers: ws-nodes in this process, and one that misbehaves.

mod connections;
mod faults;
mod messages;
mod node;
mod requests;
mod rogue;

use clap::Parser;
use wsmesh_load::modes;
use wsmesh_load::options::{Mode, Options};
use wsmesh_load::report::{MessageReport, Report};

/// Runs a mode as the command line does.
fn run(arguments: &[&str]) -> anyhow::Result<Report> {
    let arguments = ["wsmesh-load"].iter().chain(arguments);
    match Options::try_parse_from(arguments)?.mode {
        Mode::Fanout(options) => modes::fanout(&options),
        Mode::Direct(options) => modes::direct(&options),
        Mode::Request(options) => modes::request(&options),
        Mode::Idle(options) => modes::idle(&options),
        Mode::Churn(options) => modes::churn(&options),
        Mode::Slow(options) => modes::slow(&options),
        Mode::Reconnect(options) => modes::reconnect(&options),
        Mode::Bench(_) => unreachable!("no test benches"),
    }
}

fn messages(report: &Report) -> &MessageReport {
    report.messages.as_ref().expect("a mode with messages")
}

/// Everything arrived, once, in order, and nothing else was seen.
fn assert_complete(report: &Report) {
    let m = messages(report);
    assert!(m.sent > 0 && m.measured > 0, "{report}");
    assert_eq!(m.delivered, m.expected, "{report}");
    assert_eq!(
        [m.lost, m.doubled, m.out_of_order, m.strays, m.unknown, m.stalls],
        [0; 6],
        "{report}"
    );
    assert_eq!(report.problems(false), [] as [&str; 0], "{report}");
}
