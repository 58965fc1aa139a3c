//! Reading a whole configuration.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use clap::error::ErrorKind;
use wsmesh_adapter::ServerName;

use super::command::{self, Arguments};
use super::common::{CommonConfig, CommonSettings};
use super::unknown::CONFIG_VARIABLE;
use super::values::{Environment, Values};
use super::{file, unknown};
use crate::service::Service;
use crate::settings::{Settings, Value};
use crate::telemetry::TraceConfig;

/// A configuration that may be used.
#[derive(Debug)]
pub(crate) struct Loaded<C> {
    /// For the service.
    pub(crate) config: C,
    /// For whoever starts it.
    pub(crate) common: CommonConfig,
    /// For `--print-config`.
    pub(crate) shown: String,
    /// Where traces go, if anywhere.
    pub(crate) traces: Option<TraceConfig>,
}

/// Reads a service's configuration as [`main`](crate::main()) does, from the arguments and the environment given. For tests
/// of a service's settings.
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

/// Reads everything. If the command line is `wrong`, what else is wrong is found all the same.
pub(crate) fn read<S: Service>(
    arguments: &Arguments,
    environment: Environment,
    wrong: Option<clap::Error>,
) -> Result<Loaded<S::Config>, Vec<String>> {
    let flags_failed = wrong.is_some();
    let mut values = layers::<S>(arguments, environment, wrong);
    let settings = CommonSettings::take(&mut values);
    let own = S::Settings::take(&mut values);
    let shown = values.show(&format!("The settings of {} {} in effect.", S::NAME, crate::VERSION));
    let (mut problems, environment) = (values.problems, values.environment);
    // Without the flags, settings would seem to contradict each other that do not.
    if flags_failed {
        return Err(problems.into_lines());
    }
    let name = settings.name.clone().or_else(|| ServerName::new(S::NAME).ok());
    let Some(name) = name else {
        problems.about("name", "cannot be made up: give one");
        return Err(problems.into_lines());
    };
    let common = CommonConfig::check(name, settings, &mut problems);
    let mut lines = Vec::new();
    let traces = TraceConfig::read(&environment, S::NAME, common.name.as_str(), &mut lines);
    lines.into_iter().for_each(|line| problems.other(line));
    let config = S::config(common.clone(), own, &mut problems);
    match config {
        Some(config) if problems.lines().is_empty() => Ok(Loaded {
            config,
            common,
            shown,
            traces,
        }),
        _ => Err(problems.into_lines()),
    }
}

fn layers<S: Service>(arguments: &Arguments, environment: Environment, wrong: Option<clap::Error>) -> Values {
    let mut lines: Vec<String> = wrong.iter().map(usage_line).collect();
    let declared = command::declared::<S>();
    let path = config_path(arguments, &environment);
    let file = path.and_then(|path| file::read(&path, &declared, &mut lines));
    for (key, _) in S::DEFAULTS {
        if !declared.iter().any(|setting| setting.key == *key) {
            lines.push(format!(
                "{key} has a default but is no setting: a mistake of the program"
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

/// What clap says, on one line.
fn usage_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let said = text.split("\n\nUsage:").next().unwrap_or(&text);
    let mut parts: Vec<String> = said
        .trim_start_matches("error: ")
        .split("\n\n")
        .map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    if error.kind() == ErrorKind::InvalidSubcommand {
        parts.push("if it is the value of a switch, write it behind =, as in --FLAG=true".to_owned());
    }
    parts.join("; ")
}

/// In Kubernetes and in containers the host's name is unique and known to people; elsewhere several servers share a host.
fn default_name(service: &str, environment: &Environment) -> String {
    let alone = environment.contains_key("KUBERNETES_SERVICE_HOST") || std::process::id() == 1;
    match environment.get("HOSTNAME").filter(|name| alone && !name.is_empty()) {
        Some(host) => host.clone(),
        None => format!("{service}-{:06x}", random() & 0x00ff_ffff),
    }
}

/// The standard library seeds each hasher at random.
fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}

/// Where `healthcheck` asks: the ops address, on this machine. Looks at nothing else, so that it is cheap.
///
/// # Errors
/// What is wrong, one line each.
pub(crate) fn ops_address<S: Service>(
    arguments: &Arguments,
    environment: Environment,
) -> Result<SocketAddr, Vec<String>> {
    let mut values = layers::<S>(arguments, environment, None);
    let address = values.take("ops_listen", CommonSettings::default().ops_listen);
    if !values.problems.lines().is_empty() {
        return Err(values.problems.into_lines());
    }
    let Some(mut address) = address else {
        return Err(vec!["there is nothing to ask: --ops-listen is none".to_owned()]);
    };
    if address.port() == 0 {
        let hint = SocketAddr::HINT;
        return Err(vec![format!(
            "there is nothing to ask: --ops-listen has port 0; give it as {hint}"
        )]);
    }
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    Ok(address)
}
