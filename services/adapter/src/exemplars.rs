//! Histograms that remember an exemplar: for each bucket, the trace of the last sampled observation.
//!
//! An observation outside a sampled trace takes no lock and allocates nothing. An observation never waits: when an exemplar is
//! being read or written, it leaves its own out. Exemplars come out by [`gather`], beside the families of their registry. To
//! everyone else a registry looks as if it had histograms of the `prometheus` crate, which knows no exemplars.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::trace::{TraceContextExt, TraceId};
use parking_lot::Mutex;
use prometheus::core::{Metric, MetricVec, MetricVecBuilder};
use prometheus::proto::{self, LabelPair, MetricFamily, MetricType};
use prometheus::{Histogram, HistogramOpts, Registry};

/// A histogram with exemplars. Clones are the same histogram.
#[derive(Debug, Clone)]
pub struct TracedHistogram {
    inner: Arc<Inner>,
}

/// A histogram with exemplars for each combination of values of its labels.
pub type TracedHistogramVec = MetricVec<TracedHistogramBuilder>;

/// A value that was measured in a sampled trace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exemplar {
    /// The trace.
    pub trace_id: TraceId,
    /// What was observed.
    pub value: f64,
    /// When.
    pub time: SystemTime,
}

/// Registers a histogram with exemplars.
///
/// # Errors
/// As of [`histograms`].
pub fn histogram(options: HistogramOpts, registry: &Registry) -> prometheus::Result<TracedHistogram> {
    histograms(options, &[], registry)?.get_metric_with_label_values::<&str>(&[])
}

/// Registers histograms with exemplars, one for each combination of values of these labels.
///
/// # Errors
/// When names or buckets are not allowed, or the registry has metrics of this name already.
pub fn histograms(
    options: HistogramOpts,
    labels: &[&str],
    registry: &Registry,
) -> prometheus::Result<TracedHistogramVec> {
    let options = options.variable_labels(labels.iter().map(|label| (*label).to_owned()).collect());
    let histograms = MetricVec::create(MetricType::HISTOGRAM, TracedHistogramBuilder(()), options)?;
    registry.register(Box::new(histograms.clone()))?;
    Ok(histograms)
}

/// The id of the trace that the current span belongs to, if the trace is sampled.
pub fn current_trace() -> Option<TraceId> {
    opentelemetry::Context::map_current(|context| {
        if !context.has_active_span() {
            return None;
        }
        let span = context.span();
        let context = span.span_context();
        context.is_sampled().then(|| context.trace_id())
    })
}

impl TracedHistogram {
    /// Adds an observation. The current span gives the exemplar, if its trace is sampled.
    pub fn observe(&self, value: f64) {
        self.observe_in(value, current_trace());
    }

    /// Adds an observation that was made in this sampled trace, or in none.
    pub fn observe_in(&self, value: f64, trace: Option<TraceId>) {
        self.inner.histogram.observe(value);
        if let Some(trace_id) = trace {
            self.inner.remember(trace_id, value);
        }
    }
}

#[derive(Debug)]
struct Inner {
    histogram: Histogram,
    family: String,
    /// Upper bounds of the buckets; one more takes what is above all.
    bounds: Vec<f64>,
    /// One place for each bucket; empty until there is an exemplar.
    last: Mutex<Box<[Option<Exemplar>]>>,
}

impl Inner {
    #[cold]
    fn remember(&self, trace_id: TraceId, value: f64) {
        let place = self.bounds.iter().position(|bound| value <= *bound);
        let bucket = place.unwrap_or(self.bounds.len());
        let Some(mut last) = self.last.try_lock() else { return };
        if last.is_empty() {
            *last = vec![None; self.bounds.len() + 1].into();
        }
        last[bucket] = Some(Exemplar {
            trace_id,
            value,
            time: SystemTime::now(),
        });
    }
}

