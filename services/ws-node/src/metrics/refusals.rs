//! Requests of clients that were answered with an error, by code. Applications have codes of their own: they are one label.

use prometheus::{IntCounterVec, Registry, register_int_counter_vec_with_registry};
use wsmesh_protocol::ErrorCode;

/// The label of all codes that are not the protocol's.
const OTHER: &str = "other";

/// Handles of the metric; clones count the same one.
#[derive(Debug, Clone)]
pub(crate) struct RefusalMetrics(pub(super) IntCounterVec);

impl RefusalMetrics {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let refused = register_int_counter_vec_with_registry!(
            "wsmesh_client_requests_refused_total",
            "Requests of clients that were answered with an error, by its code (other: a code of the application).",
            &["code"],
            registry
        )?;
        // A series that begins with its first refusal has no rate.
        for code in ErrorCode::ALL.iter().map(|code| code.as_str()).chain([OTHER]) {
            refused.with_label_values(&[code]);
        }
        Ok(Self(refused))
    }

    /// A request was answered with this code.
    pub(crate) fn count(&self, code: &str) {
        let known = ErrorCode::ALL.iter().find(|known| known.as_str() == code);
        let label = known.map_or(OTHER, |known| known.as_str());
        self.0.with_label_values(&[label]).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_the_protocol_is_there_before_the_first_refusal() {
        let registry = Registry::new();
        let _refusals = RefusalMetrics::register(&registry).expect("registers");
        let families = registry.gather();
        assert_eq!(families[0].get_metric().len(), ErrorCode::ALL.len() + 1);
    }

    #[test]
    fn codes_of_applications_do_not_make_labels() {
        let refusals = RefusalMetrics::register(&Registry::new()).expect("registers");
        for code in ["TOO_LOW", "x", "TIMEOUT", ""] {
            refusals.count(code);
        }
        assert_eq!(refusals.0.with_label_values(&[OTHER]).get(), 3);
        assert_eq!(refusals.0.with_label_values(&["TIMEOUT"]).get(), 1);
    }
}
