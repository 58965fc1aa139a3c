//! Unknown variables and keys: a misspelt one must not be ignored.

use crate::settings::{Environment, Setting, Shape};

/// The variable that names the configuration file.
pub(super) const CONFIG_VARIABLE: &str = "WSMESH_CONFIG";

/// A line for each `WSMESH_` variable that is not a setting.
pub(super) fn variables(environment: &Environment, declared: &[Setting]) -> Vec<String> {
    let settings = declared.iter().filter(|setting| setting.shape != Shape::Table);
    let known: Vec<String> = settings
        .map(Setting::variable)
        .chain([CONFIG_VARIABLE.to_owned()])
        .collect();
    let ours = environment.iter().filter(|(name, _)| name.starts_with("WSMESH_"));
    ours.filter(|(name, value)| !known.contains(name) && !is_service_link(name, value))
        .map(|(name, _)| format!("{name}: unknown variable{}", suggestion(name, known.iter().cloned())))
        .collect()
}

/// Kubernetes gives every pod variables for every Service of its namespace; a release called `wsmesh` has Services whose
/// variables look like ours: <https://kubernetes.io/docs/tutorials/services/connect-applications-service/>.
pub(crate) fn is_service_link(name: &str, value: &str) -> bool {
    let is_url = ["tcp://", "udp://", "sctp://"]
        .iter()
        .any(|scheme| value.starts_with(scheme));
    let is_part_of_port = name
        .split_once("_PORT_")
        .is_some_and(|(_, rest)| rest.starts_with(|c: char| c.is_ascii_digit()));
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || (name.ends_with("_PORT") && is_url)
        || is_part_of_port
}

/// `: did you mean …?`, or what else to do.
pub(super) fn suggestion(unknown: &str, known: impl Iterator<Item = String>) -> String {
    match nearest(&unknown.replace('-', "_"), known) {
        Some(known) => format!(": did you mean {known}?"),
        None => ": remove it, or find the right name with --help".to_owned(),
    }
}

/// The known name that was probably meant.
fn nearest(unknown: &str, known: impl Iterator<Item = String>) -> Option<String> {
    let best = known
        .map(|known| (strsim::jaro_winkler(unknown, &known), known))
        .filter(|(likeness, _)| *likeness > 0.88)
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_kubernetes_services_are_not_ours() {
        for (name, value) in [
            ("WSMESH_WS_NODE_SERVICE_HOST", "10.0.0.1"),
            ("WSMESH_WS_NODE_SERVICE_PORT", "9000"),
            ("WSMESH_WS_NODE_SERVICE_PORT_HTTP", "9000"),
            ("WSMESH_WS_NODE_PORT", "tcp://10.0.0.1:9000"),
            ("WSMESH_WS_NODE_PORT_9000_TCP_ADDR", "10.0.0.1"),
            ("WSMESH_PORT", "tcp://10.0.0.1:9000"),
        ] {
            assert!(is_service_link(name, value), "{name}");
        }
        for (name, value) in [
            ("WSMESH_LISTEN_PORT", "9000"),
            ("WSMESH_PORT_RANGE", "1-2"),
            ("WSMESH_LISTN", "x"),
        ] {
            assert!(!is_service_link(name, value), "{name}");
        }
    }
}