impl Metric for TracedHistogram {
    fn metric(&self) -> proto::Metric {
        let metric = self.inner.histogram.metric();
        GATHERING.with_borrow_mut(|gathering| {
            let Some(exemplars) = gathering else { return };
            let last = self.inner.last.lock();
            if !last.is_empty() {
                let series = Series {
                    labels: metric.get_label().to_vec(),
                    last: last.clone(),
                };
                exemplars
                    .families
                    .entry(self.inner.family.clone())
                    .or_default()
                    .push(series);
            }
        });
        metric
    }
}

/// Builds the histograms of a [`TracedHistogramVec`].
#[derive(Debug, Clone)]
pub struct TracedHistogramBuilder(());

impl MetricVecBuilder for TracedHistogramBuilder {
    type M = TracedHistogram;
    type P = HistogramOpts;

    fn build<V: AsRef<str>>(&self, options: &HistogramOpts, values: &[V]) -> prometheus::Result<TracedHistogram> {
        // Only the crate itself can make a histogram with values of variable labels. Constant ones look the same outside.
        let mut options = options.clone();
        let names = std::mem::take(&mut options.common_opts.variable_labels);
        for (name, value) in names.into_iter().zip(values) {
            options = options.const_label(name, value.as_ref());
        }
        let (family, mut bounds) = (options.fq_name(), options.buckets.clone());
        bounds.retain(|bound| bound.is_finite());
        Ok(TracedHistogram {
            inner: Arc::new(Inner {
                histogram: Histogram::with_opts(options)?,
                family,
                bounds,
                last: Mutex::default(),
            }),
        })
    }
}

/// All families of a registry, and the exemplars that belong to them.
#[derive(Debug, Default)]
pub struct Gathered {
    /// What [`Registry::gather`] returns.
    pub families: Vec<MetricFamily>,
    /// Exemplars of the histograms among them.
    pub exemplars: Exemplars,
}

/// Exemplars by family, labels and bucket.
#[derive(Debug, Default)]
pub struct Exemplars {
    families: HashMap<String, Vec<Series>>,
}

#[derive(Debug)]
struct Series {
    labels: Vec<LabelPair>,
    last: Box<[Option<Exemplar>]>,
}

impl Exemplars {
    /// The exemplars of one histogram: one place for each bucket, and a last one for what is above all bounds. Empty without any.
    pub fn of(&self, family: &str, labels: &[LabelPair]) -> &[Option<Exemplar>] {
        let mut series = self.families.get(family).into_iter().flatten();
        series
            .find(|series| series.labels == labels)
            .map_or(&[], |series| &series.last)
    }
}

thread_local! {
    /// Where histograms that are collected on this thread leave their exemplars: a registry passes on nothing but families.
    static GATHERING: RefCell<Option<Exemplars>> = const { RefCell::new(None) };
}

/// Gathers the metrics of a registry with their exemplars.
pub fn gather(registry: &Registry) -> Gathered {
    GATHERING.set(Some(Exemplars::default()));
    let families = registry.gather();
    let exemplars = GATHERING.take().unwrap_or_default();
    Gathered { families, exemplars }
}

