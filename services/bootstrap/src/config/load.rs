//! Reading a whole configuration.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use clap::error::ErrorKind;

use super::command::{self, Arguments};
use super::common::CommonConfig;
use super::unknown::CONFIG_VARIABLE;
use super::{file, unknown};
use crate::exposition::MetricConfig;
use crate::probe::Speaks;
use crate::service::Service;
use crate::settings::{Environment, Problems, Settings, Value, Values};
use crate::telemetry::{Destinations, Exports, PushedLogs, TraceConfig, variables};

/// A configuration without problems.
#[derive(Debug)]
pub(crate) struct Loaded<C> {
    /// For the service.
    pub(crate) config: C,
    /// For the process that runs the service.
    pub(crate) common: CommonConfig,
    /// For `--print-config`.
    pub(crate) shown: String,
    /// Where traces and logs go, if anywhere.
    pub(crate) exports: Exports,
    /// Where metrics are pushed, if anywhere.
    pub(crate) metrics: Option<MetricConfig>,
    /// The same, to be told.
    pub(crate) destinations: Destinations,
}

/// Reads a service's configuration as [`main`](crate::main()) does, from these arguments and this environment. For tests of a
/// service's settings.
///
/// # Errors
/// Everything that is wrong, one line each.
///
/// ```
/// # use wsmesh_bootstrap::{CommonConfig, NoSettings, Problems, Service, Sockets};
/// # struct Plain;
/// # impl Service for Plain {
/// #     const NAME: &'static str = "plain";
/// #     const ABOUT: &'static str = "";
/// #     type Settings = NoSettings;
/// #     type Config = CommonConfig;
/// #     fn config(common: CommonConfig, _: NoSettings, _: &mut Problems) -> Option<CommonConfig> { Some(common) }
/// #     async fn run(_: CommonConfig, _: Sockets, _: tokio_util::sync::CancellationToken) -> anyhow::Result<()> { Ok(()) }
/// # }
/// let config = wsmesh_bootstrap::load::<Plain>(["--name", "a"], [("WSMESH_NAME", "b"), ("WSMESH_PROFILE", "demo")]);
/// let config = config.expect("valid");
/// assert_eq!(config.name.as_str(), "a");
/// assert!(config.profile.is_demo());
/// ```
pub fn load<S: Service>(
    arguments: impl IntoIterator<Item = impl Into<OsString>>,
    environment: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
) -> Result<S::Config, Vec<String>> {
    let arguments = [OsString::from(S::NAME)]
        .into_iter()
        .chain(arguments.into_iter().map(Into::into));
    let environment = environment
        .into_iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    let (arguments, wrong) = match command::parse::<S>(arguments) {
        Ok(arguments) => (arguments, None),
        Err(error) => (Arguments::default(), Some(error)),
    };
    read::<S>(&arguments, environment, wrong).map(|loaded| loaded.config)
}

/// Reads everything. If the command line is `wrong`, the other problems are found all the same.
pub(crate) fn read<S: Service>(
    arguments: &Arguments,
    environment: Environment,
    wrong: Option<clap::Error>,
) -> Result<Loaded<S::Config>, Vec<String>> {
    let flags_failed = wrong.is_some();
    let mut values = layers::<S>(arguments, environment, wrong);
    let common = CommonConfig::take(&mut values);
    let own = S::Settings::take(&mut values);
    let mut shown = values.show(&format!("The effective settings of {} {}.", S::NAME, crate::VERSION));
    let (mut problems, environment) = (values.problems, values.environment);
    // Without the flags, settings could seem to contradict each other although they do not.
    if flags_failed {
        return Err(problems.into_lines());
    }
    common.check(&mut problems);
    let common = common.checked(&mut problems);
    check_debug::<S>(&common, &mut problems);
    let mut lines = Vec::new();
    let (exports, metrics) = telemetry::<S>(&common, &environment, &mut lines);
    lines.into_iter().for_each(|line| problems.other(line));
    let destinations = Destinations::new(&environment, &exports, metrics.as_ref().map(MetricConfig::collector));
    shown.push_str(&destinations.comments());
    let config = configure::<S>(common.clone(), own, &mut problems);
    match config {
        Some(config) if problems.lines().is_empty() => Ok(Loaded {
            config,
            common,
            shown,
            exports,
            metrics,
            destinations,
        }),
        _ => Err(problems.into_lines()),
    }
}

/// A token without a port would open nothing.
fn check_debug<S: Service>(common: &CommonConfig, problems: &mut Problems) {
    let has_port = common.ops_listen.is_some() || S::SERVES_OPS_ELSEWHERE;
    if common.debug_token_file.is_some() && !has_port {
        let text = "it opens nothing while --ops-listen is none: give that an address, or remove the token";
        problems.about("debug_token_file", text);
    }
}

