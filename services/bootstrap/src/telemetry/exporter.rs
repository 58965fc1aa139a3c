//! Logs once that traces cannot be sent, and once that they can be sent again, in place of an error every few seconds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

/// An exporter whose failures are logged once.
#[derive(Debug)]
pub(super) struct LoggedOnce<E> {
    exporter: E,
    endpoint: String,
    failing: AtomicBool,
}

impl<E> LoggedOnce<E> {
    /// Wraps an exporter that sends to `endpoint`.
    pub(super) fn new(exporter: E, endpoint: String) -> Self {
        let failing = AtomicBool::new(false);
        Self {
            exporter,
            endpoint,
            failing,
        }
    }

    fn log(&self, result: &OTelSdkResult) {
        let was_failing = self.failing.swap(result.is_err(), Ordering::Relaxed);
        match result {
            Err(error) if !was_failing => tracing::warn!(
                endpoint = self.endpoint,
                %error,
                "traces cannot be sent and are dropped until they can: check that OTEL_EXPORTER_OTLP_ENDPOINT is right, that a \
                 server answers there, and its certificate if it is https"
            ),
            Ok(()) if was_failing => tracing::info!(endpoint = self.endpoint, "traces are sent again"),
            _ => {}
        }
    }
}

impl<E: SpanExporter> SpanExporter for LoggedOnce<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let result = self.exporter.export(batch).await;
        self.log(&result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
