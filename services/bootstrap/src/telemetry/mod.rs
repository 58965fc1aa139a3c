//! Logs and traces of a process. `main` sets them up once, before anything else runs, and ends them last.

mod collector;
mod exporter;
mod level;
mod lines;
mod logs;
mod repeats;
mod traces;

use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::FilterExt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

pub(crate) use level::Level;
pub(crate) use lines::metrics;
pub(crate) use repeats::Repeats;
pub(crate) use traces::TraceConfig;

use crate::config::LogConfig;

/// Keeps logs and traces going until [`Telemetry::stop`].
#[derive(Debug)]
pub(crate) struct Telemetry {
    provider: Option<SdkTracerProvider>,
    repeats: Repeats,
}

/// Sets up the logs of this server, and traces if there is a collector.
///
/// # Errors
/// A line that says what is wrong with the variables for traces.
pub(crate) fn start(server: &str, logs: &LogConfig, traces: Option<&TraceConfig>) -> Result<Telemetry, String> {
    let provider = traces.map(TraceConfig::provider).transpose()?;
    if let Some(traces) = traces {
        opentelemetry::global::set_text_map_propagator(traces.propagator());
    }
    let repeats = Repeats::default();
    let (layers, level) = layers(server, logs, &repeats, provider.as_ref());
    tracing_subscriber::registry()
        .with(layers)
        .try_init()
        .map_err(|error| format!("logs are set up already: {error}"))?;
    level.install();
    Ok(Telemetry { provider, repeats })
}

/// Only the layers that exist: an optional layer that is `None` would make every span cost something. With what changes the level of
/// the logs.
fn layers(
    server: &str,
    logs: &LogConfig,
    repeats: &Repeats,
    provider: Option<&SdkTracerProvider>,
) -> (Vec<Box<dyn Layer<Registry> + Send + Sync>>, Level) {
    let (filter, level) = Level::new(&logs.level);
    let mut layers = vec![logs::layer(logs, server, filter.and(repeats.filter()))];
    layers.extend(provider.map(|provider| traces::layer(provider).boxed()));
    (layers, level)
}

impl Telemetry {
    /// What holds back lines that are logged again and again.
    pub(crate) fn repeats(&self) -> Repeats {
        self.repeats.clone()
    }

    /// Logs what was held back, and sends the remaining traces. Blocks for some seconds at most, so it must not run on a thread of the async runtime.
    pub(crate) fn stop(self) {
        if let Some(provider) = self.provider {
            traces::stop(&provider);
        }
        self.repeats.sum_up();
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
            let (layers, _level) = layers("ws-0", &LogConfig::default(), &Repeats::default(), provider.as_ref());
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
