//! Logs and traces of a process: set up once by `main`, before anything else runs, and ended last.

mod exporter;
mod logs;
mod traces;

use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub(crate) use traces::TraceConfig;

use crate::config::LogConfig;

/// Keeps logs and traces going until [`Telemetry::stop`].
#[derive(Debug)]
pub(crate) struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

/// Sets up logs, and traces if there is somewhere to send them.
///
/// # Errors
/// A line that says what is wrong with the variables for traces.
pub(crate) fn start(logs: &LogConfig, traces: Option<&TraceConfig>) -> Result<Telemetry, String> {
    let provider = traces.map(TraceConfig::provider).transpose()?;
    if let Some(traces) = traces {
        opentelemetry::global::set_text_map_propagator(traces.propagator());
    }
    tracing_subscriber::registry()
        .with(logs::layer(logs))
        .with(provider.as_ref().map(traces::layer))
        .try_init()
        .map_err(|error| format!("logs are set up already: {error}"))?;
    Ok(Telemetry { provider })
}

impl Telemetry {
    /// Sends what is left of the traces. Blocks for some seconds at most; not for a thread of the async runtime.
    pub(crate) fn stop(self) {
        if let Some(provider) = self.provider {
            traces::stop(&provider);
        }
    }
}
