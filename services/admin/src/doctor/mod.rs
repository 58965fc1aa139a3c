//! `admin doctor`: looks at everything that may be wrong with a cluster and says what it is, why it matters and what mends it. It
//! takes the settings of admin and needs no running admin. `examine` gathers, within time limits; the checks are pure functions
//! over what was gathered; `print` writes. It changes nothing.

mod diagnosis;
mod evidence;
mod fixes;

mod clocks;
mod files;
mod pods;
mod redis;
mod servers;
mod slow_nodes;
mod topology;

mod examine;
mod print;

#[cfg(test)]
mod fixture;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Arg, ArgAction, ArgMatches, Command};
use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use diagnosis::Diagnosis;
use examine::examine;
use print::Colours;

/// The name of the subcommand.
pub(crate) const DOCTOR: &str = "doctor";

/// Its service on the bus, where it is a visitor.
pub(crate) const SERVICE: &str = "doctor";

const JSON: &str = "json";
const ABOUT: &str = "Look at everything that may be wrong with the cluster: what it is, why it matters, what mends it";
const MORE: &str = "It takes the settings of admin, and needs no running admin: `kubectl exec deploy/wsmesh-admin -- admin doctor` \
                    just works. It asks each Redis directly, joins the bus for some seconds as a server that nobody counts, asks \
                    every server, and in Kubernetes looks at pods and rights. It changes nothing, and ends within 30 seconds.\n\nExit \
                    codes: 0 without a problem, 1 with one or if it could not look, 64 if the settings are wrong.";

/// Its command line.
pub(crate) fn command() -> Command {
    let json = Arg::new(JSON)
        .long("json")
        .action(ArgAction::SetTrue)
        .help("Print one JSON document in place of the text");
    Command::new(DOCTOR)
        .about(ABOUT)
        .long_about(format!("{ABOUT}.\n\n{MORE}"))
        .next_line_help(true)
        .arg(json)
}

/// Runs it; the exit code says whether there is a problem.
///
/// # Errors
/// When it cannot start or print, or was interrupted.
pub(crate) fn run(arguments: &ArgMatches, config: &Config) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let parts = runtime.block_on(async {
        let interrupted = CancellationToken::new();
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        // The goodbye on the bus is said also then.
        let examining = examine(config, &interrupted);
        tokio::pin!(examining);
        let parts = tokio::select! {
            parts = &mut examining => parts,
            _ = interrupt.recv() => { interrupted.cancel(); examining.await }
            _ = terminate.recv() => { interrupted.cancel(); examining.await }
        };
        anyhow::ensure!(!interrupted.is_cancelled(), "interrupted");
        Ok(parts)
    })?;
    let diagnosis = Diagnosis::new(Timestamp::now(), parts);
    if arguments.get_flag(JSON) {
        let document = serde_json::to_string_pretty(&diagnosis).context("the result is no JSON")?;
        wsmesh_bootstrap::print(format_args!("{document}\n"))?;
    } else {
        wsmesh_bootstrap::print(print::text(&diagnosis, colours()))?;
    }
    Ok(ExitCode::from(diagnosis.exit_code()))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a convention of terminals, and no setting of admin"
)]
fn colours() -> Colours {
    let no_color = std::env::var("NO_COLOR").ok();
    Colours::of(io::stdout().is_terminal(), no_color.as_deref())
}
