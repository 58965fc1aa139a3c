//! The pods of EndpointSlices. Pure functions over plain values.

use std::collections::BTreeMap;

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use serde::Serialize;
use utoipa::ToSchema;

/// A pod that may be a Redis node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
pub(crate) struct Pod {
    pub(crate) pod: String,
    pub(crate) ip: String,
    /// Whether its readiness probe passes and it is not being deleted.
    pub(crate) ready: bool,
}

/// The pods in the EndpointSlices, by name and address.
pub(super) fn pods<'a>(slices: impl Iterator<Item = &'a EndpointSlice>) -> Vec<Pod> {
    let mut pods = BTreeMap::new();
    for (name, endpoint) in endpoints(slices) {
        let ready = is_ready(endpoint);
        for ip in &endpoint.addresses {
            pods.insert((name.to_owned(), ip.clone()), ready);
        }
    }
    pods.into_iter()
        .map(|((pod, ip), ready)| Pod { pod, ip, ready })
        .collect()
}

/// Whether each pod in the EndpointSlices is ready, by name. A pod that is replaced is in several endpoints for a moment, as is one
/// with addresses of two families: it is ready once one of them is.
pub(super) fn readiness<'a>(slices: impl Iterator<Item = &'a EndpointSlice>) -> BTreeMap<String, bool> {
    let mut pods = BTreeMap::new();
    for (name, endpoint) in endpoints(slices) {
        *pods.entry(name.to_owned()).or_default() |= is_ready(endpoint);
    }
    pods
}

fn endpoints<'a>(slices: impl Iterator<Item = &'a EndpointSlice>) -> impl Iterator<Item = (&'a str, &'a Endpoint)> {
    let endpoints = slices.flat_map(|slice| slice.endpoints.iter().flatten());
    endpoints.filter_map(|endpoint| {
        let name = endpoint.target_ref.as_ref()?.name.as_deref()?;
        Some((name, endpoint))
    })
}

/// An endpoint that does not say whether it is ready is ready, as the API specifies. `ready` is true for every pod if the Service
/// publishes addresses that are not ready; `serving` never is.
fn is_ready(endpoint: &Endpoint) -> bool {
    let Some(conditions) = &endpoint.conditions else {
        return true;
    };
    let serves = conditions.serving.or(conditions.ready).unwrap_or(true);
    serves && !conditions.terminating.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn slice(endpoints: Value) -> EndpointSlice {
        serde_json::from_value(json!({"metadata": {}, "addressType": "IPv4", "endpoints": endpoints})).expect("a slice")
    }

    fn endpoint(pod: &str, conditions: Value) -> Value {
        json!({"addresses": ["10.0.0.1"], "conditions": conditions, "targetRef": {"kind": "Pod", "name": pod}})
    }

    #[test]
    fn a_pod_is_ready_if_its_probe_passes_although_the_service_publishes_all_and_not_while_it_is_deleted() {
        let slice = slice(json!([
            endpoint("a", json!({"ready": true, "serving": false, "terminating": false})),
            endpoint("b", json!({"ready": false, "serving": true, "terminating": true})),
            endpoint("c", json!({"ready": true, "serving": true, "terminating": false})),
            endpoint("d", json!({"ready": false})),
            endpoint("e", json!({})),
        ]));
        let readiness = readiness([&slice].into_iter());
        let ready: Vec<_> = readiness
            .iter()
            .filter(|(_, ready)| **ready)
            .map(|(pod, _)| pod.as_str())
            .collect();
        assert_eq!((ready, readiness.len()), (vec!["c", "e"], 5));
    }

    #[test]
    fn a_pod_that_is_replaced_is_ready_once_the_new_one_is_in_whichever_slice() {
        let old = slice(json!([endpoint("a", json!({"serving": true, "terminating": true}))]));
        let new = slice(json!([endpoint("a", json!({"serving": true}))]));
        for slices in [[&old, &new], [&new, &old]] {
            assert!(readiness(slices.into_iter())["a"]);
        }
    }
}
