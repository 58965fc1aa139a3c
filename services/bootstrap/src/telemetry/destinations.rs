//! Where traces, metrics and logs of this process go: one line at the start, and some of `--print-config`.

use super::collector::Collector;
use super::signal::Signal;
use super::{Exports, PushedLogs, TraceConfig, variables};
use crate::settings::Environment;

/// Where each signal goes, without secrets, and what is odd about the variables that say so.
#[derive(Debug, Clone)]
pub(crate) struct Destinations {
    traces: Option<String>,
    sampler: Option<String>,
    metrics: Option<String>,
    logs: Option<String>,
    /// Why nothing is sent, if that is so.
    off: Option<String>,
    warnings: Vec<String>,
}

impl Destinations {
    /// Of a process with these exports; metrics are pushed to this collector.
    pub(crate) fn new(env: &Environment, exports: &Exports, metrics: Option<&Collector>) -> Self {
        let traces = exports.traces.as_ref();
        let collectors = [
            traces.map(TraceConfig::collector),
            metrics,
            exports.logs.as_ref().map(PushedLogs::collector),
        ];
        let [traced, pushed, logged] = collectors.map(|to| to.map(|to| to.endpoint.to_string()));
        let mut warnings: Vec<String> = variables::unknown(env).into_iter().collect();
        for warning in collectors.into_iter().flatten().filter_map(Collector::warning) {
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
        let is_on = collectors.iter().any(Option::is_some);
        Self {
            traces: traced,
            sampler: traces.map(|traces| traces.sampler_name().to_owned()),
            metrics: pushed,
            logs: logged,
            off: (!is_on).then(|| why_off(env)),
            warnings,
        }
    }

    /// Logs one line, and one for each thing that is odd.
    pub(crate) fn log(&self) {
        let (metrics, logs) = (self.metrics(), self.logs());
        match &self.off {
            Some(why) => tracing::info!(metrics, logs, "no telemetry is sent to a collector: {why}"),
            None => tracing::info!(
                traces = tracing::field::display(self.traces()),
                sampler = self.sampler.as_deref(),
                metrics,
                logs,
                "telemetry is sent to a collector"
            ),
        }
        for warning in &self.warnings {
            tracing::warn!("{warning}");
        }
    }

    /// The same as comments.
    pub(crate) fn comments(&self) -> String {
        let sampler = self.sampler.as_ref().map(|sampler| format!(", sampled by {sampler}"));
        let lines = [
            "\n# Telemetry, as the variables OTEL_* say:".to_owned(),
            format!("# traces: {}{}", self.traces(), sampler.unwrap_or_default()),
            format!("# metrics: {}", self.metrics()),
            format!("# logs: {}", self.logs()),
        ];
        let off = self
            .off
            .as_ref()
            .map(|why| format!("# nothing is sent to a collector: {why}"));
        let warnings = self.warnings.iter().map(|warning| format!("# {warning}"));
        let lines = lines.into_iter().chain(off).chain(warnings);
        lines.map(|line| line + "\n").collect()
    }

    fn traces(&self) -> &str {
        self.traces.as_deref().unwrap_or("none")
    }

    fn metrics(&self) -> String {
        and("/metrics", self.metrics.as_deref())
    }

    fn logs(&self) -> String {
        and("stderr", self.logs.as_deref())
    }
}

/// Why nothing is sent, and what to add if a collector is named.
fn why_off(env: &Environment) -> String {
    let variable = variables::lookup(env);
    let own = |signal: &Signal| format!("OTEL_EXPORTER_OTLP_{}_ENDPOINT", signal.variable());
    let exporter = |signal: &Signal| format!("OTEL_{}_EXPORTER", signal.variable());
    if variables::all_disabled(variable) {
        return "OTEL_SDK_DISABLED is true".to_owned();
    }
    if variable("OTEL_EXPORTER_OTLP_ENDPOINT").is_some() || variable(&own(&Signal::Traces)).is_some() {
        return format!("{} is none", exporter(&Signal::Traces));
    }
    let named = Signal::ALL
        .into_iter()
        .filter(|signal| variable(&own(signal)).is_some());
    let (off, unasked): (Vec<_>, Vec<_>) = named.partition(|signal| variable(&exporter(signal)).is_some());
    let list = |signals: &[Signal], each: &dyn Fn(&Signal) -> String| -> String {
        signals.iter().map(each).collect::<Vec<_>>().join(" and ")
    };
    if !unasked.is_empty() {
        let (endpoints, is) = (list(&unasked, &own), if unasked.len() == 1 { "is" } else { "are" });
        let missing = list(&unasked, &|signal| format!("{}=otlp", exporter(signal)));
        format!("only {endpoints} {is} set: add {missing}")
    } else if off.is_empty() {
        "OTEL_EXPORTER_OTLP_ENDPOINT is not set".to_owned()
    } else {
        let is = if off.len() == 1 { "is" } else { "are" };
        format!("{} {is} none", list(&off, &exporter))
    }
}

fn and(always: &str, collector: Option<&str>) -> String {
    collector.map_or_else(|| always.to_owned(), |url| format!("{always}, {url}"))
}

#[cfg(test)]
mod tests {
    use super::super::receiver::environment;
    use super::*;
    use crate::exposition::MetricConfig;

