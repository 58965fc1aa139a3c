//! The description is made from the routes. These tests keep it correct: [`check`] compares real answers with its schemas.

use std::collections::BTreeSet;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::super::description;
use super::fixture::{Cluster, batch, delete, get, post, put, timeout, until};
use super::servers::obeys;
use super::stateful_set::StatefulSet;

fn document() -> Value {
    serde_json::to_value(description()).expect("JSON")
}

/// Fails unless `value` has the shape of this schema.
pub(super) fn check(schema: &str, value: &Value) {
    let document = document();
    let schema = &document["components"]["schemas"][schema];
    assert!(schema.is_object(), "there is such a schema");
    if let Err(problem) = conforms(&document, schema, value) {
        panic!("{problem}\nin {value:#}");
    }
}

fn conforms(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document
            .pointer(&reference[1..])
            .ok_or_else(|| format!("{reference} leads nowhere"))?;
        return conforms(document, target, value);
    }
    if let Some(parts) = schema["allOf"].as_array() {
        return conforms(document, &joined(document, parts), value);
    }
    if let Some(choices) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
        let fits = choices.iter().any(|choice| conforms(document, choice, value).is_ok());
        return if fits {
            Ok(())
        } else {
            Err(format!("{value} is none of {choices:?}"))
        };
    }
    let types = match &schema["type"] {
        // Any JSON.
        Value::Null => return Ok(()),
        Value::Array(types) => types.clone(),
        one => vec![one.clone()],
    };
    if !types
        .iter()
        .any(|name| has_type(name.as_str().unwrap_or_default(), value))
    {
        return Err(format!("{value} is not of type {types:?}"));
    }
    if let Some(choices) = schema["enum"].as_array()
        && !choices.contains(value)
    {
        return Err(format!("{value} is none of {choices:?}"));
    }
    match value {
        // Any content.
        Value::Array(_) if schema["items"].is_null() => Ok(()),
        Value::Object(_) if schema["properties"].is_null() => Ok(()),
        Value::Array(items) => items
            .iter()
            .try_for_each(|item| conforms(document, &schema["items"], item)),
        Value::Object(fields) => {
            for required in schema["required"].as_array().into_iter().flatten() {
                let name = required.as_str().unwrap_or_default();
                fields.get(name).ok_or_else(|| format!("{name} is missing"))?;
            }
            fields
                .iter()
                .try_for_each(|(name, field)| match &schema["properties"][name] {
                    Value::Null => Err(format!("{name} is not described")),
                    described => conforms(document, described, field).map_err(|problem| format!("{name}: {problem}")),
                })
        }
        _ => Ok(()),
    }
}

/// The object that has the fields of all of these.
fn joined(document: &Value, parts: &[Value]) -> Value {
    let mut whole = json!({"type": "object", "required": [], "properties": {}});
    for part in parts {
        let part = match part["$ref"].as_str() {
            Some(reference) => document.pointer(&reference[1..]).expect("a target"),
            None => part,
        };
        let required = part["required"].as_array().cloned().unwrap_or_default();
        whole["required"].as_array_mut().expect("a list").extend(required);
        let properties = part["properties"].as_object().cloned().unwrap_or_default();
        whole["properties"]
            .as_object_mut()
            .expect("an object")
            .extend(properties);
    }
    whole
}

fn has_type(name: &str, value: &Value) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|field| references(field, found));
        }
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_used() {
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for reference in &found {
        assert!(document.pointer(&reference[1..]).is_some(), "{reference} leads nowhere");
    }
    for name in document["components"]["schemas"].as_object().expect("schemas").keys() {
        assert!(
            found.contains(format!("#/components/schemas/{name}").as_str()),
            "{name} is not used"
        );
    }
}

#[test]
fn the_description_carries_the_version_of_the_crate() {
    assert_eq!(document()["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(document()["openapi"], "3.1.0");
}

/// The status of an answer whose body is not read.
async fn status_of(router: &Router, path: &str) -> StatusCode {
    let request = Request::get(path).body(Body::empty()).expect("a request");
    let response = timeout(router.clone().oneshot(request)).await;
    response.expect("infallible").status()
}

#[tokio::test]
async fn every_described_operation_is_served_and_its_problems_are_as_described() {
    let mut cluster = Cluster::new().await;
    // It does not keep the pod of redis-2, which is removed.
    let set = StatefulSet::start(1).await;
    cluster.scaler = Some(set.scaler(&cluster));
    let open = cluster.open();
    let node = r#"{"url":"memory:redis-2"}"#;
    let job = post(&open, "/api/v1/nodes", node).await.json();
    let job = job["id"].as_str().expect("an id");
    let edge = cluster.edge("a").await;
    obeys(&edge.adapter);
    edge.obeys_orders();
    let is_sampled = async || get(&open, "/api/v1/assign").await.status == 200;
    until("the next sample has the ws-node", is_sampled).await;
    for (path, operations) in document()["paths"].as_object().expect("paths") {
        // One of the operations disconnects it.
        let _client = edge.answering("a", Value::Null).await;
        let id = match path.as_str() {
            "/api/v1/jobs/{id}" | "/api/v1/jobs/{id}/events" => job,
            "/api/v1/nodes/{id}" => "redis-2",
            _ => "a",
        };
        let body = match path.as_str() {
            "/api/v1/nodes" | "/api/v1/nodes/preflight" => node,
            "/api/v1/nodes/scale" => r#"{"replicas":1}"#,
            path if path.ends_with("/log-level") => r#"{"level":"debug"}"#,
            "/api/v1/clients/messages" => r#"{"event":"say","ids":["a"]}"#,
            "/api/v1/clients/query" => r#"{"ids":["a"]}"#,
            path if path.ends_with("/messages") || path.ends_with("/requests") => r#"{"event":"say"}"#,
            "/api/v1/broadcast" => r#"{"event":"say"}"#,
            _ => "{}",
        };
        let path = path
            .replace("{namespace}", "chat")
            .replace("{room}", "a")
            .replace("{id}", id)
            .replace("{name}", "a");
        for (method, operation) in operations.as_object().expect("operations") {
            if operation["responses"]["200"]["content"]["text/event-stream"].is_object() {
                // It does not end by itself: the tests of streams read it.
                assert_eq!(status_of(&open, &path).await, 200, "{path}");
                continue;
            }
            let answer = match method.as_str() {
                "get" => get(&open, &path).await,
                "post" if path == "/api/v1/batch" => batch(&open, r#"{"query":{"ids":["a"]}}"#).await,
                "post" => post(&open, &path, body).await,
                "put" => put(&open, &path, body).await,
                "delete" => delete(&open, &path).await,
                other => panic!("no {other} is known here"),
            };
            let status = answer.status.as_str();
            let described = &operation["responses"][status];
            assert!(
                answer.status.is_success() && described.is_object(),
                "{method} {path}: {status} {}",
                answer.text
            );
        }
        check("Problem", &post(&open, &path, "not JSON").await.json());
    }
}
