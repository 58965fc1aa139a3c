//! Counts what becomes of spans and of log lines, and logs once when that changes.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogBatch, LogExporter};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

use super::attempts::Attempts;
use super::counts::Results;
use super::outage::Outage;
use super::queue::Fill;

/// An exporter of spans or of log lines that are counted, and whose failures are logged once.
#[derive(Debug)]
pub(super) struct Counted<E> {
    exporter: E,
    attempts: Arc<Attempts>,
    fill: Arc<Fill>,
    results: Results,
    outage: Outage,
}

impl<E> Counted<E> {
    /// Wraps an exporter that sends with these attempts what it takes out of this queue.
    pub(super) fn new(exporter: E, attempts: Arc<Attempts>, fill: Arc<Fill>, results: Results, outage: Outage) -> Self {
        Self {
            exporter,
            attempts,
            fill,
            results,
            outage,
        }
    }

    fn count(&self, items: usize, result: &OTelSdkResult) {
        let outcome = self.attempts.outcome(result);
        self.results.count(items, &outcome);
        self.outage.log_with_overflow(&outcome, self.fill.overflow());
    }
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        self.fill.taken(spans);
        let result = self.exporter.export(batch).await;
        self.count(spans, &result);
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

impl<E: LogExporter> LogExporter for Counted<E> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let lines = batch.iter().count();
        self.fill.taken(lines);
        let result = self.exporter.export(batch).await;
        self.count(lines, &result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
#[path = "exporter_tests.rs"]
mod tests;
