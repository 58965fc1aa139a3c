//! What the memory of this process is used for, as far as its allocator and the kernel tell.
//!
//! The kernel tells of every process what it has in memory. mimalloc tells what it took from the kernel and what of that it can give
//! back. The allocator of the system tells nothing.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Json, Response};
use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{IntGaugeVec, Opts};
use serde_json::{Value, json};

/// What asks the allocator of this process.
static ALLOCATOR: OnceLock<fn() -> Option<String>> = OnceLock::new();

/// Names what tells the statistics of this process's allocator, as the JSON of mimalloc. A binary with mimalloc calls this first.
/// A later call is ignored: a process has one allocator.
pub fn tell_heap(told: fn() -> Option<String>) {
    let _ = ALLOCATOR.set(told);
}

/// `GET /debug/heap`. It takes no parameters.
pub(super) async fn answer(uri: Uri) -> Response {
    if uri.query().is_some_and(|query| !query.is_empty()) {
        let text = "/debug/heap takes no parameters: leave out what follows the ?\n";
        return (StatusCode::BAD_REQUEST, text).into_response();
    }
    let statistics = told();
    Json(json!({
        "allocator": if statistics.is_some() { "mimalloc" } else { "system" },
        "bytes": bytes(statistics.as_ref()),
        "statistics": statistics,
    }))
    .into_response()
}

/// `wsmesh_heap_bytes`, read when it is called.
pub(crate) fn heap_metrics() -> Vec<MetricFamily> {
    let about = "Memory of this process by kind: resident, anonymous, peak as the kernel counts it; \
                 committed, reserved as mimalloc counts it.";
    let Ok(gauge) = IntGaugeVec::new(Opts::new("wsmesh_heap_bytes", about), &["kind"]) else {
        return Vec::new();
    };
    for (kind, bytes) in bytes(told().as_ref()) {
        gauge
            .with_label_values(&[kind])
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
    gauge.collect()
}

fn told() -> Option<Value> {
    let text = ALLOCATOR.get()?()?;
    let mut statistics = serde_json::from_str(&text).ok()?;
    // Tables of sizes, which mimalloc fills only if it is built for that.
    if let Value::Object(parts) = &mut statistics {
        parts.retain(|_, part| !part.is_array());
    }
    Some(statistics)
}

/// The kinds of memory that are told.
fn bytes(statistics: Option<&Value>) -> BTreeMap<&'static str, u64> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of_kernel = [("resident", "VmRSS:"), ("anonymous", "RssAnon:"), ("peak", "VmHWM:")];
    let of_kernel = of_kernel
        .into_iter()
        .filter_map(|(kind, key)| Some((kind, kib(&status, key)? * 1024)));
    let current = |key: &str| statistics?.get(key)?.get("current")?.as_u64();
    let of_allocator = ["committed", "reserved"]
        .into_iter()
        .filter_map(|kind| Some((kind, current(kind)?)));
    of_kernel.chain(of_allocator).collect()
}

/// A line of /proc/self/status: `VmRSS:     1234 kB`.
fn kib(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}
