//! The variables of OpenTelemetry: which there are, what they turn on, and which are not known here.

use std::str::FromStr;

use super::signal::Signal;
use crate::config::is_service_link;
use crate::settings::Environment;

/// How each of them begins.
const OTEL: &str = "OTEL_";

/// Those that are for all signals.
const GENERAL: [&str; 6] = [
    SDK_DISABLED,
    "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_PROPAGATORS",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
];

/// What `OTEL_EXPORTER_OTLP_` and `OTEL_EXPORTER_OTLP_TRACES_` end with.
const OF_EXPORTERS: [&str; 8] = [
    "ENDPOINT",
    "HEADERS",
    "TIMEOUT",
    "PROTOCOL",
    "COMPRESSION",
    "CERTIFICATE",
    "CLIENT_CERTIFICATE",
    "CLIENT_KEY",
];

const SDK_DISABLED: &str = "OTEL_SDK_DISABLED";

/// The names of all variables that are read.
pub(crate) fn known() -> Vec<String> {
    let general = GENERAL.map(str::to_owned).into_iter();
    let of_all = OF_EXPORTERS.map(|what| format!("OTEL_EXPORTER_OTLP_{what}"));
    let of_signals = Signal::ALL.into_iter().flat_map(|signal| {
        let name = signal.variable();
        let exporter = OF_EXPORTERS.map(|what| format!("OTEL_EXPORTER_OTLP_{name}_{what}"));
        let numbers = signal.numbers().iter().map(|number| number.name.to_owned());
        let fixed = signal.fixed().iter().map(|(key, _)| (*key).to_owned());
        let own = [format!("OTEL_{name}_EXPORTER")];
        own.into_iter().chain(exporter).chain(numbers).chain(fixed)
    });
    general.chain(of_all).chain(of_signals).collect()
}

/// Finds variables; an empty one is none.
pub(crate) fn lookup<'a>(env: &'a Environment) -> impl Fn(&str) -> Option<&'a str> + Copy + use<'a> {
    |key| env.get(key).map(|text| text.trim()).filter(|text| !text.is_empty())
}

/// The number in a variable, else this one. Another text is a problem already, see `Collector::read`.
pub(crate) fn number<'a, N: FromStr>(variable: impl Fn(&str) -> Option<&'a str>, key: &str, default: N) -> N {
    variable(key).and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Whether nothing is to be sent at all.
pub(crate) fn all_disabled<'a>(variable: impl Fn(&str) -> Option<&'a str>) -> bool {
    variable(SDK_DISABLED).is_some_and(|text| text.eq_ignore_ascii_case("true"))
}

/// What is wrong with the variable that turns everything off. By the specification, any other text than `true` would mean `false`, also
/// `yes` and `1`.
pub(crate) fn check_disabled(env: &Environment, problems: &mut Vec<String>) {
    let is_clear = |text: &str| ["true", "false"].iter().any(|word| text.eq_ignore_ascii_case(word));
    if lookup(env)(SDK_DISABLED).is_some_and(|text| !is_clear(text)) {
        problems.push(format!("{SDK_DISABLED}: write true or false"));
    }
}

/// A line about variables that are not known here, if there are some. They are no error: they may be for other software.
pub(crate) fn unknown(env: &Environment) -> Option<String> {
    let known = known();
    let given = env.iter().filter(|(name, value)| {
        name.starts_with(OTEL)
            && !value.trim().is_empty()
            && !known.contains(name)
            && !is_service_link(name, value)
            && !is_of_operator(name)
    });
    let told: Vec<String> = given.map(|(name, _)| told(name, &known)).collect();
    (!told.is_empty()).then(|| {
        format!(
            "variables that do nothing here, as they are not known: {}",
            told.join(", ")
        )
    })
}

/// Whether the OpenTelemetry Operator gives every container this variable, to make `OTEL_RESOURCE_ATTRIBUTES` and endpoints of it.
fn is_of_operator(name: &str) -> bool {
    name.starts_with("OTEL_RESOURCE_ATTRIBUTES_") || ["OTEL_POD_IP", "OTEL_NODE_IP"].contains(&name)
}

/// Most letters that are wrong in a name that was meant to be another one. The specification has names that share all but a word.
const MAX_SLIPS: usize = 2;

/// The name, with the one that may have been meant.
fn told(name: &str, known: &[String]) -> String {
    let slips = known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(name, known), known));
    let near = slips.filter(|(slips, _)| *slips <= MAX_SLIPS).min();
    let name = name.replace(char::is_control, "?");
    match near {
        Some((_, near)) => format!("{name} (did you mean {near}?)"),
        None => name,
    }
}