/// What the variables of OpenTelemetry say.
fn telemetry<S: Service>(
    common: &CommonConfig,
    environment: &Environment,
    problems: &mut Vec<String>,
) -> (Exports, Option<MetricConfig>) {
    variables::check_disabled(environment, problems);
    let name = common.name.as_str();
    let traces = TraceConfig::read(environment, S::NAME, name, problems);
    let exports = Exports {
        traces: traces.map(|traces| traces.slower_than(common.trace_slower_than)),
        logs: PushedLogs::read(environment, S::NAME, name, problems),
    };
    (exports, MetricConfig::read(environment, problems))
}

/// Checks each of a service's own settings, then all together, and makes its configuration of them. The common settings must
/// be checked already, or come from [`CommonConfig::new`]. For code that starts a service.
pub fn configure<S: Service>(
    common: CommonConfig,
    settings: S::Settings,
    problems: &mut Problems,
) -> Option<S::Config> {
    settings.check(problems);
    S::config(common, settings, problems)
}

fn layers<S: Service>(arguments: &Arguments, environment: Environment, wrong: Option<clap::Error>) -> Values {
    let mut lines: Vec<String> = wrong.iter().map(usage_line).collect();
    let declared = command::declared::<S>();
    let path = config_path(arguments, &environment);
    let file = path.and_then(|path| file::read(&path, &declared, &mut lines));
    for (key, _) in S::DEFAULTS {
        if !declared.iter().any(|setting| setting.key == *key) {
            lines.push(format!(
                "{key} has a default but is not a setting: a bug in the program"
            ));
        }
    }
    lines.extend(unknown::variables(&environment, &declared));
    let mut values = Values {
        flags: arguments.flags.clone(),
        defaults: S::DEFAULTS
            .iter()
            .map(|(key, text)| (*key, (*text).to_owned()))
            .collect(),
        declared,
        environment,
        file,
        ..Values::default()
    };
    let name = default_name(S::NAME, &values.environment);
    values.defaults.entry("name").or_insert(name);
    for line in lines {
        values.problems.other(line);
    }
    values
}

fn config_path(arguments: &Arguments, environment: &Environment) -> Option<PathBuf> {
    let variable = environment.get(CONFIG_VARIABLE).filter(|path| !path.is_empty());
    arguments.config.clone().or_else(|| variable.map(PathBuf::from))
}

/// The error of clap, on one line.
fn usage_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let said = text.split("\n\nUsage:").next().unwrap_or(&text);
    let mut parts: Vec<String> = said
        .trim_start_matches("error: ")
        .split("\n\n")
        .map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    if error.kind() == ErrorKind::InvalidSubcommand {
        parts.push("if it is the value of a switch, write it after =, as in --FLAG=true".to_owned());
    }
    parts.join("; ")
}

/// In Kubernetes and in containers the host name is unique, and people know it. Elsewhere several servers may share a host.
fn default_name(service: &str, environment: &Environment) -> String {
    let alone = environment.contains_key("KUBERNETES_SERVICE_HOST") || std::process::id() == 1;
    match environment.get("HOSTNAME").filter(|name| alone && !name.is_empty()) {
        Some(host) => host.clone(),
        None => format!("{service}-{:06x}", random() & 0x00ff_ffff),
    }
}

/// The standard library seeds each hasher randomly.
fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}

/// The address that `healthcheck` asks, and how: the ops address, on this machine. Reads no other setting, so that it is cheap.
///
/// # Errors
/// What is wrong, one line each.
pub(crate) fn ops_address<S: Service>(
    arguments: &Arguments,
    environment: Environment,
) -> Result<(SocketAddr, Speaks), Vec<String>> {
    let mut values = layers::<S>(arguments, environment, None);
    let address = values.take("ops_listen", CommonConfig::default().ops_listen);
    let speaks = match values.take("ops_tls", CommonConfig::default().ops_tls) {
        true => Speaks::Tls,
        false => Speaks::Plain,
    };
    if !values.problems.lines().is_empty() {
        return Err(values.problems.into_lines());
    }
    let Some(mut address) = address else {
        return Err(vec!["cannot ask the server: --ops-listen is none".to_owned()]);
    };
    if address.port() == 0 {
        let hint = SocketAddr::HINT;
        return Err(vec![format!(
            "cannot ask the server: --ops-listen has port 0; write {hint} with its port"
        )]);
    }
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    Ok((address, speaks))
}
