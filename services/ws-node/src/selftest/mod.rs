//! `ws-node selftest`: opens a real WebSocket as a client would, and asks that client from the bus, once through every Redis node.
//! The answers show that clients get in, and that each node carries messages to the ws-node that they reached. For `helm test`, and
//! for operators. It needs the settings of a ws-node and no running one on this machine; it visits the bus as a server that nobody
//! counts, and changes nothing. One line for each thing that it tried; exit code 0 if all went well, else 1.

mod plan;

mod rounds;
mod socket;

#[cfg(test)]
mod tests;

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use tokio::time::Instant;
use wsmesh_bootstrap::{Value, print};

use crate::config::Config;
use plan::Plan;
use rounds::Visit;
use socket::Socket;

/// The name of the subcommand, and of its service on the bus.
pub(crate) use wsmesh_protocol::report::SELFTEST;

const URL: &str = "selftest-url";
const TOKEN_FILE: &str = "selftest-token-file";
const CA_FILE: &str = "selftest-ca-file";
const EACH_NODE: &str = "selftest-through-each-node";
const WITHIN: &str = "selftest-within";

const ABOUT: &str =
    "Connect as a client, and see messages of another server arrive: through every Redis node if wanted";
const MORE: &str = "It takes the settings of ws-node (Redis, prefix, profile, keys), and needs no running one: `kubectl exec \
                    deploy/wsmesh-ws-node -- ws-node selftest --url ws://wsmesh-ws-node:9000/ --through-each-node` just works. \
                    It connects with a token of --token-file, or one that it signs with --jwt-key-file, or with an id in the demo \
                    profile. It prints a line for each Redis node.\n\nExit codes: 0 if everything worked, 1 if not, 64 if the \
                    settings are wrong.";

/// Its command line.
pub(crate) fn command() -> Command {
    let file = |id: &'static str, long: &'static str, help: &'static str| {
        let argument = Arg::new(id).long(long).value_name("FILE").help(help);
        argument.value_parser(clap::value_parser!(std::path::PathBuf))
    };
    let url = Arg::new(URL)
        .long("url")
        .value_name("URL")
        .required(true)
        .help("Where clients connect: ws://HOST:PORT/ or wss://…, of a Service or of one ws-node");
    let each = Arg::new(EACH_NODE)
        .long("through-each-node")
        .action(ArgAction::SetTrue)
        .help("Send a message through every active Redis node, and say which one carried it");
    let within = Arg::new(WITHIN)
        .long("within")
        .value_name("DURATION")
        .default_value("30s")
        .help("Longest time for everything");
    Command::new(SELFTEST)
        .about(ABOUT)
        .long_about(format!("{ABOUT}.\n\n{MORE}"))
        .next_line_help(true)
        .arg(url)
        .arg(file(TOKEN_FILE, "token-file", "File with the token of a client (JWT)"))
        .arg(file(
            CA_FILE,
            "ca-file",
            "File with the certificates to trust with wss://, in addition to the usual ones (PEM)",
        ))
        .arg(each)
        .arg(within.value_parser(<Duration as Value>::parse))
}

/// Runs it; the exit code says whether everything worked.
///
/// # Errors
/// When the arguments make no sense together, or nothing can be printed.
pub(crate) fn run(arguments: &ArgMatches, config: &Config) -> anyhow::Result<ExitCode> {
    let plan = Plan::read(arguments, config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let worked = runtime.block_on(carry_out(plan, |line| print(format_args!("{line}\n"))))?;
    Ok(if worked { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One thing that was tried.
#[derive(Debug)]
struct Line {
    /// A node's id, or what else it was.
    what: String,
    /// What was seen, or what went wrong.
    outcome: Result<String, String>,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Ok(seen) => write!(f, "{:<14} ok: {seen}", self.what),
            Err(problem) => write!(f, "{:<14} FAILED: {problem}", self.what),
        }
    }
}

/// Tries everything, and tells each line as soon as it is known. Returns whether all went well.
async fn carry_out(plan: Plan, mut tell: impl FnMut(Line) -> anyhow::Result<()>) -> anyhow::Result<bool> {
    let deadline = Instant::now() + plan.within;
    let mut worked = true;
    let mut tell = |what: &str, outcome: Result<String, String>| {
        worked &= outcome.is_ok();
        let what = what.to_owned();
        tell(Line { what, outcome })
    };
    let socket = match Socket::open(&plan, deadline).await {
        Ok(socket) => socket,
        Err(problem) => {
            tell("websocket", Err(problem))?;
            return Ok(false);
        }
    };
    tell("websocket", Ok(format!("client {} connected", plan.client)))?;
    match Visit::join(plan.options, deadline).await {
        Ok(visit) => {
            let told = match plan.through_each_node {
                true => visit.through_each_node(&plan.client, deadline, &mut tell).await,
                false => tell("bus", visit.through_any_node(&plan.client, deadline).await),
            };
            visit.leave().await;
            told?;
        }
        Err(problem) => tell("bus", Err(problem))?,
    }
    socket.close().await;
    Ok(worked)
}
