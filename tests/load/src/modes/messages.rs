//! Modes with messages: to rooms, from client to client, with clients that come and go, with clients that never read.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::ensure;

use super::connecting;
use crate::duty::churn::Churn;
use crate::duty::flow::Flow;
use crate::duty::plan::{Address, Pace, Plan};
use crate::duty::traffic::{Tally, Traffic};
use crate::measure::latency::Latencies;
use crate::options::{ChurnOptions, Direct, Fanout, Messages, Slow};
use crate::report::{MessageReport, Report};
use crate::run::shared::{Counts, Shared};
use crate::run::{Setup, Stage};

/// Messages to rooms.
///
/// # Errors
/// When the options are not valid, connections cannot be made, or a process cannot be watched.
pub fn fanout(options: &Fanout) -> anyhow::Result<Report> {
    let setup = options.common.setup()?;
    let plan = rooms(options, &setup)?;
    run("fanout", &setup, plan, &options.messages, Duration::ZERO)
}

/// Messages from client to client.
///
/// # Errors
/// As for [`fanout`].
pub fn direct(options: &Direct) -> anyhow::Result<Report> {
    let setup = options.common.setup()?;
    let pairs = options.messages.connections / 2;
    ensure!(
        pairs > 0,
        "direct needs at least 2 --connections: one sends, one receives"
    );
    let plan = Plan {
        publishers: pairs,
        ..plan(Address::Pairs, 2 * pairs, &options.messages, &setup)
    };
    run("direct", &setup, plan, &options.messages, Duration::ZERO)
}

/// Messages to rooms whose other members come and go.
///
/// # Errors
/// As for [`fanout`].
pub fn churn(options: &ChurnOptions) -> anyhow::Result<Report> {
    let setup = options.fanout.common.setup()?;
    let stay = Duration::try_from_secs_f64(options.stay)?;
    let plan = Plan {
        churners: ((options.churn_rate * options.stay).round() as usize).max(1),
        stay_ns: crate::measure::clock::ns(stay),
        ..rooms(&options.fanout, &setup)?
    };
    run("churn", &setup, plan, &options.fanout.messages, Duration::ZERO)
}

/// Messages to rooms with members that never read.
///
/// # Errors
/// As for [`fanout`].
pub fn slow(options: &Slow) -> anyhow::Result<Report> {
    let setup = options.fanout.common.setup()?;
    let plan = Plan {
        slow: options.slow,
        ..rooms(&options.fanout, &setup)?
    };
    let outlast = Duration::try_from_secs_f64(options.outlast)?;
    run("slow", &setup, plan, &options.fanout.messages, outlast)
}

fn rooms(options: &Fanout, setup: &Setup) -> anyhow::Result<Plan> {
    let members = options.messages.connections;
    let publishers = options.publishers.unwrap_or(options.rooms);
    ensure!(
        options.rooms > 0 && options.rooms <= members,
        "--rooms {} makes no sense with --connections {members}: every room needs a member",
        options.rooms
    );
    ensure!(
        publishers > 0 && publishers <= members,
        "--publishers {publishers} makes no sense with --connections {members}: publishers are members"
    );
    Ok(Plan {
        publishers,
        ..plan(Address::Rooms(options.rooms), members, &options.messages, setup)
    })
}

fn plan(address: Address, members: usize, messages: &Messages, setup: &Setup) -> Plan {
    Plan {
        address,
        members,
        slow: 0,
        churners: 0,
        stay_ns: 0,
        publishers: 0,
        pace: messages.pace(),
        size: messages.size,
        prefix: setup.id_prefix.clone(),
    }
}

fn run(mode: &str, setup: &Setup, plan: Plan, messages: &Messages, outlast: Duration) -> anyhow::Result<Report> {
    let (plan, shared) = (Arc::new(plan), setup.shared());
    let window = match plan.pace {
        Pace::Window(window) => Some(window),
        Pace::Rate(_) => None,
    };
    let flows = (0..plan.publishers).map(|publisher| Flow::new(plan.receivers(publisher), window));
    let flows: Arc<Vec<Flow>> = Arc::new(flows.collect());
    let mut stage = Stage::start(
        setup,
        Arc::clone(&shared),
        plan.connections(),
        |number| plan.identity(number),
        |worker, wakers| {
            Traffic::new(&plan, &shared, &flows, wakers, worker, |number| {
                setup.connect_time(number, 0)
            })
        },
    )?;
    stage.wait_ready(plan.staying())?;
    let connecting = connecting(&shared, plan.staying());
    let [warmup, seconds, patience] = messages.times();
    let measured = stage.measure(warmup, seconds)?;
    let expected = || flows.iter().map(Flow::expected).sum::<u64>();
    stage.drain(patience, || shared.delivered.load(Ordering::Acquire) >= expected())?;
    look_at_slow(&mut stage, &shared, plan.slow, outlast)?;
    let ended = stage.end()?;

    let (mut tally, mut churn, mut slow) = (Tally::default(), Churn::default(), Counts::new());
    let (mut lateness, mut stalls) = (Latencies::default(), 0);
    for (mut traffic, _) in ended {
        traffic.count_losses();
        for (label, count) in &traffic.slow_ends {
            *slow.entry(label.clone()).or_default() += count;
        }
        add(&mut tally, &traffic.tally);
        churn.add(&traffic.churn);
        lateness.add(&traffic.publishers.lateness);
        stalls += traffic.publishers.stalls;
    }
    let open = plan.slow as u64 - slow.values().sum::<u64>();
    if open > 0 {
        slow.insert("no end seen".to_owned(), open);
    }
    let processes = stage.processes(&measured, tally.measured);
    let report = MessageReport {
        sent: flows.iter().map(Flow::sent).sum(),
        expected: expected(),
        delivered: tally.delivered,
        lost: tally.lost,
        doubled: tally.doubled,
        out_of_order: tally.out_of_order,
        strays: tally.strays,
        unknown: tally.unknown,
        stalls,
        measured: tally.measured,
        deliveries_per_s: tally.measured as f64 / measured.seconds,
        latency: tally.latencies.summary(),
        lateness: lateness.summary(),
    };
    Ok(Report {
        messages: Some(report),
        churn: (plan.churners > 0).then(|| churn.report()),
        slow_clients: (plan.slow > 0).then_some(slow),
        ..Report::new(mode, connecting, &measured, tally.measured, processes, shared.ends())
    })
}

/// Time limit for the end of a connection to arrive once it is read.
const LOOK: Duration = Duration::from_secs(2);

/// Waits until a server should have closed the clients that never read, then reads them to see how they ended.
fn look_at_slow(stage: &mut Stage<Traffic>, shared: &Shared, slow: usize, outlast: Duration) -> anyhow::Result<()> {
    if slow == 0 {
        return Ok(());
    }
    // There is no signal for that, because they are not read.
    stage.wait_for("outlasting", outlast, || false)?;
    shared.look();
    stage.wake();
    stage.wait_for("looking", LOOK, || {
        shared.slow_ended.load(Ordering::Acquire) == slow as u64
    })?;
    Ok(())
}

fn add(sum: &mut Tally, other: &Tally) {
    sum.delivered += other.delivered;
    sum.measured += other.measured;
    sum.doubled += other.doubled;
    sum.out_of_order += other.out_of_order;
    sum.lost += other.lost;
    sum.strays += other.strays;
    sum.unknown += other.unknown;
    sum.latencies.add(&other.latencies);
}
