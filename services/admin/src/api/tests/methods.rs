//! Every route with every method.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::Value;

use super::super::*;
use super::fixture::{Answer, Cluster, TOKEN, get, send};

async fn call(router: &Router, method: &Method, path: &str) -> Answer {
    let request = Request::builder().method(method).uri(path);
    let request = request.header("authorization", format!("Bearer {TOKEN}"));
    send(router, request.body(Body::empty()).expect("a request")).await
}

/// The paths of the description, and the methods of each.
fn described() -> Vec<(String, BTreeSet<String>)> {
    let document = serde_json::to_value(description()).expect("JSON");
    let paths = document["paths"].as_object().expect("paths").clone();
    let methods = |operations: &Value| {
        let names = operations.as_object().expect("operations").keys();
        names.map(|name| name.to_uppercase()).collect()
    };
    let concrete = |path: &str| path.replace(['{', '}'], "");
    paths
        .iter()
        .map(|(path, operations)| (concrete(path), methods(operations)))
        .collect()
}

/// Not a route of its own: a client that is called like the end of another path.
fn names_a_client(path: &str) -> bool {
    ["/clients/messages", "/clients/query"]
        .iter()
        .any(|end| path.ends_with(end))
}

#[tokio::test]
async fn each_path_has_exactly_the_methods_of_its_description() {
    let cluster = Cluster::new().await;
    // Where no token is needed, OPTIONS is what browsers ask before a request of another page.
    let guarded = cluster.guarded();
    for (path, mut methods) in described() {
        if methods.contains("GET") || names_a_client(&path) {
            methods.extend(["GET".to_owned(), "HEAD".to_owned()]);
        }
        let answer = call(&guarded, &Method::OPTIONS, &path).await;
        assert_eq!(answer.status, 204, "{path}");
        let allowed: BTreeSet<_> = answer.header("allow").split(',').map(str::to_owned).collect();
        assert_eq!(allowed, methods, "{path}");
        for method in [
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::DELETE,
            Method::PATCH,
            Method::TRACE,
        ] {
            if !methods.contains(method.as_str()) {
                let answer = call(&guarded, &method, &path).await;
                answer.problem(405);
                assert!(!answer.header("allow").is_empty(), "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn head_is_get_without_its_body() {
    let cluster = Cluster::new().await;
    let open = cluster.open();
    for path in ["/", "/openapi.json", "/docs/", "/api/v1/stats", "/api/v1/rooms?limit=1"] {
        let (whole, head) = (get(&open, path).await, call(&open, &Method::HEAD, path).await);
        assert_eq!((whole.status, head.text.as_str()), (head.status, ""), "{path}");
        assert_eq!(whole.header("content-type"), head.header("content-type"), "{path}");
    }
    assert_eq!(call(&open, &Method::HEAD, "/api/v1/rooms?page=1").await.status, 400);
}

#[tokio::test]
async fn every_problem_that_an_operation_may_answer_is_described_with_an_example() {
    let document = serde_json::to_value(description()).expect("JSON");
    let mut operations = 0;
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("operations") {
            operations += 1;
            let place = format!("{method} {path}");
            assert!(
                operation["summary"].is_string() && operation["operationId"].is_string(),
                "{place}"
            );
            let responses = operation["responses"].as_object().expect("responses");
            for status in ["400", "401", "403", "405", "408", "429", "503"] {
                assert!(responses.contains_key(status), "{place}: {status}");
            }
            let has_body = operation["requestBody"].is_object();
            assert_eq!(responses.contains_key("415"), has_body, "{place}");
            assert_eq!(responses.contains_key("413"), has_body, "{place}");
            for (status, response) in responses.iter().filter(|(status, _)| status.as_str() >= "400") {
                let problem = &response["content"]["application/problem+json"];
                super::openapi::check("Problem", &problem["example"]);
                assert_eq!(problem["example"]["status"].to_string(), *status, "{place}");
            }
            if let Some(content) = operation["requestBody"]["content"].as_object() {
                assert!(
                    content.values().all(|body| !body["example"].is_null()),
                    "{place}: a body has an example"
                );
            }
        }
    }
    assert!(operations > 25, "{operations}");
}
