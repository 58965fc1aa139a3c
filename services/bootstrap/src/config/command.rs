//! The command line. clap finds the flags and writes the help. Values stay text here, so that all problems are listed together.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::common::CommonConfig;
use super::unknown::CONFIG_VARIABLE;
use crate::service::Service;
use crate::settings::{Setting, Settings, Shape, Shown};

/// The subcommand that every service has.
pub(crate) const HEALTHCHECK: &str = "healthcheck";

const CONFIG: &str = "config-file";
const PRINT_CONFIG: &str = "print-config-now";

/// A parsed command line.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    /// The texts of the flags, by the key of their setting.
    pub(crate) flags: BTreeMap<&'static str, Vec<String>>,
    /// `--config`.
    pub(crate) config: Option<PathBuf>,
    /// `--print-config`.
    pub(crate) print_config: bool,
    /// The subcommand, if there is one.
    subcommand: Option<(String, ArgMatches)>,
}

impl Arguments {
    /// The subcommand and its own arguments, if there is one.
    pub(crate) fn subcommand(&self) -> Option<(&str, &ArgMatches)> {
        self.subcommand.as_ref().map(|(name, matches)| (name.as_str(), matches))
    }
}

/// Parses a command line.
///
/// # Errors
/// What clap says: the help or version that was asked for, or what is wrong.
pub(crate) fn parse<S: Service>(arguments: impl IntoIterator<Item = OsString>) -> Result<Arguments, clap::Error> {
    let matches = command::<S>().try_get_matches_from(arguments)?;
    // Flags are global: clap hands those before a subcommand down to it.
    let subcommand = matches
        .subcommand()
        .map(|(name, matches)| (name.to_owned(), matches.clone()));
    let given = subcommand.as_ref().map_or(&matches, |(_, matches)| matches);
    let mut flags = BTreeMap::new();
    for setting in declared::<S>().iter().filter(|setting| setting.shape != Shape::Table) {
        if let Some(texts) = given.get_many::<String>(setting.key) {
            flags.insert(setting.key, texts.cloned().collect());
        }
    }
    Ok(Arguments {
        flags,
        config: given.get_one::<PathBuf>(CONFIG).cloned(),
        print_config: given.get_flag(PRINT_CONFIG),
        subcommand,
    })
}

/// The tool that the first argument names, if it names one, with the tool's own arguments.
pub(crate) fn tool<S: Service>(arguments: &[OsString]) -> Option<Result<(String, ArgMatches), clap::Error>> {
    let name = arguments.get(1)?.to_str()?.to_owned();
    if !is_tool::<S>(&name) {
        return None;
    }
    let command = Command::new(S::NAME)
        .styles(styles())
        .disable_help_subcommand(true)
        .subcommands(S::tools());
    let parsed = command.try_get_matches_from(arguments);
    let own = |matches: &ArgMatches| matches.subcommand().map(|(_, own)| own.clone()).unwrap_or_default();
    Some(parsed.map(|matches| (name, own(&matches))))
}

/// Whether a service has a tool of this name.
pub(crate) fn is_tool<S: Service>(name: &str) -> bool {
    S::tools().iter().any(|tool| tool.get_name() == name)
}

/// Whether clap's "error" is help or version, which was asked for.
pub(crate) fn is_answer(error: &clap::Error) -> bool {
    matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion)
}

/// All settings of a service: the common ones first.
pub(crate) fn declared<S: Service>() -> Vec<Setting> {
    let mut declared = common();
    for setting in &mut declared {
        if let Some((_, text)) = S::DEFAULTS.iter().find(|(key, _)| *key == setting.key) {
            setting.default = Shown::Plain((*text).into());
        }
    }
    declared.extend(S::Settings::declared());
    declared
}

/// The common settings.
pub(crate) fn common() -> Vec<Setting> {
    let mut declared = CommonConfig::declared();
    // Made up at the start.
    for name in declared.iter_mut().filter(|setting| setting.key == "name") {
        name.default = Shown::Unset;
    }
    declared
}

