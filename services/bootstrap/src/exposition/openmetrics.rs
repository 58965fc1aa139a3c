//! OpenMetrics 1.0 text, with exemplars. <https://prometheus.io/docs/specs/om/open_metrics_spec/>
//!
//! Prometheus computes with the same names as in its own text format. Upper bounds of buckets are written as the specification
//! asks: `1.0`, `5e-05`.

use std::collections::HashSet;
use std::fmt::{self, Display, Write};
use std::time::UNIX_EPOCH;

use prometheus::proto::{Histogram, LabelPair, Metric, MetricFamily, MetricType, Summary};
use wsmesh_adapter::exemplars::{Exemplar, Gathered};

pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Units that a family's name may end with.
const UNITS: [&str; 2] = ["seconds", "bytes"];

/// Writes all families.
pub(super) fn write(gathered: &Gathered) -> String {
    let names: HashSet<&str> = gathered.families.iter().map(MetricFamily::name).collect();
    let mut text = String::new();
    for family in &gathered.families {
        // A String takes everything.
        let _ = write_family(&mut text, family, &names, gathered);
    }
    text.push_str("# EOF\n");
    text
}

fn write_family(text: &mut String, family: &MetricFamily, names: &HashSet<&str>, gathered: &Gathered) -> fmt::Result {
    let full = family.name();
    // A counter without the suffix, or with the name of another family before it, is none in OpenMetrics.
    let counter = full.strip_suffix("_total").filter(|name| !names.contains(name));
    let (name, kind) = match (family.get_field_type(), counter) {
        (MetricType::COUNTER, Some(name)) => (name, "counter"),
        (MetricType::COUNTER, None) | (MetricType::UNTYPED, _) => (full, "unknown"),
        (MetricType::GAUGE, _) => (full, "gauge"),
        (MetricType::HISTOGRAM, _) => (full, "histogram"),
        (MetricType::SUMMARY, _) => (full, "summary"),
    };
    writeln!(text, "# TYPE {name} {kind}")?;
    if let Some(unit) = UNITS.iter().find(|unit| name.ends_with(&format!("_{unit}"))) {
        writeln!(text, "# UNIT {name} {unit}")?;
    }
    writeln!(text, "# HELP {name} {}", Escaped(family.help()))?;
    for metric in family.get_metric() {
        let labels = metric.get_label();
        match family.get_field_type() {
            MetricType::COUNTER => sample(text, full, labels, None, Number(metric.get_counter().get_value()))?,
            MetricType::GAUGE => sample(text, full, labels, None, Number(metric.get_gauge().get_value()))?,
            // The prometheus crate makes none.
            MetricType::UNTYPED => {}
            MetricType::SUMMARY => write_summary(text, full, labels, metric.get_summary())?,
            MetricType::HISTOGRAM => write_histogram(text, full, metric, gathered)?,
        }
    }
    Ok(())
}

fn write_histogram(text: &mut String, name: &str, metric: &Metric, gathered: &Gathered) -> fmt::Result {
    let (labels, histogram): (_, &Histogram) = (metric.get_label(), metric.get_histogram());
    let exemplars = gathered.exemplars.of(name, labels);
    let total = histogram.get_sample_count();
    let finite = histogram.get_bucket().iter();
    let buckets = finite.map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()));
    let bucket_name = format!("{name}_bucket");
    for (place, (bound, count)) in buckets.chain([(f64::INFINITY, total)]).enumerate() {
        let bound = Canonical(bound).to_string();
        write_sample(text, &bucket_name, labels, Some(("le", &bound)), count)?;
        if let Some(exemplar) = exemplars.get(place).copied().flatten() {
            write_exemplar(text, &exemplar)?;
        }
        text.push('\n');
    }
    sample(text, &format!("{name}_count"), labels, None, total)?;
    sample(
        text,
        &format!("{name}_sum"),
        labels,
        None,
        Number(histogram.get_sample_sum()),
    )
}

fn write_summary(text: &mut String, name: &str, labels: &[LabelPair], summary: &Summary) -> fmt::Result {
    for quantile in summary.get_quantile() {
        let of = Canonical(quantile.quantile()).to_string();
        sample(text, name, labels, Some(("quantile", &of)), Number(quantile.value()))?;
    }
    sample(text, &format!("{name}_count"), labels, None, summary.sample_count())?;
    sample(text, &format!("{name}_sum"), labels, None, Number(summary.sample_sum()))
}

fn sample(
    text: &mut String,
    name: &str,
    labels: &[LabelPair],
    more: Option<(&str, &str)>,
    value: impl Display,
) -> fmt::Result {
    write_sample(text, name, labels, more, value)?;
    writeln!(text)
}

/// A sample without the end of its line.
fn write_sample(
    text: &mut String,
    name: &str,
    labels: &[LabelPair],
    more: Option<(&str, &str)>,
    value: impl Display,
) -> fmt::Result {
    text.push_str(name);
    let labels = labels.iter().map(|label| (label.name(), label.value()));
    for (place, (name, value)) in labels.chain(more).enumerate() {
        let before = if place == 0 { '{' } else { ',' };
        write!(text, "{before}{name}=\"{}\"", Escaped(value))?;
    }
    if text.ends_with('"') {
        text.push('}');
    }
    write!(text, " {value}")
}

