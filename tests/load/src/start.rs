//! The program from command line to exit code.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

use crate::options::{Common, Mode, Options};
use crate::report::Report;
use crate::{bench, modes};

/// Exit code for options that are not valid.
const USAGE: u8 = 64;

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    #[expect(clippy::disallowed_methods, reason = "nothing runs yet that could be cut off")]
    let options = Options::try_parse().unwrap_or_else(|error| {
        let printed = error.print().and_then(|()| io::stdout().flush());
        std::process::exit(match (error.use_stderr(), printed) {
            (true, _) => USAGE.into(),
            (false, Ok(())) => 0,
            (false, Err(error)) => {
                let _ = writeln!(io::stderr(), "cannot write to stdout: {error}");
                1
            }
        });
    });
    match run(&options.mode) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // The exit code says the same if stderr cannot be written.
            let _ = writeln!(io::stderr(), "{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the mode; returns whether there were no problems.
fn run(mode: &Mode) -> anyhow::Result<bool> {
    let (common, report) = match mode {
        Mode::Fanout(options) => (&options.common, modes::fanout(options)?),
        Mode::Direct(options) => (&options.common, modes::direct(options)?),
        Mode::Request(options) => (&options.common, modes::request(options)?),
        Mode::Idle(options) => (&options.common, modes::idle(options)?),
        Mode::Churn(options) => (&options.fanout.common, modes::churn(options)?),
        Mode::Slow(options) => (&options.fanout.common, modes::slow(options)?),
        Mode::Reconnect(options) => (&options.common, modes::reconnect(options)?),
        Mode::Bench(options) => return bench::bench(options),
    };
    tell(common, &report)?;
    let problems = report.problems(common.allow_loss);
    for problem in &problems {
        writeln!(io::stderr(), "FAILED: {problem}")?;
    }
    Ok(problems.is_empty())
}

fn tell(common: &Common, report: &Report) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(report)?;
    match &common.json {
        Some(file) if file.as_os_str() == "-" => {
            write!(io::stderr(), "{report}")?;
            writeln!(io::stdout(), "{json}")?;
        }
        Some(file) => {
            write!(io::stdout(), "{report}")?;
            std::fs::write(file, json)
                .with_context(|| format!("the report cannot be written to {}", file.display()))?;
        }
        None => write!(io::stdout(), "{report}")?,
    }
    Ok(io::stdout().flush()?)
}