fn command<S: Service>() -> Command {
    let common = common().len();
    let declared = declared::<S>();
    let mut command = Command::new(S::NAME)
        .about(S::ABOUT)
        .version(format!("{} ({})", crate::VERSION, crate::REVISION))
        .styles(styles())
        .subcommand_required(false)
        .next_line_help(true)
        .after_help(after_help(&declared))
        .arg(config_argument())
        .arg(print_argument())
        .subcommand(
            Command::new(HEALTHCHECK).about("Ask the running server whether it is ready: exit code 0 if it is, else 1"),
        )
        .subcommands(S::subcommands())
        .subcommands(S::tools());
    for (index, setting) in declared.iter().enumerate() {
        if setting.shape != Shape::Table {
            let heading = match index < common {
                true => "Common settings".to_owned(),
                false => format!("Settings of {}", S::NAME),
            };
            let heading = match setting.group {
                "" => heading,
                group => format!("{heading}: {group}"),
            };
            command = command.arg(argument(setting, heading));
        }
    }
    command
}

fn styles() -> Styles {
    Styles::plain()
        .header(AnsiColor::Green.on_default().bold())
        .literal(AnsiColor::Cyan.on_default())
}

fn config_argument() -> Arg {
    Arg::new(CONFIG)
        .long("config")
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .global(true)
        .help_heading("Configuration")
        .help(format!(
            "TOML file with settings. Flags and variables take precedence\n[env: {CONFIG_VARIABLE}]"
        ))
}

fn print_argument() -> Arg {
    Arg::new(PRINT_CONFIG)
        .long("print-config")
        .action(ArgAction::SetTrue)
        .global(true)
        .help_heading("Configuration")
        .help("Print the effective settings, with the source of each and without secrets, and exit")
}

fn argument(setting: &Setting, heading: String) -> Arg {
    let mut argument = Arg::new(setting.key)
        .long(setting.flag())
        .value_name(setting.hint)
        .global(true)
        .help_heading(heading)
        .help(help(setting));
    if setting.shape == Shape::Many {
        argument = argument.action(ArgAction::Append);
    }
    if setting.switch {
        argument = argument
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true");
    }
    argument
}

fn help(setting: &Setting) -> String {
    let default = match setting.default_text() {
        Some(text) => format!("[default: {text}] "),
        None => String::new(),
    };
    let allowed = match setting.allowed.as_str() {
        "" => String::new(),
        allowed => format!("[allowed: {allowed}] "),
    };
    format!("{}\n{default}{allowed}[env: {}]", setting.text(), setting.variable())
}

fn after_help(declared: &[Setting]) -> String {
    let mut text = String::new();
    for setting in declared.iter().filter(|setting| setting.shape == Shape::Table) {
        text.push_str(&format!("In the file only: {}: {}\n\n", setting.key, setting.text()));
    }
    text.push_str(
        "A setting is read from its flag, else from its variable, else from the file (its key is the name of the flag with _ \
         for -). Otherwise its default is used.\n\nTelemetry: traces are sent to OTEL_EXPORTER_OTLP_ENDPOINT (OTLP over HTTP, usually port \
         4318), sampled by OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG; with OTEL_METRICS_EXPORTER=otlp and \
         OTEL_LOGS_EXPORTER=otlp metrics and logs are sent there, too. OTEL_SDK_DISABLED=true turns all of it off. All OTEL_* \
         variables that are read are in services/TELEMETRY.md, section Variables; --print-config shows what they lead \
         to.\n\nSignals: SIGTERM, SIGINT and SIGHUP shut the server down gracefully, a second one ends it \
         at once. Under nohup, SIGHUP is ignored. Renewed certificates and keys are read without a signal.\n\nThe soft limit of \
         open files is raised to the hard limit.\n\nExit codes: 0 after a graceful shutdown, 1 after a failure, 64 if the \
         configuration is wrong.",
    );
    text
}
