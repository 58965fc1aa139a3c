//! Logs and traces of a process. `main` sets them up once, before anything else runs, and ends them last.

#[cfg(test)]
mod answers_tests;
mod attempts;
mod batches;
mod beginnings;
mod collector;
mod counts;
mod destinations;
mod exporter;
mod failure;
mod kept;
mod level;
mod lines;
mod logs;
mod outage;
mod pushed_logs;
mod queue;
mod reason;
#[cfg(test)]
pub(crate) mod receiver;
mod redis_service;
mod repeats;
mod resource;
mod sampler;
mod sender;
mod signal;
mod traces;
pub(crate) mod variables;
#[cfg(test)]
pub(crate) mod written;

use std::time::Duration;

use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::FilterExt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

pub use beginnings::begins_trace;
pub(crate) use counts::{TraceCounts, pushed_lines};
pub(crate) use destinations::Destinations;
pub(crate) use level::Level;
pub(crate) use lines::metrics;
pub(crate) use pushed_logs::PushedLogs;
pub(crate) use repeats::Repeats;
pub(crate) use traces::TraceConfig;

/// For what else is sent to a collector.
pub(crate) mod sending {
    pub(crate) use super::attempts::Attempts;
    pub(crate) use super::collector::Collector;
    pub(crate) use super::failure::Failure;
    pub(crate) use super::outage::Outage;
    pub(crate) use super::resource::Given;
    pub(crate) use super::sender::Sender;
    pub(crate) use super::signal::Signal;
}

use crate::config::LogConfig;
use crate::settings::Environment;
use pushed_logs::LogPush;

/// Longest wait for what is left to be sent at the end of the process.
pub(crate) const FLUSH: Duration = Duration::from_secs(3);

/// Where traces and logs are sent, if anywhere.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exports {
    pub(crate) traces: Option<TraceConfig>,
    pub(crate) logs: Option<PushedLogs>,
}

/// Keeps logs and traces going until [`Telemetry::stop`].
#[derive(Debug)]
pub(crate) struct Telemetry {
    traces: Option<SdkTracerProvider>,
    logs: Option<LogPush>,
    repeats: Repeats,
}

/// Sets up the logs of this server, and sends what is to be sent.
///
/// # Errors
/// A line that says what is wrong with the variables.
pub(crate) fn start(server: &str, logs: &LogConfig, exports: &Exports) -> Result<Telemetry, String> {
    let traces = exports.traces.as_ref().map(TraceConfig::provider).transpose()?;
    if let Some(traces) = &exports.traces {
        opentelemetry::global::set_text_map_propagator(traces.propagator());
        traces.beginnings().install();
    }
    let pushed = exports.logs.as_ref().map(PushedLogs::start).transpose()?;
    let repeats = Repeats::default();
    let (layers, level) = layers(server, logs, &repeats, traces.as_ref(), pushed.as_ref());
    tracing_subscriber::registry()
        .with(layers)
        .try_init()
        .map_err(|error| format!("logs are set up already: {error}"))?;
    level.install();
    Ok(Telemetry {
        traces,
        logs: pushed,
        repeats,
    })
}

/// For benchmarks: what a server does with its spans if these variables are set. What comes of it is sent until the process ends.
///
/// # Errors
/// What is wrong with the variables.
pub fn traced<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<tracing::Dispatch, String> {
    let variables = variables.into_iter();
    let env: Environment = variables
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut problems = Vec::new();
    let Some(config) = TraceConfig::read(&env, "bench", "bench-0", &mut problems) else {
        return Err(problems.join("; "));
    };
    // Fails only if one is installed already.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    config.beginnings().install();
    let provider = config.slower_than(Duration::from_secs(1)).provider()?;
    let subscriber = tracing_subscriber::registry().with(traces::layer(&provider));
    Ok(tracing::Dispatch::new(subscriber))
}

/// Only the layers that exist: an optional layer that is `None` would make every span cost something. With what changes the level of
/// the logs.
fn layers(
    server: &str,
    logs: &LogConfig,
    repeats: &Repeats,
    traces: Option<&SdkTracerProvider>,
    pushed: Option<&LogPush>,
) -> (Vec<Box<dyn Layer<Registry> + Send + Sync>>, Level) {
    let (filter, level) = Level::new(&logs.level);
    let mut layers = vec![logs::layer(
        logs,
        server,
        filter.and(repeats.filter()),
        pushed.map(LogPush::layer),
    )];
    layers.extend(traces.map(|traces| traces::layer(traces).boxed()));
    (layers, level)
}

impl Telemetry {
    /// What holds back lines that are logged again and again.
    pub(crate) fn repeats(&self) -> Repeats {
        self.repeats.clone()
    }

    /// Logs what was held back, and sends what remains. Blocks for some seconds at most, so it must not run on a thread of the async
    /// runtime.
    pub(crate) fn stop(self) {
        let Self { traces, logs, repeats } = self;
        repeats.sum_up();
        std::thread::scope(|scope| {
            // Both at once, so that a collector that hangs does not take the time twice.
            scope.spawn(|| traces.as_ref().inspect(|traces| traces::stop(traces)));
            scope.spawn(|| logs.map(|logs| logs.stop(FLUSH)));
        });
        repeats.sum_up();
    }
}

#[cfg(test)]
mod tests {
    use tracing::Subscriber;
    use tracing::level_filters::LevelFilter;

    use super::*;

    #[test]
    fn without_an_exporter_of_traces_a_span_costs_nothing() {
        for (provider, costs_nothing) in [(None, true), (Some(SdkTracerProvider::builder().build()), false)] {
            let (layers, _level) = layers(
                "ws-0",
                &LogConfig::default(),
                &Repeats::default(),
                provider.as_ref(),
                None,
            );
            let subscriber = tracing_subscriber::registry().with(layers);
            assert_eq!(
                subscriber.max_level_hint(),
                Some(LevelFilter::INFO),
                "libraries format nothing below this level"
            );
            let span = match provider {
                None => tracing::info_span!("without"),
                Some(_) => tracing::info_span!("with"),
            };
            let about = span.metadata().expect("every span tells");
            assert_eq!(subscriber.register_callsite(about).is_never(), costs_nothing);
        }
    }
}
