//! The table of scenarios: the setup of each, and its fault script. Load runs before, during and after every script.

mod admins;
mod links;
mod nodes;
mod servers;
mod topology;

use futures_util::future::BoxFuture;

use crate::plan::Plan;
use crate::stage::Stage;

/// The outcome of a script: an error if a fault could not be caused, or if something other than messages went wrong.
type Played<'a> = BoxFuture<'a, anyhow::Result<()>>;

/// One scenario.
#[derive(Debug)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What happens in it.
    pub what: &'static str,
    pub(crate) plan: Plan,
    pub(crate) script: fn(&mut Stage) -> Played<'_>,
}

const fn usual(name: &'static str, what: &'static str, script: fn(&mut Stage) -> Played<'_>) -> Scenario {
    Scenario {
        name,
        what,
        plan: Plan::USUAL,
        script,
    }
}

const WITH_SPARE: Plan = Plan {
    spares: 1,
    ..Plan::USUAL
};

/// Every scenario, in the order in which they are played.
pub const SCENARIOS: &[Scenario] = &[
    usual("calm", "nothing breaks", nodes::calm),
    usual(
        "kill-one",
        "kill -9 of one of three Redis, which stays dead",
        nodes::kill_one,
    ),
    usual("hang-one", "one Redis is stopped for 10 s and resumes", nodes::hang_one),
    usual(
        "restart-often",
        "one Redis is killed and started again every few seconds",
        nodes::restart_often,
    ),
    usual(
        "all-but-one",
        "all Redis but one are killed at once, and restarted",
        nodes::all_but_one,
    ),
    Scenario {
        name: "total-outage",
        what: "every Redis is killed at once, and started again, empty, 2 s later",
        plan: nodes::DEFAULT_WINDOW,
        script: nodes::total_outage,
    },
    usual(
        "rolling-redis",
        "every Redis is restarted, one after the other",
        nodes::rolling_restart,
    ),
    usual(
        "sleeper",
        "a Redis is stopped for a minute and wakes with old messages",
        nodes::sleeper,
    ),
    usual(
        "cut-link",
        "one server's link to one Redis is cut, and heals",
        links::cut,
    ),
    usual(
        "half-open",
        "one server's link to one Redis falls silent without a word",
        links::half_open,
    ),
    usual("delay", "one server's links are slow", links::delay),
    Scenario {
        name: "slow-subscriber",
        what: "a server reads so slowly that Redis disconnects it",
        plan: links::SLOW,
        script: links::slow_subscriber,
    },
    Scenario {
        name: "crossed",
        what: "each server cannot reach another Redis: no node is heard by all",
        plan: links::CROSSED,
        script: links::crossed,
    },
    usual(
        "blink",
        "one server loses every link for less than the window",
        links::blink,
    ),
    usual(
        "partition",
        "one server loses every link for longer than the window, and heals",
        links::partition,
    ),
    usual(
        "stopped-receiver",
        "a server process is stopped for 10 s and resumes",
        servers::stopped_receiver,
    ),
    usual(
        "rolling-logic",
        "the servers that handle requests are restarted, gracefully and by kill -9",
        servers::rolling_logic,
    ),
    Scenario {
        name: "clock-jumps",
        what: "wall clocks of servers jump by an hour, forward and back",
        plan: servers::FAKE_CLOCKS,
        script: servers::clock_jumps,
    },
    Scenario {
        name: "add-node",
        what: "a Redis is added",
        plan: WITH_SPARE,
        script: topology::add,
    },
    usual("drain-node", "a Redis is drained, removed and killed", topology::drain),
    Scenario {
        name: "add-and-kill",
        what: "a Redis is added while another one is killed",
        plan: WITH_SPARE,
        script: topology::add_and_kill,
    },
    Scenario {
        name: "two-changes",
        what: "two servers change the map of nodes at the same time",
        plan: WITH_SPARE,
        script: topology::two_changes,
    },
    Scenario {
        name: "killed-admins",
        what: "nodes are added and removed over HTTP, and each admin is killed once it has accepted the job",
        plan: WITH_SPARE,
        script: admins::killed,
    },
];