    fn comments(pairs: &[(&str, &str)]) -> String {
        let env = environment(pairs);
        let mut problems = Vec::new();
        let exports = Exports {
            traces: TraceConfig::read(&env, "ws-node", "ws-0", &mut problems),
            logs: PushedLogs::read(&env, "ws-node", "ws-0", &mut problems),
        };
        let metrics = MetricConfig::read(&env, &mut problems);
        assert_eq!(problems, [""; 0]);
        let metrics = metrics.as_ref().map(MetricConfig::collector);
        Destinations::new(&env, &exports, metrics).comments()
    }

    #[test]
    fn each_signal_is_told_with_its_address_and_without_secrets() {
        let told = comments(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:s3cret@c:4318/?key=s3cret"),
            ("OTEL_METRICS_EXPORTER", "otlp"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.01"),
        ]);
        for line in [
            "# traces: http://c:4318/v1/traces?…, sampled by parentbased_traceidratio 0.01\n",
            "# metrics: /metrics, http://c:4318/v1/metrics?…\n",
            "# logs: stderr\n",
        ] {
            assert!(told.contains(line), "{line} in {told}");
        }
        assert!(!told.contains("s3cret") && !told.contains("nothing"), "{told}");
    }

    const OF_METRICS: (&str, &str) = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://c:4318/v1/metrics");
    const OF_LOGS: (&str, &str) = ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://c:4318/v1/logs");

    #[test]
    fn it_is_told_that_nothing_is_sent_and_why() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318");
        for (pairs, why) in [
            (&[][..], "OTEL_EXPORTER_OTLP_ENDPOINT is not set"),
            (&[endpoint, ("OTEL_SDK_DISABLED", "true")], "OTEL_SDK_DISABLED is true"),
            (
                &[endpoint, ("OTEL_TRACES_EXPORTER", "none")],
                "OTEL_TRACES_EXPORTER is none",
            ),
            (
                &[OF_METRICS],
                "only OTEL_EXPORTER_OTLP_METRICS_ENDPOINT is set: add OTEL_METRICS_EXPORTER=otlp\n",
            ),
            (
                &[OF_LOGS, ("OTEL_EXPORTER_OTLP_ENDPOINT", " ")],
                "only OTEL_EXPORTER_OTLP_LOGS_ENDPOINT is set: add OTEL_LOGS_EXPORTER=otlp\n",
            ),
            (
                &[OF_METRICS, OF_LOGS],
                "add OTEL_METRICS_EXPORTER=otlp and OTEL_LOGS_EXPORTER=otlp\n",
            ),
            (
                &[OF_METRICS, OF_LOGS, ("OTEL_METRICS_EXPORTER", "none")],
                "only OTEL_EXPORTER_OTLP_LOGS_ENDPOINT is set: add OTEL_LOGS_EXPORTER=otlp\n",
            ),
            (
                &[OF_METRICS, ("OTEL_METRICS_EXPORTER", "none")],
                "collector: OTEL_METRICS_EXPORTER is none\n",
            ),
        ] {
            let told = comments(pairs);
            assert!(
                told.contains("# traces: none\n") && told.contains(why),
                "{pairs:?}: {told}"
            );
        }
    }

    #[test]
    fn the_port_of_the_other_protocol_and_unknown_names_are_told_once() {
        let told = comments(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317"),
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://c:4318/v1/logs"),
            ("OTEL_METRICS_EXPORTER", "otlp"),
            ("OTEL_LOGS_EXPORTER", "otlp"),
            ("OTEL_TRACES_SAMPLR", "always_off"),
        ]);
        assert_eq!(told.matches("port 4317").count(), 1, "{told}");
        assert!(
            told.contains("OTEL_EXPORTER_OTLP_ENDPOINT: port 4317") && told.contains("4318"),
            "{told}"
        );
        assert!(told.contains("did you mean OTEL_TRACES_SAMPLER?"), "{told}");
    }
}
