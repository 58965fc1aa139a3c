//! Families as OTLP metrics: the same names, so that dashboards fit both ways; cumulative, with the time each series began at zero.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    self as otlp, AggregationTemporality, HistogramDataPoint, NumberDataPoint, ScopeMetrics, exemplar,
    number_data_point,
};
use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};
use wsmesh_adapter::exemplars::{Exemplar, Gathered};

/// Units by the end of a name, without `_total`, and their codes (UCUM).
const UNITS: [(&str, &str); 2] = [("_seconds", "s"), ("_bytes", "By")];

/// What was last sent about each series of one server.
#[derive(Debug)]
pub(crate) struct Cumulative {
    /// When the last values were taken; at first, when the server began.
    before: u64,
    series: HashMap<String, Sent>,
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    began: u64,
    total: f64,
}

impl Cumulative {
    /// Nothing was sent yet; everything was zero at `began`.
    pub(crate) fn new(began: SystemTime) -> Self {
        Self {
            before: nanos(began),
            series: HashMap::new(),
        }
    }

    /// All values of one moment.
    pub(crate) fn convert(&mut self, gathered: &Gathered, at: SystemTime) -> ScopeMetrics {
        let now = nanos(at);
        let mut taking = Taking {
            now,
            before: self.before,
            old: std::mem::take(&mut self.series),
            new: HashMap::new(),
        };
        let families = gathered.families.iter();
        let metrics = families.filter_map(|family| taking.family(family, gathered)).collect();
        self.series = taking.new;
        self.before = now;
        ScopeMetrics {
            scope: Some(InstrumentationScope {
                name: "wsmesh".to_owned(),
                version: crate::VERSION.to_owned(),
                ..InstrumentationScope::default()
            }),
            metrics,
            ..ScopeMetrics::default()
        }
    }
}

struct Taking {
    now: u64,
    before: u64,
    old: HashMap<String, Sent>,
    new: HashMap<String, Sent>,
}

impl Taking {
    fn family(&mut self, family: &MetricFamily, gathered: &Gathered) -> Option<otlp::Metric> {
        let (name, metrics) = (family.name(), family.get_metric());
        let temporality = AggregationTemporality::Cumulative.into();
        let data = match family.get_field_type() {
            MetricType::COUNTER => Data::Sum(otlp::Sum {
                data_points: metrics.iter().map(|metric| self.counter(name, metric)).collect(),
                aggregation_temporality: temporality,
                is_monotonic: true,
            }),
            MetricType::GAUGE => {
                let point = |metric: &Metric| number(metric, metric.get_gauge().get_value(), 0, self.now);
                Data::Gauge(otlp::Gauge {
                    data_points: metrics.iter().map(point).collect(),
                })
            }
            MetricType::HISTOGRAM => Data::Histogram(otlp::Histogram {
                data_points: metrics
                    .iter()
                    .map(|metric| self.histogram(name, metric, gathered))
                    .collect(),
                aggregation_temporality: temporality,
            }),
            // The prometheus crate makes none.
            MetricType::SUMMARY | MetricType::UNTYPED => return None,
        };
        Some(otlp::Metric {
            name: name.to_owned(),
            description: family.help().to_owned(),
            unit: unit(name).to_owned(),
            data: Some(data),
            ..otlp::Metric::default()
        })
    }

    fn counter(&mut self, name: &str, metric: &Metric) -> NumberDataPoint {
        let total = metric.get_counter().get_value();
        let began = self.began(name, metric.get_label(), total);
        number(metric, total, began, self.now)
    }

    fn histogram(&mut self, name: &str, metric: &Metric, gathered: &Gathered) -> HistogramDataPoint {
        let (labels, histogram) = (metric.get_label(), metric.get_histogram());
        let count = histogram.get_sample_count();
        let (mut below, mut bucket_counts, mut explicit_bounds) = (0, Vec::new(), Vec::new());
        for bucket in histogram.get_bucket() {
            bucket_counts.push(bucket.cumulative_count().saturating_sub(below));
            explicit_bounds.push(bucket.upper_bound());
            below = bucket.cumulative_count();
        }
        bucket_counts.push(count.saturating_sub(below));
        let exemplars = gathered.exemplars.of(name, labels).iter().flatten();
        HistogramDataPoint {
            attributes: attributes(labels),
            start_time_unix_nano: self.began(name, labels, count as f64),
            time_unix_nano: self.now,
            count,
            sum: Some(histogram.get_sample_sum()),
            bucket_counts,
            explicit_bounds,
            exemplars: exemplars.map(exemplar).collect(),
            ..HistogramDataPoint::default()
        }
    }

    /// When a series was zero: when its server began, unless it fell or was not there last time.
    fn began(&mut self, name: &str, labels: &[LabelPair], total: f64) -> u64 {
        let mut key = name.to_owned();
        for label in labels {
            key.extend(["\0", label.name(), "\0", label.value()]);
        }
        let sent = self.old.get(&key).filter(|sent| sent.total <= total);
        let began = sent.map_or(self.before, |sent| sent.began);
        self.new.insert(key, Sent { began, total });
        began
    }
}