/// Whether a signal that is off by default is turned on, and there is somewhere to send it to.
pub(crate) fn is_pushed<'a>(
    signal: Signal,
    variable: impl Fn(&str) -> Option<&'a str>,
    problems: &mut Vec<String>,
) -> bool {
    if all_disabled(&variable) {
        return false;
    }
    let key = format!("OTEL_{}_EXPORTER", signal.variable());
    let endpoints = [
        format!("OTEL_EXPORTER_OTLP_{}_ENDPOINT", signal.variable()),
        "OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(),
    ];
    match variable(&key) {
        None | Some("none") => false,
        Some("otlp") if endpoints.iter().any(|endpoint| variable(endpoint).is_some()) => true,
        Some("otlp") => {
            problems.push(format!(
                "{key}: otlp needs a collector: name it with OTEL_EXPORTER_OTLP_ENDPOINT"
            ));
            false
        }
        Some(_) => {
            problems.push(format!("{key}: write otlp or none; there is no other exporter"));
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::receiver::environment;
    use super::*;

    #[test]
    fn only_true_and_false_turn_telemetry_off_and_on() {
        let problems = |text| {
            let mut problems = Vec::new();
            check_disabled(&environment(&[(SDK_DISABLED, text)]), &mut problems);
            problems
        };
        for text in ["true", "FALSE", "", " true "] {
            assert_eq!(problems(text), [""; 0], "{text}");
        }
        for text in ["yes", "1", "0", "on", "tru"] {
            assert_eq!(problems(text), ["OTEL_SDK_DISABLED: write true or false"], "{text}");
        }
    }

    #[test]
    fn a_name_that_is_not_known_is_told_with_the_nearest_one_and_what_is_known_is_not() {
        let known = known();
        let all: Vec<(&str, &str)> = known.iter().map(|name| (&**name, "x")).collect();
        assert_eq!(unknown(&environment(&all)), None);
        let others = [
            ("OTEL_TRACES_SAMPLR", "always_on"),
            ("OTEL_EXPORTER_OTLP_ENPOINT", "http://a:4318"),
            ("OTEL_JAVAAGENT_ENABLED", "true"),
            ("OTEL_LOG_LEVEL", ""),
            // A Service of Kubernetes that is called otel-collector.
            ("OTEL_COLLECTOR_SERVICE_HOST", "10.0.0.1"),
            ("OTEL_COLLECTOR_PORT_4318_TCP", "tcp://10.0.0.1:4318"),
            ("OTHER", "x"),
        ];
        let line = unknown(&environment(&others)).expect("some are not known");
        assert!(
            line.ends_with(
                "known: OTEL_EXPORTER_OTLP_ENPOINT (did you mean OTEL_EXPORTER_OTLP_ENDPOINT?), OTEL_JAVAAGENT_ENABLED, \
                 OTEL_TRACES_SAMPLR (did you mean OTEL_TRACES_SAMPLER?)"
            ),
            "{line}"
        );
    }

    #[test]
    fn a_name_of_the_specification_that_is_not_read_is_told_without_a_guess_and_those_of_the_operator_are_not() {
        for name in [
            "OTEL_EXPORTER_OTLP_INSECURE",
            "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
            "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
            "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
            "OTEL_ATTRIBUTE_COUNT_LIMIT",
            "OTEL_METRICS_EXEMPLAR_FILTER",
            "OTEL_EXPORTER_PROMETHEUS_PORT",
        ] {
            let line = unknown(&environment(&[(name, "1")])).expect("it does nothing");
            assert!(line.ends_with(&format!("not known: {name}")), "{line}");
        }
        for name in [
            "OTEL_RESOURCE_ATTRIBUTES_POD_NAME",
            "OTEL_RESOURCE_ATTRIBUTES_NODE_NAME",
            "OTEL_POD_IP",
            "OTEL_NODE_IP",
        ] {
            assert_eq!(unknown(&environment(&[(name, "10.0.0.1")])), None, "{name}");
        }
    }

    #[test]
    fn every_variable_that_is_read_is_in_the_documents() {
        let document = include_str!("../../../TELEMETRY.md");
        let missing: Vec<String> = known()
            .into_iter()
            .filter(|name| !document.contains(name.as_str()))
            .collect();
        assert_eq!(missing, [""; 0], "TELEMETRY.md, Variables");
    }
}
