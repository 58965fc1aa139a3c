//! Traces: OTLP over HTTP, configured by the standard `OTEL_*` variables. Without an endpoint there is no exporter.
//!
//! The SDK reads some variables itself (headers, compression, resource attributes). This file, `batches` and `collector` read the others,
//! and check those that the SDK would silently misread. <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::propagation::{TextMapCompositePropagator, TextMapPropagator};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider};
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

use super::batches::Batches;
use super::beginnings::Beginnings;
use super::collector::Collector;
use super::counts::TraceCounts;
use super::exporter::Counted;
use super::kept::KeptTraces;
use super::outage::Outage;
use super::queue::{Fill, Queue};
use super::redis_service::WithRedis;
use super::resource::Given;
use super::sampler::RequestSampler;
use super::sender::Sender;
use super::signal::Signal;
use super::variables;
use crate::settings::Environment;

/// Longest wait for the last traces at the end of the process.
const FLUSH: Duration = Duration::from_secs(3);

/// Crates whose spans say nothing about messages. Those of the exporter would even trace themselves.
pub(super) const QUIET: [&str; 6] = ["h2", "hyper", "hyper_util", "opentelemetry", "reqwest", "rustls"];

/// The target of lines that say who did what to which client. Ids of clients are for the log, never for spans.
const AUDIT: &str = "audit";

/// Where traces are sent, and which ones are.
#[derive(Debug, Clone)]
pub(crate) struct TraceConfig {
    collector: Collector,
    sampler: Sampler,
    beginnings: Beginnings,
    sampler_name: String,
    /// Requests that take longer are kept although the sampler left them out; zero: none are.
    slower_than: Duration,
    batches: Batches,
    limits: Limits,
    propagators: Vec<Propagator>,
    attributes: Vec<KeyValue>,
}

/// Most of them on one span.
#[derive(Debug, Clone, Copy)]
struct Limits {
    attributes: u32,
    events: u32,
    links: u32,
}