fn number(metric: &Metric, value: f64, began: u64, now: u64) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes(metric.get_label()),
        start_time_unix_nano: began,
        time_unix_nano: now,
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

fn exemplar(exemplar: &Exemplar) -> otlp::Exemplar {
    otlp::Exemplar {
        time_unix_nano: nanos(exemplar.time),
        trace_id: exemplar.trace_id.to_bytes().to_vec(),
        value: Some(exemplar::Value::AsDouble(exemplar.value)),
        ..otlp::Exemplar::default()
    }
}

fn attributes(labels: &[LabelPair]) -> Vec<KeyValue> {
    let attribute = |label: &LabelPair| KeyValue {
        key: label.name().to_owned(),
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue(label.value().to_owned())),
        }),
        ..KeyValue::default()
    };
    labels.iter().map(attribute).collect()
}

fn unit(name: &str) -> &'static str {
    let name = name.strip_suffix("_total").unwrap_or(name);
    let unit = UNITS.iter().find(|(end, _)| name.ends_with(end));
    unit.map_or("", |(_, unit)| unit)
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use opentelemetry::trace::TraceId;
    use prometheus::{Gauge, HistogramOpts, IntCounterVec, Opts, Registry};
    use wsmesh_adapter::exemplars;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn data(scope: &ScopeMetrics, name: &str) -> Data {
        let metric = scope.metrics.iter().find(|metric| metric.name == name);
        metric.and_then(|metric| metric.data.clone()).expect(name)
    }

    /// Begin, in seconds, and value of each point.
    fn points(scope: &ScopeMetrics) -> Vec<(u64, f64)> {
        let Data::Sum(sum) = data(scope, "sent_bytes_total") else {
            panic!("a sum")
        };
        assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
        let value = |point: &NumberDataPoint| match point.value {
            Some(number_data_point::Value::AsDouble(value)) => value,
            _ => panic!("a number"),
        };
        let point = |point: &NumberDataPoint| (point.start_time_unix_nano / 1_000_000_000, value(point));
        sum.data_points.iter().map(point).collect()
    }

    #[test]
    fn a_counter_begins_with_its_server_and_again_after_it_fell_or_was_away() {
        let registry = Registry::new();
        let counters = IntCounterVec::new(Opts::new("sent_bytes_total", "Help."), &["node"]).expect("valid");
        registry.register(Box::new(counters.clone())).expect("registered");
        let mut cumulative = Cumulative::new(at(100));
        let mut send = |second| points(&cumulative.convert(&exemplars::gather(&registry), at(second)));
        counters.with_label_values(&["a"]).inc_by(5);
        assert_eq!(send(160), [(100, 5.0)]);
        counters.with_label_values(&["b"]).inc_by(2);
        assert_eq!(send(220), [(100, 5.0), (160, 2.0)]);
        for node in ["a", "b"] {
            counters.remove_label_values(&[node]).expect("it is there");
        }
        counters.with_label_values(&["a"]).inc_by(1);
        assert_eq!(send(280), [(220, 1.0)]);
        counters.with_label_values(&["b"]).inc_by(9);
        assert_eq!(send(340), [(220, 1.0), (280, 9.0)]);
    }

    #[test]
    fn a_histogram_has_one_count_per_bucket_and_its_exemplars() {
        let registry = Registry::new();
        let options = HistogramOpts::new("lag_seconds", "Help.").buckets(vec![0.1, 1.0]);
        let histogram = exemplars::histogram(options, &registry).expect("registered");
        for value in [0.05, 0.5, 0.6, 7.0] {
            histogram.observe(value);
        }
        histogram.observe_in(8.0, Some(TraceId::from(0xab)));
        let scope = Cumulative::new(at(100)).convert(&exemplars::gather(&registry), at(160));
        assert_eq!(scope.metrics[0].unit, "s");
        let Data::Histogram(histogram) = data(&scope, "lag_seconds") else {
            panic!("a histogram")
        };
        let point = &histogram.data_points[0];
        assert_eq!(
            (&point.bucket_counts[..], &point.explicit_bounds[..]),
            (&[1, 2, 2][..], &[0.1, 1.0][..])
        );
        assert_eq!((point.count, point.sum), (5, Some(16.15)));
        assert_eq!(point.exemplars[0].trace_id, TraceId::from(0xab).to_bytes());
    }

    #[test]
    fn gauges_have_labels_and_no_beginning() {
        let registry = Registry::new();
        let options = Opts::new("rooms", "Help.").const_label("node", "a");
        let gauge = Gauge::with_opts(options).expect("valid");
        gauge.set(-2.5);
        registry.register(Box::new(gauge)).expect("registered");
        let scope = Cumulative::new(at(100)).convert(&exemplars::gather(&registry), at(160));
        let Data::Gauge(gauge) = data(&scope, "rooms") else {
            panic!("a gauge")
        };
        let point = &gauge.data_points[0];
        assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (0, 160_000_000_000));
        assert_eq!(point.value, Some(number_data_point::Value::AsDouble(-2.5)));
        assert_eq!(point.attributes[0].key, "node");
    }
}
