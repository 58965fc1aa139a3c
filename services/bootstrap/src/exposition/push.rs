//! Metrics that are pushed: what `/metrics` shows of every server of this process, as OTLP over HTTP, every minute.
//!
//! A thread of its own gathers and sends. It holds nothing back: what a collector does not take is in the next push, as values are
//! totals. It never makes anything else wait, except for the last push at the end of the process, and that is limited.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant, SystemTime};

use axum::http::StatusCode;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use futures_util::FutureExt;
use opentelemetry_http::{Bytes, HttpClient, Request};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::ResourceMetrics;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::transform::common::tonic::Attributes;
use prost::Message;

use super::gzip;
use super::otlp::Cumulative;
use super::sources::{Source, Sources};
use crate::settings::Environment;
use crate::telemetry::sending::{Attempts, Collector, Failure, Given, Outage, Sender as HttpSender, Signal};
use crate::telemetry::variables;

/// Time between two pushes, as OpenTelemetry specifies.
const INTERVAL_MS: u64 = 60_000;

/// Where metrics are pushed, and how often.
#[derive(Debug, Clone)]
pub(crate) struct MetricConfig {
    collector: Collector,
    interval: Duration,
    given: Given,
}

impl MetricConfig {
    /// Reads the variables; `None` if no metrics are to be pushed.
    pub(crate) fn read(env: &Environment, problems: &mut Vec<String>) -> Option<Self> {
        let variable = variables::lookup(env);
        if !variables::is_pushed(Signal::Metrics, variable, problems) {
            return None;
        }
        Some(Self {
            collector: Collector::read(Signal::Metrics, variable, problems)?,
            interval: Duration::from_millis(variables::number(variable, "OTEL_METRIC_EXPORT_INTERVAL", INTERVAL_MS)),
            given: Given::read(variable, problems),
        })
    }

    /// Where metrics are pushed.
    pub(crate) fn collector(&self) -> &Collector {
        &self.collector
    }

    /// Starts pushing the metrics of these servers. Must not be called on a thread of the async runtime.
    pub(crate) fn start(&self, sources: &'static Sources) -> Result<MetricPush, String> {
        let mut pusher = self.pusher(sources)?;
        let attempts = pusher.client.attempts();
        let (interval, (stop, stopped), (end, ended)) = (self.interval, channel(), channel());
        let run = move || {
            pusher.run(interval, &stopped);
            // Nobody waits any more if it took too long.
            let _ = end.send(());
        };
        let thread = std::thread::Builder::new().name("otlp-metrics".to_owned());
        let started = thread
            .spawn(run)
            .map_err(|error| format!("metrics cannot be pushed: {error}"));
        started.map(|_ends_when_stopped| MetricPush { stop, ended, attempts })
    }

    fn pusher(&self, sources: &'static Sources) -> Result<Pusher, String> {
        sources.keep();
        Ok(Pusher {
            client: self.collector.client()?,
            endpoint: self.collector.shown(),
            headers: self.headers(),
            compress: self.collector.compress,
            given: self.given.clone(),
            sources,
            sent: HashMap::new(),
            outage: Outage::new(Signal::Metrics, self.collector.endpoint.to_string()),
        })
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = self.collector.headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        if self.collector.compress {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        headers
    }
}

/// Keeps metrics going until [`MetricPush::stop`].
#[derive(Debug)]
pub(crate) struct MetricPush {
    stop: Sender<()>,
    ended: Receiver<()>,
    attempts: Arc<Attempts>,
}

impl MetricPush {
    /// Pushes a last time. Waits no longer than `limit`.
    pub(crate) fn stop(self, limit: Duration) {
        self.attempts.end();
        drop(self.stop);
        if self.ended.recv_timeout(limit).is_err() {
            tracing::warn!("the last metrics were not sent");
        }
    }
}

struct Pusher {
    client: HttpSender,
    endpoint: String,
    headers: HeaderMap,
    compress: bool,
    given: Given,
    sources: &'static Sources,
    /// What was sent of each server, by its service and name.
    sent: HashMap<(String, String), (Arc<Source>, Cumulative)>,
    outage: Outage,
}

impl Pusher {
    fn run(&mut self, interval: Duration, stopped: &Receiver<()>) {
        let mut next = Instant::now() + interval;
        loop {
            let wait = next.saturating_duration_since(Instant::now());
            let goes_on = stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout);
            let result = self.push();
            self.outage.log(&result);
            if !goes_on {
                return;
            }
            // After a push that took longer, the next one is not made at once.
            next = (next + interval).max(Instant::now() + interval / 2);
        }
    }

    fn push(&mut self) -> Result<(), Failure> {
        let resource_metrics: Vec<ResourceMetrics> =
            self.sources.all().iter().map(|source| self.take(source)).collect();
        if resource_metrics.is_empty() {
            return Ok(());
        }
        let body = ExportMetricsServiceRequest { resource_metrics }.encode_to_vec();
        let answer = self.send(body).map_err(Failure::NoAnswer)?;
        if !answer.is_success() {
            return Err(Failure::Refused(answer));
        }
        let rejected = self.client.attempts().take_rejected();
        rejected.map_or(Ok(()), |part| Err(Failure::Rejected(part)))
    }

    /// The status of the answer.
    fn send(&self, mut body: Vec<u8>) -> Result<StatusCode, String> {
        if self.compress {
            body = gzip(&body).map_err(|error| error.to_string())?;
        }
        let mut request = Request::post(&self.endpoint)
            .body(Bytes::from(body))
            .map_err(|error| error.to_string())?;
        *request.headers_mut() = self.headers.clone();
        // The client blocks, so the answer is there at once.
        let answer = self.client.send_bytes(request).now_or_never();
        let answer = answer.ok_or("the client did not block")?;
        answer.map(|answer| answer.status()).map_err(|error| error.to_string())
    }

    fn take(&mut self, source: &Arc<Source>) -> ResourceMetrics {
        let new = || (source.clone(), Cumulative::new(source.began));
        let (of, cumulative) = self
            .sent
            .entry((source.service.clone(), source.name.clone()))
            .or_insert_with(new);
        if !Arc::ptr_eq(of, source) {
            (*of, *cumulative) = new();
        }
        let gathered = source.exposition.gather();
        let scope = cumulative.convert(&gathered, SystemTime::now());
        let resource = self.given.resource(&source.service, &source.name);
        let attributes = resource
            .iter()
            .map(|(key, value)| opentelemetry::KeyValue::new(key.clone(), value.clone()));
        ResourceMetrics {
            resource: Some(Resource {
                attributes: Attributes::from(attributes).0,
                ..Resource::default()
            }),
            scope_metrics: vec![scope],
            ..ResourceMetrics::default()
        }
    }
}

#[cfg(test)]
#[path = "push_tests.rs"]
mod tests;
