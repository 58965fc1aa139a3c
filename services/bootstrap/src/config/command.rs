//! The command line. clap finds flags and writes help; values stay text here, so that all problems are listed together.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::common::CommonSettings;
use super::unknown::CONFIG_VARIABLE;
use crate::service::Service;
use crate::settings::{Setting, Settings, Shape, Shown};

/// The subcommand that every service has.
pub(crate) const HEALTHCHECK: &str = "healthcheck";

const CONFIG: &str = "config-file";
const PRINT_CONFIG: &str = "print-config-now";

/// A command line, taken apart.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    /// What was given, by key.
    pub(crate) flags: BTreeMap<&'static str, Vec<String>>,
    /// `--config`.
    pub(crate) config: Option<PathBuf>,
    /// `--print-config`.
    pub(crate) print_config: bool,
    /// The subcommand, if there is one.
    subcommand: Option<(String, ArgMatches)>,
}

impl Arguments {
    /// The subcommand and what was given to it, if there is one.
    pub(crate) fn subcommand(&self) -> Option<(&str, &ArgMatches)> {
        self.subcommand.as_ref().map(|(name, matches)| (name.as_str(), matches))
    }
}

/// Takes a command line apart.
///
/// # Errors
/// What clap says: help and version that were asked for, or what is wrong.
pub(crate) fn parse<S: Service>(arguments: impl IntoIterator<Item = OsString>) -> Result<Arguments, clap::Error> {
    let matches = command::<S>().try_get_matches_from(arguments)?;
    // Flags are global: those before a subcommand are handed down to it.
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

/// Whether clap's "error" is help or version, which was asked for.
pub(crate) fn is_answer(error: &clap::Error) -> bool {
    matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion)
}

/// All settings of a service: the common ones first.
pub(super) fn declared<S: Service>() -> Vec<Setting> {
    let mut declared = CommonSettings::declared();
    for setting in &mut declared {
        if let Some((_, text)) = S::DEFAULTS.iter().find(|(key, _)| *key == setting.key) {
            setting.default = Shown::Plain((*text).into());
        }
    }
    declared.extend(S::Settings::declared());
    declared
}

fn command<S: Service>() -> Command {
    let common = CommonSettings::declared().len();
    let own_heading = format!("Settings of {}", S::NAME);
    let declared = declared::<S>();
    let mut command = Command::new(S::NAME)
        .about(S::ABOUT)
        .version(format!("{} ({})", crate::VERSION, crate::REVISION))
        .styles(
            Styles::plain()
                .header(AnsiColor::Green.on_default().bold())
                .literal(AnsiColor::Cyan.on_default()),
        )
        .subcommand_required(false)
        .next_line_help(true)
        .after_help(after_help(&declared))
        .arg(config_argument())
        .arg(print_argument())
        .subcommand(Command::new(HEALTHCHECK).about("Ask the running server whether it is ready: exit code 0, else 1"))
        .subcommands(S::subcommands());
    for (index, setting) in declared.iter().enumerate() {
        if setting.shape != Shape::Table {
            let heading = if index < common {
                "Common settings".to_owned()
            } else {
                own_heading.clone()
            };
            command = command.arg(argument(setting, heading));
        }
    }
    command
}

fn config_argument() -> Arg {
    Arg::new(CONFIG)
        .long("config")
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .global(true)
        .help_heading("Configuration")
        .help(format!(
            "TOML file with settings; flags and environment win over it\n[env: {CONFIG_VARIABLE}]"
        ))
}

fn print_argument() -> Arg {
    Arg::new(PRINT_CONFIG)
        .long("print-config")
        .action(ArgAction::SetTrue)
        .global(true)
        .help_heading("Configuration")
        .help("Print the settings in effect, with the source of each and without secrets, and end")
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
    let sentences: Vec<_> = setting
        .doc
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let default = match &setting.default {
        Shown::Plain(toml::Value::String(text)) if text.is_empty() => String::new(),
        Shown::Plain(toml::Value::Array(values)) if values.is_empty() => String::new(),
        Shown::Plain(toml::Value::String(text)) => format!("[default: {text}] "),
        Shown::Plain(value) => format!("[default: {value}] "),
        Shown::Unset | Shown::Hidden | Shown::AsGiven => String::new(),
    };
    format!("{}\n{default}[env: {}]", sentences.join(" "), setting.variable())
}

fn after_help(declared: &[Setting]) -> String {
    let mut text = String::new();
    for setting in declared.iter().filter(|setting| setting.shape == Shape::Table) {
        let sentences: Vec<_> = setting.doc.lines().map(str::trim).collect();
        text.push_str(&format!(
            "In the file only: {}: {}\n\n",
            setting.key,
            sentences.join(" ").trim()
        ));
    }
    text.push_str(
        "A setting is taken from its flag, else its variable, else the file (its key is the flag's name with _ for -), \
         else the default. Traces go where OTEL_EXPORTER_OTLP_ENDPOINT says (OTLP over HTTP); the other OTEL_* variables \
         work too.\n\nSignals: SIGTERM, SIGINT and SIGHUP end it in order, a second one at once; SIGHUP is ignored under nohup. \
         Renewed certificates and keys need none.\n\nThe soft limit of open files is raised to the hard one.\n\nExit codes: 0 \
         ended in order, 1 failed, 64 wrong configuration.",
    );
    text
}