#[cfg(test)]
mod tests {
    use opentelemetry::Context;
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceState};

    use super::*;

    fn options(name: &str) -> HistogramOpts {
        HistogramOpts::new(name, "Help.").buckets(vec![0.1, 1.0])
    }

    fn in_trace(trace: u128, flags: TraceFlags) -> Context {
        let span = SpanContext::new(trace.into(), SpanId::from(7), flags, false, TraceState::default());
        Context::new().with_remote_span_context(span)
    }

    /// The family's name, and for each of its series the traces of its buckets.
    fn traces(gathered: &Gathered) -> Vec<(String, Vec<Option<u128>>)> {
        let of = |family: &MetricFamily, metric: &proto::Metric| {
            let exemplars = gathered.exemplars.of(family.name(), metric.get_label());
            let trace = |exemplar: &Exemplar| u128::from_be_bytes(exemplar.trace_id.to_bytes());
            exemplars.iter().map(|exemplar| exemplar.as_ref().map(trace)).collect()
        };
        let families = gathered.families.iter();
        let series = families.flat_map(|family| family.get_metric().iter().map(move |metric| (family, metric)));
        series
            .map(|(family, metric)| (family.name().to_owned(), of(family, metric)))
            .collect()
    }

    #[test]
    fn the_last_sampled_trace_of_each_bucket_is_kept_and_bounds_belong_to_their_bucket() {
        let registry = Registry::new();
        let histogram = histogram(options("times"), &registry).expect("registered");
        for (value, trace) in [(0.1, 1), (0.05, 2), (0.5, 3), (1.5, 4)] {
            let _entered = in_trace(trace, TraceFlags::SAMPLED).attach();
            histogram.observe(value);
        }
        histogram.observe(0.2);
        let gathered = gather(&registry);
        assert_eq!(
            traces(&gathered),
            [("times".to_owned(), vec![Some(2), Some(3), Some(4)])]
        );
        let exemplar = gathered.exemplars.of("times", &[])[1].expect("kept");
        assert_eq!(exemplar.value, 0.5);
        assert_eq!(
            gathered.families[0].get_metric()[0].get_histogram().get_sample_count(),
            5
        );
    }

    #[test]
    fn observations_outside_of_a_sampled_trace_leave_no_exemplar() {
        let registry = Registry::new();
        let histogram = histogram(options("times"), &registry).expect("registered");
        histogram.observe(0.2);
        let _entered = in_trace(1, TraceFlags::default()).attach();
        histogram.observe(0.2);
        assert_eq!(traces(&gather(&registry)), [("times".to_owned(), vec![])]);
        assert!(histogram.inner.last.lock().is_empty(), "nothing is allocated");
    }

    #[test]
    fn values_that_no_number_bounds_are_above_all_and_harm_nothing() {
        let registry = Registry::new();
        let histogram = histogram(options("times"), &registry).expect("registered");
        for value in [f64::INFINITY, f64::NAN] {
            histogram.observe_in(value, Some(TraceId::from(9)));
        }
        assert_eq!(
            traces(&gather(&registry)),
            [("times".to_owned(), vec![None, None, Some(9)])]
        );
    }

    #[test]
    fn series_and_registries_do_not_mix() {
        let (one, other) = (Registry::new(), Registry::new());
        let first = histograms(options("times"), &["node", "also"], &one).expect("registered");
        let second = histograms(options("times"), &["node", "also"], &other).expect("registered");
        first
            .with_label_values(&["a", "x"])
            .observe_in(0.5, Some(TraceId::from(1)));
        first
            .with_label_values(&["b", "x"])
            .observe_in(0.5, Some(TraceId::from(2)));
        second.with_label_values(&["a", "x"]).observe(0.5);
        let found = traces(&gather(&one));
        assert_eq!(
            found.into_iter().map(|(_, traces)| traces).collect::<Vec<_>>(),
            [vec![None, Some(1), None], vec![None, Some(2), None]]
        );
        assert_eq!(traces(&gather(&other)), [("times".to_owned(), vec![])]);
        assert!(
            histograms(options("times"), &["node", "also"], &one).is_err(),
            "it is there already"
        );
    }

    #[test]
    fn a_registry_shows_the_same_as_with_histograms_of_its_crate() {
        let (ours, theirs) = (Registry::new(), Registry::new());
        let traced = histograms(options("times"), &["node", "also"], &ours).expect("registered");
        let plain = prometheus::HistogramVec::new(options("times"), &["node", "also"]).expect("valid");
        theirs.register(Box::new(plain.clone())).expect("registered");
        for value in [0.05, 0.1, 7.0] {
            traced.with_label_values(&["a", "x"]).observe(value);
            plain.with_label_values(&["a", "x"]).observe(value);
        }
        assert_eq!(ours.gather(), theirs.gather());
        traced.remove_label_values(&["a", "x"]).expect("it is there");
        assert_eq!(ours.gather(), []);
    }

    #[test]
    fn an_observation_does_not_wait_for_a_reader_of_exemplars() {
        let registry = Registry::new();
        let histogram = histogram(options("times"), &registry).expect("registered");
        let reading = histogram.inner.last.lock();
        histogram.observe_in(0.2, Some(TraceId::from(1)));
        drop(reading);
        assert!(gather(&registry).exemplars.of("times", &[]).is_empty());
    }
}
