//! The smallest complete service: settings, ops routes, a clean end. The tests of this crate start it as a process.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use axum::routing::get;
use clap::{Arg, ArgMatches, Command};
use prometheus::{HistogramOpts, Registry};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use wsmesh_adapter::exemplars;
use wsmesh_bootstrap::{
    CommonConfig, Ops, Problems, SecretFile, Service, Sockets, Tables, debug, ops, print, settings,
};

settings! {
    /// Settings of the greeter.
    struct GreeterSettings {
        /// Most greetings at the same time.
        max_greetings: usize = 1_000,
        /// How long a greeting takes.
        greeting_timeout: Duration = Duration::from_secs(2),
        /// Nicknames that are not greeted.
        refused: Vec<String>,
        /// Whether to shout.
        loud: bool,
        /// File with the token that callers must send.
        token_file: Option<SecretFile>,
        /// Greetings for certain guests.
        rules: Tables<Rule>,
    }
}

/// One `[[rules]]` table.
#[derive(Debug, Clone, Deserialize)]
struct Rule {
    guest: String,
    greeting: String,
}

struct Config {
    common: CommonConfig,
    settings: GreeterSettings,
}

struct Greeter;

impl Service for Greeter {
    const NAME: &'static str = "greeter";
    const ABOUT: &'static str = "Greets everyone who connects.";
    const DEFAULTS: &'static [(&'static str, &'static str)] = &[("listen", "0.0.0.0:9200")];
    type Settings = GreeterSettings;
    type Config = Config;

    fn config(common: CommonConfig, settings: GreeterSettings, problems: &mut Problems) -> Option<Config> {
        if !common.profile.is_demo() && settings.token_file.is_none() {
            problems.about(
                "token_file",
                "profile production needs a token: name the file that holds it",
            );
        }
        Some(Config { common, settings })
    }

    async fn run(config: Config, sockets: Sockets, shutdown: CancellationToken) -> anyhow::Result<()> {
        let registry = Registry::new();
        let seconds = HistogramOpts::new("greeter_start_seconds", "How long the first greetings took.");
        let seconds = exemplars::histogram(seconds, &registry)?;
        tracing::info_span!("greet", otel.kind = "server").in_scope(|| {
            let start = Instant::now();
            for rule in config.settings.rules.iter() {
                tracing::info!(guest = rule.guest, "{}", rule.greeting);
            }
            tracing::debug!(
                loud = config.settings.loud,
                refused = config.settings.refused.len(),
                "settings"
            );
            // If the span is sampled, its trace is shown beside the value.
            seconds.observe(start.elapsed().as_secs_f64());
        });
        let options = config.common.adapter_options(Self::NAME, registry);
        let stopping = shutdown.clone();
        let ops = Ops {
            registry: options.registry,
            ready: Box::new(move || {
                if stopping.is_cancelled() {
                    Err("stopping".to_owned())
                } else {
                    Ok(())
                }
            }),
            stats: Box::new(|| serde_json::json!({"greetings": 0})),
        };
        let greet = async move || {
            tracing::info!("greeting");
            tokio::time::sleep(config.settings.greeting_timeout).await;
            "hello\n"
        };
        let router = ops::router(ops)
            .route("/greet", get(greet))
            .merge(debug::routes(&config.common)?);
        let tls = config.common.ops_acceptor()?;
        ops::serve_router(sockets.ops.into_iter().chain(sockets.public), tls, router, shutdown).await;
        Ok(())
    }

    fn tools() -> Vec<Command> {
        let guest = Arg::new("guest").long("guest").value_name("NAME").required(true);
        vec![Command::new("rehearse").about("Print a greeting").arg(guest)]
    }

    fn tool(_name: &str, arguments: &ArgMatches) -> anyhow::Result<ExitCode> {
        let guest = arguments.get_one::<String>("guest").map_or("", String::as_str);
        print(format_args!("hello, {guest}\n"))?;
        Ok(ExitCode::from(if guest == "nobody" { 7 } else { 0 }))
    }
}

fn main() -> ExitCode {
    wsmesh_bootstrap::main::<Greeter>()
}
