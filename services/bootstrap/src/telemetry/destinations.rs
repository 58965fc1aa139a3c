//! Where traces, metrics and logs of this process go: one line at the start, and some of `--print-config`.

use super::collector::Collector;
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
    off: Option<&'static str>,
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
        match self.off {
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
        let off = self.off.map(|why| format!("# nothing is sent to a collector: {why}"));
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

/// Why nothing is sent.
fn why_off(env: &Environment) -> &'static str {
    let names_endpoint = |(name, value): (&String, &String)| {
        name.starts_with("OTEL_EXPORTER_OTLP_") && name.ends_with("ENDPOINT") && !value.trim().is_empty()
    };
    if variables::all_disabled(variables::lookup(env)) {
        "OTEL_SDK_DISABLED is true"
    } else if env.iter().any(names_endpoint) {
        "OTEL_TRACES_EXPORTER is none, or the endpoint is for another signal"
    } else {
        "OTEL_EXPORTER_OTLP_ENDPOINT is not set"
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
