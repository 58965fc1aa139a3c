//! Metrics of the calls to backends. The label `backend` is from the configuration: a rule's event, or what else calls.

use std::time::Instant;

use prometheus::{
    HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, register_int_counter_vec_with_registry,
    register_int_gauge_vec_with_registry,
};
use wsmesh_adapter::exemplars::{self, TracedHistogram, TracedHistogramVec};

/// From a fast backend beside this server up to the time limits that rules usually have.
const SECONDS: [f64; 14] = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0,
];

/// Handles of the metrics; clones count the same ones.
#[derive(Debug, Clone)]
pub(crate) struct BackendMetrics {
    requests: IntCounterVec,
    seconds: TracedHistogramVec,
    in_flight: IntGaugeVec,
    retries: IntCounterVec,
    breaker_open: IntGaugeVec,
}

/// Those of one backend.
#[derive(Debug, Clone)]
pub(super) struct CallMetrics {
    requests: IntCounterVec,
    label: String,
    seconds: TracedHistogram,
    in_flight: IntGauge,
    pub(super) retries: IntCounter,
    /// 1 while it is not called.
    pub(super) breaker_open: IntGauge,
}

impl BackendMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            requests: register_int_counter_vec_with_registry!(
                "wsmesh_backend_requests_total",
                "Calls to backends, by result.",
                &["backend", "result"],
                registry
            )?,
            seconds: exemplars::histograms(
                HistogramOpts::new(
                    "wsmesh_backend_request_seconds",
                    "Time from the beginning of a call to a backend to the last byte of its answer.",
                )
                .buckets(SECONDS.to_vec()),
                &["backend"],
                registry,
            )?,
            in_flight: register_int_gauge_vec_with_registry!(
                "wsmesh_backend_in_flight",
                "Calls to backends that are under way.",
                &["backend"],
                registry
            )?,
            retries: register_int_counter_vec_with_registry!(
                "wsmesh_backend_retries_total",
                "Requests to backends that were sent again.",
                &["backend"],
                registry
            )?,
            breaker_open: register_int_gauge_vec_with_registry!(
                "wsmesh_backend_breaker_open",
                "1 while a backend is not called because it failed repeatedly, except to find out whether it works again.",
                &["backend"],
                registry
            )?,
        })
    }

    /// Those of one backend. The label must come from the configuration.
    pub(super) fn of(&self, label: &str) -> CallMetrics {
        CallMetrics {
            requests: self.requests.clone(),
            label: label.to_owned(),
            seconds: self.seconds.with_label_values(&[label]),
            in_flight: self.in_flight.with_label_values(&[label]),
            retries: self.retries.with_label_values(&[label]),
            breaker_open: self.breaker_open.with_label_values(&[label]),
        }
    }
}

impl CallMetrics {
    /// Counts a call as under way until it ends, or is dropped.
    pub(super) fn begin(&self) -> Begun {
        self.in_flight.inc();
        Begun {
            metrics: self.clone(),
            at: Instant::now(),
            result: "abandoned",
        }
    }

    /// Counts a call with this result, which is from a bounded set.
    pub(super) fn count(&self, result: &'static str) {
        self.requests.with_label_values(&[&*self.label, result]).inc();
    }
}

/// A call that is under way.
#[derive(Debug)]
pub(super) struct Begun {
    metrics: CallMetrics,
    at: Instant,
    result: &'static str,
}

impl Begun {
    /// It ended with this result, which is from a bounded set.
    pub(super) fn end(mut self, result: &'static str) {
        self.result = result;
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.metrics.in_flight.dec();
        self.metrics.count(self.result);
        self.metrics.seconds.observe(self.at.elapsed().as_secs_f64());
    }
}
