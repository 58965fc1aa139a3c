//! Logs that are pushed: the lines of stderr, as OTLP over HTTP, with the ids of their traces.
//!
//! They wait in a bounded queue for a thread of its own. A line that does not fit is counted and left out here; stderr has all of them.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::{LogExporter, Protocol, RetryPolicy, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::{BatchConfigBuilder, BatchLogProcessor, SdkLogger, SdkLoggerProvider};
use tracing::{Event, Level, Subscriber};
use tracing_log::NormalizeEvent;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::batches::Batches;
use super::collector::Collector;
use super::counts::{Results, pushed_lines};
use super::exporter::Counted;
use super::outage::Outage;
use super::queue::{Fill, Queue};
use super::resource::Given;
use super::signal::Signal;
use super::traces::QUIET;
use super::variables;
use crate::settings::Environment;

/// Libraries that send the lines, beside those of [`QUIET`]: about each batch they would log lines that make the next one.
const SENDING: [&str; 6] = [
    "hyper_rustls",
    "mio",
    "rustls_platform_verifier",
    "tower",
    "want",
    "webpki",
];

/// Where logs are pushed.
#[derive(Debug, Clone)]
pub(crate) struct PushedLogs {
    collector: Collector,
    batches: Batches,
    attributes: Vec<KeyValue>,
}

impl PushedLogs {
    /// Reads the variables; `None` if no logs are to be pushed.
    pub(crate) fn read(env: &Environment, service: &str, name: &str, problems: &mut Vec<String>) -> Option<Self> {
        let variable = variables::lookup(env);
        if !variables::is_pushed(Signal::Logs, variable, problems) {
            return None;
        }
        Some(Self {
            collector: Collector::read(Signal::Logs, variable, problems)?,
            batches: Batches::of_lines(variable),
            attributes: Given::read(variable, problems).attributes(service, name),
        })
    }

    /// Where logs are pushed.
    pub(super) fn collector(&self) -> &Collector {
        &self.collector
    }

    /// Starts to send in batches, from a thread of its own. Must not be called on a thread of the async runtime.
    pub(super) fn start(&self) -> Result<LogPush, String> {
        self.start_counting(pushed_lines())
    }

    fn start_counting(&self, results: &Results) -> Result<LogPush, String> {
        let sender = self.collector.client()?;
        let attempts = sender.attempts();
        let exporter = LogExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(self.collector.shown())
            .with_timeout(self.collector.timeout)
            .with_http_client(sender)
            // The sender does that, and stops when the process ends.
            .with_retry_policy(RetryPolicy::disabled())
            .build()
            .map_err(|error| format!("OTEL_EXPORTER_OTLP_*: {error}"))?;
        let fill = Arc::new(Fill::default());
        let outage = Outage::new(Signal::Logs, self.collector.endpoint.to_string());
        let exporter = Counted::new(exporter, attempts.clone(), fill.clone(), results.clone(), outage);
        let Batches { places, most, delay } = self.batches;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(places)
            .with_max_export_batch_size(most)
            .with_scheduled_delay(delay)
            .build();
        let batches = BatchLogProcessor::builder(exporter).with_batch_config(batches).build();
        let queue = Queue::new(batches, places, fill, attempts, results.dropped.clone());
        let resource = Resource::builder().with_attributes(self.attributes.iter().cloned());
        let provider = SdkLoggerProvider::builder()
            .with_log_processor(queue)
            .with_resource(resource.build())
            .build();
        Ok(LogPush(provider))
    }
}

/// Keeps pushing logs until [`LogPush::stop`].
#[derive(Debug)]
pub(super) struct LogPush(SdkLoggerProvider);

impl LogPush {
    /// The layer that pushes lines. It has no filter of its own: it gets what stderr gets.
    pub(super) fn layer(&self) -> Bridge {
        Bridge(OpenTelemetryTracingBridge::new(&self.0))
    }

    /// Sends what is left. Waits no longer than `limit`.
    pub(super) fn stop(self, limit: Duration) {
        if let Err(error) = self.0.shutdown_with_timeout(limit) {
            tracing::warn!(%error, "the last logs were not sent");
        }
    }
}

/// From lines to records.
pub(super) struct Bridge(OpenTelemetryTracingBridge<SdkLoggerProvider, SdkLogger>);

impl<S> Layer<S> for Bridge
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let about = event.normalized_metadata();
        let about = about.as_ref().unwrap_or_else(|| event.metadata());
        let library = about.target().split("::").next().unwrap_or_default();
        let is_about_sending = *about.level() > Level::WARN && (QUIET.contains(&library) || SENDING.contains(&library));
        if !is_about_sending {
            self.0.on_event(event, context);
        }
    }
}

#[cfg(test)]
#[path = "pushed_logs_tests.rs"]
mod tests;