fn write_exemplar(text: &mut String, exemplar: &Exemplar) -> fmt::Result {
    let time = exemplar.time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (trace, value) = (exemplar.trace_id, Number(exemplar.value));
    write!(text, " # {{trace_id=\"{trace}\"}} {value} {:.3}", time.as_secs_f64())
}

/// A value: as short as possible.
struct Number(f64);

impl Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            f64::INFINITY => f.write_str("+Inf"),
            f64::NEG_INFINITY => f.write_str("-Inf"),
            value => write!(f, "{value}"),
        }
    }
}

/// A number as a label: there is one way to write it.
struct Canonical(f64);

impl Display for Canonical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0;
        if !value.is_finite() || value == 0.0 || (1e-4..1e6).contains(&value.abs()) {
            return match value.is_finite() {
                true => write!(f, "{value:?}"),
                false => Number(value).fmt(f),
            };
        }
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        match exponent.strip_prefix('-') {
            Some(exponent) => write!(f, "{digits}e-{exponent:0>2}"),
            None => write!(f, "{digits}e+{exponent:0>2}"),
        }
    }
}

/// Text between quotes, or behind HELP.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TraceId;
    use prometheus::{Gauge, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry};
    use wsmesh_adapter::exemplars;

    use super::*;

    fn shown(registry: &Registry) -> String {
        write(&exemplars::gather(registry))
    }

    #[test]
    fn counters_lose_their_suffix_in_what_is_about_them_and_units_are_named() {
        let registry = Registry::new();
        let counter = IntCounter::new("sent_bytes_total", "What was \"sent\"\n\\ or not.").expect("valid");
        counter.inc_by(7);
        registry.register(Box::new(counter)).expect("registered");
        assert_eq!(
            shown(&registry),
            "# TYPE sent_bytes counter\n# UNIT sent_bytes bytes\n# HELP sent_bytes What was \\\"sent\\\"\\n\\\\ or not.\n\
             sent_bytes_total 7\n# EOF\n"
        );
    }

    #[test]
    fn a_counter_whose_name_openmetrics_does_not_allow_is_of_unknown_type() {
        let registry = Registry::new();
        for name in ["plain", "rooms_total"] {
            let counter = IntCounter::new(name, "Help.").expect("valid");
            registry.register(Box::new(counter)).expect("registered");
        }
        let gauge = Gauge::new("rooms", "Help.").expect("valid");
        gauge.set(f64::NEG_INFINITY);
        registry.register(Box::new(gauge)).expect("registered");
        let text = shown(&registry);
        for line in [
            "# TYPE plain unknown\n",
            "# TYPE rooms_total unknown\n",
            "# TYPE rooms gauge\n",
            "rooms -Inf\n",
        ] {
            assert!(text.contains(line), "{line} is missing in {text}");
        }
    }

    #[test]
    fn values_of_labels_are_escaped_whatever_they_are() {
        let registry = Registry::new();
        let counters = IntCounterVec::new(Opts::new("x_total", "Help."), &["a", "b"]).expect("valid");
        registry.register(Box::new(counters.clone())).expect("registered");
        counters.with_label_values(&["\"}\n# EOF\n", "\\"]).inc();
        let text = shown(&registry);
        assert!(
            text.contains("x_total{a=\"\\\"}\\n# EOF\\n\",b=\"\\\\\"} 1\n"),
            "{text}"
        );
        assert_eq!(text.matches("\n# EOF\n").count(), 1);
    }

    #[test]
    fn exemplars_are_behind_their_buckets() {
        let registry = Registry::new();
        let options = HistogramOpts::new("lag_seconds", "Help.").buckets(vec![0.000_05, 1.0]);
        let histograms = exemplars::histograms(options, &["node"], &registry).expect("registered");
        let histogram = histograms.with_label_values(&["redis-0"]);
        histogram.observe_in(0.25, Some(TraceId::from(0xab)));
        histogram.observe(0.000_01);
        histogram.observe_in(8.5, Some(TraceId::from(0xcd)));
        let text = shown(&registry);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[3], "lag_seconds_bucket{node=\"redis-0\",le=\"5e-05\"} 1");
        for (line, begin) in [
            (
                4,
                "lag_seconds_bucket{node=\"redis-0\",le=\"1.0\"} 2 # {trace_id=\"000000000000000000000000000000ab\"} 0.25 1",
            ),
            (
                5,
                "lag_seconds_bucket{node=\"redis-0\",le=\"+Inf\"} 3 # {trace_id=\"000000000000000000000000000000cd\"} 8.5 1",
            ),
        ] {
            assert!(lines[line].starts_with(begin), "{}", lines[line]);
        }
        assert_eq!(
            lines[6..],
            [
                "lag_seconds_count{node=\"redis-0\"} 3",
                "lag_seconds_sum{node=\"redis-0\"} 8.75001",
                "# EOF"
            ]
        );
    }

    #[test]
    fn bounds_are_written_in_their_one_canonical_form() {
        for (bound, text) in [
            (0.0, "0.0"),
            (0.000_012_5, "1.25e-05"),
            (0.0001, "0.0001"),
            (0.1, "0.1"),
            (10.0, "10.0"),
            (100_000.0, "100000.0"),
            (1e6, "1e+06"),
            (2.5e10, "2.5e+10"),
            (1e-10, "1e-10"),
            (-1.0, "-1.0"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(Canonical(bound).to_string(), text);
        }
    }
}