impl Limits {
    /// The defaults are those of the specification.
    fn read<'a>(variable: impl Fn(&str) -> Option<&'a str> + Copy) -> Self {
        let of = |what| variables::number(variable, &format!("OTEL_SPAN_{what}_COUNT_LIMIT"), 128);
        Self {
            attributes: of("ATTRIBUTE"),
            events: of("EVENT"),
            links: of("LINK"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Propagator {
    TraceContext,
    Baggage,
}

impl TraceConfig {
    /// Reads the variables; `None` if no traces are to be sent. Traces are labelled with `service` and `name` unless the variables
    /// say otherwise. No trace is kept for being slow.
    pub(crate) fn read(env: &Environment, service: &str, name: &str, problems: &mut Vec<String>) -> Option<Self> {
        let variable = variables::lookup(env);
        if variables::all_disabled(variable) {
            return None;
        }
        match variable("OTEL_TRACES_EXPORTER") {
            None | Some("otlp") => {}
            Some("none") => return None,
            Some(_) => problems.push("OTEL_TRACES_EXPORTER: write otlp or none; there is no other exporter".to_owned()),
        }
        let collector = Collector::read(Signal::Traces, variable, problems)?;
        Some(Self {
            collector,
            sampler: sampler(variable, problems),
            beginnings: Beginnings::read(variable),
            sampler_name: sampler_name(variable),
            slower_than: Duration::ZERO,
            batches: Batches::of_spans(variable),
            limits: Limits::read(variable),
            propagators: propagators(variable, problems),
            attributes: Given::read(variable, problems).attributes(service, name),
        })
    }

    /// The propagator of the process: it reads and writes the context of a trace in headers.
    pub(super) fn propagator(&self) -> TextMapCompositePropagator {
        let boxed = |propagator: &Propagator| -> Box<dyn TextMapPropagator + Send + Sync> {
            match propagator {
                Propagator::TraceContext => Box::new(TraceContextPropagator::new()),
                Propagator::Baggage => Box::new(BaggagePropagator::new()),
            }
        };
        TextMapCompositePropagator::new(self.propagators.iter().map(boxed).collect())
    }

    /// Keeps traces of requests that took longer than this, too; not if it is zero.
    pub(crate) fn slower_than(mut self, limit: Duration) -> Self {
        self.slower_than = limit;
        self
    }

    /// Where traces are sent.
    pub(super) fn collector(&self) -> &Collector {
        &self.collector
    }

    /// Which messages begin a trace.
    pub(super) fn beginnings(&self) -> Beginnings {
        self.beginnings
    }

    /// The sampler, as the variables name it.
    pub(super) fn sampler_name(&self) -> &str {
        &self.sampler_name
    }

    /// A provider that sends in batches from a thread of its own. Must not be made on a thread of the async runtime.
    pub(super) fn provider(&self) -> Result<SdkTracerProvider, String> {
        self.provider_counting(TraceCounts::of_this_process())
    }

    pub(super) fn provider_counting(&self, counts: &TraceCounts) -> Result<SdkTracerProvider, String> {
        let resource = Resource::builder()
            .with_attributes(self.attributes.iter().cloned())
            .build();
        let fill = Arc::new(Fill::default());
        let sender = self.collector.client()?;
        let attempts = sender.attempts();
        let exporter = self.exporter(sender, &fill, counts)?;
        let Batches { places, most, delay } = self.batches;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(places)
            .with_max_export_batch_size(most)
            .with_scheduled_delay(delay)
            .build();
        let batches = BatchSpanProcessor::new(exporter, batches);
        let queue = Queue::new(batches, places, fill, attempts, counts.spans.dropped.clone());
        let builder = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_max_attributes_per_span(self.limits.attributes)
            .with_max_events_per_span(self.limits.events)
            .with_max_links_per_span(self.limits.links);
        Ok(match &self.sampler {
            // Nothing is recorded then.
            Sampler::AlwaysOff => builder
                .with_sampler(Sampler::AlwaysOff)
                .with_span_processor(queue)
                .build(),
            head => builder
                .with_sampler(RequestSampler::new(head.clone()))
                .with_span_processor(KeptTraces::new(queue, self.slower_than, counts.clone()))
                .build(),
        })
    }

    pub(super) fn exporter(
        &self,
        sender: Sender,
        fill: &Arc<Fill>,
        counts: &TraceCounts,
    ) -> Result<WithRedis<Counted<SpanExporter>, SpanExporter>, String> {
        let outage = Outage::new(Signal::Traces, self.collector.endpoint.to_string());
        let own = Counted::new(
            self.sending_by(sender.clone())?,
            sender.attempts(),
            fill.clone(),
            counts.spans.clone(),
            outage,
        );
        Ok(WithRedis::new(own, self.sending_by(sender.beside())?))
    }

    fn sending_by(&self, sender: Sender) -> Result<SpanExporter, String> {
        SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(self.collector.shown())
            .with_timeout(self.collector.timeout)
            .with_http_client(sender)
            // The sender does that, and stops when the process ends.
            .with_retry_policy(RetryPolicy::disabled())
            .build()
            .map_err(|error| format!("OTEL_EXPORTER_OTLP_*: {error}"))
    }
}

/// The layer that turns spans into traces. It does not depend on the log level: traces stay complete if logs are turned down.
pub(super) fn layer<S>(provider: &SdkTracerProvider) -> impl Layer<S> + Send + Sync + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let quiet = QUIET.map(|target| (target, LevelFilter::OFF));
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("wsmesh"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_filter(
            Targets::new()
                .with_default(LevelFilter::INFO)
                .with_targets(quiet)
                .with_target(AUDIT, LevelFilter::OFF),
        )
}

/// Sends what is left.
pub(super) fn stop(provider: &SdkTracerProvider) {
    if let Err(error) = provider.shutdown_with_timeout(FLUSH) {
        tracing::warn!(%error, "the last traces were not sent");
    }
}

fn sampler<'a>(variable: impl Fn(&str) -> Option<&'a str>, problems: &mut Vec<String>) -> Sampler {
    let mut ratio = || match variable("OTEL_TRACES_SAMPLER_ARG") {
        None => 1.0,
        Some(text) => text
            .parse()
            .ok()
            .filter(|ratio| (0.0..=1.0).contains(ratio))
            .unwrap_or_else(|| {
                problems.push("OTEL_TRACES_SAMPLER_ARG: write the share of traces to keep, from 0 to 1".to_owned());
                1.0
            }),
    };
    let parent_based = |root| Sampler::ParentBased(Box::new(root));
    match variable("OTEL_TRACES_SAMPLER") {
        // By the specification it would be ignored, and all traces sent.
        None if variable("OTEL_TRACES_SAMPLER_ARG").is_some() => {
            let unused = "OTEL_TRACES_SAMPLER_ARG: it is not used without a sampler: add OTEL_TRACES_SAMPLER=parentbased_traceidratio";
            problems.push(unused.to_owned());
            Sampler::AlwaysOff
        }
        None | Some("parentbased_always_on") => parent_based(Sampler::AlwaysOn),
        Some("parentbased_traceidratio") => parent_based(Sampler::TraceIdRatioBased(ratio())),
        Some("parentbased_always_off") => parent_based(Sampler::AlwaysOff),
        Some("always_on") => Sampler::AlwaysOn,
        Some("always_off") => Sampler::AlwaysOff,
        Some("traceidratio") => Sampler::TraceIdRatioBased(ratio()),
        Some(other) => {
            problems.push(format!(
                "OTEL_TRACES_SAMPLER: {other:?} is unknown: write parentbased_traceidratio, and the share to keep in \
                 OTEL_TRACES_SAMPLER_ARG"
            ));
            Sampler::AlwaysOff
        }
    }
}

/// The sampler, as the variables name it.
fn sampler_name<'a>(variable: impl Fn(&str) -> Option<&'a str>) -> String {
    let name = variable("OTEL_TRACES_SAMPLER").unwrap_or("parentbased_always_on");
    let share = variable("OTEL_TRACES_SAMPLER_ARG").filter(|_| name.ends_with("traceidratio"));
    share.map_or_else(|| name.to_owned(), |share| format!("{name} {share}"))
}

fn propagators<'a>(variable: impl Fn(&str) -> Option<&'a str>, problems: &mut Vec<String>) -> Vec<Propagator> {
    let names = variable("OTEL_PROPAGATORS").unwrap_or("tracecontext,baggage");
    let mut propagators = Vec::new();
    for name in names.split(',').map(str::trim) {
        match name {
            "tracecontext" => propagators.push(Propagator::TraceContext),
            "baggage" => propagators.push(Propagator::Baggage),
            "none" | "" => {}
            other => problems.push(format!(
                "OTEL_PROPAGATORS: {other:?} is unknown: write tracecontext, baggage, both with a comma, or none"
            )),
        }
    }
    propagators
}

#[cfg(test)]
#[path = "traces_tests.rs"]
mod tests;
