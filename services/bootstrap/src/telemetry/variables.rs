//! The variables of OpenTelemetry, and which signals they turn on.

use super::signal::Signal;
use crate::settings::Environment;

/// Finds variables; an empty one is none.
pub(crate) fn lookup<'a>(env: &'a Environment) -> impl Fn(&str) -> Option<&'a str> + Copy + use<'a> {
    |key| env.get(key).map(|text| text.trim()).filter(|text| !text.is_empty())
}

/// Whether nothing is to be sent at all.
pub(crate) fn all_disabled<'a>(variable: impl Fn(&str) -> Option<&'a str>) -> bool {
    variable("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"))
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
