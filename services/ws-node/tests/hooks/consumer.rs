//! A consumer of lifecycle events: takes batches, or does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use ws_node::{EdgeSettings, Watch};

use crate::common::demo;
use crate::server::{Act, Backend, answer};

/// A consumer that takes batches while it is not away.
pub(crate) struct Consumer {
    pub(crate) backend: Backend,
    is_away: Arc<AtomicBool>,
}

impl Consumer {
    pub(crate) async fn start() -> Self {
        let is_away = Arc::new(AtomicBool::new(false));
        let away = Arc::clone(&is_away);
        let backend = Backend::start(move |_| {
            let status = if away.load(Ordering::SeqCst) { 500 } else { 204 };
            Act::Send(answer(status, ""))
        })
        .await;
        Self { backend, is_away }
    }

    /// From now on it answers 500, or takes batches again.
    pub(crate) fn set_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::SeqCst);
    }

    /// Each event that was sent to it, also those that it did not take, in order.
    pub(crate) fn events(&self) -> Vec<Value> {
        let batches = self.backend.requests().into_iter().map(|request| {
            assert_eq!(request.header("content-type"), "application/cloudevents-batch+json");
            serde_json::from_str::<Vec<Value>>(&request.body).expect("a batch")
        });
        batches.flatten().collect()
    }

    /// The same as [`Consumer::events`], each once: a repeat has the same id, and says the same.
    pub(crate) fn distinct(&self) -> Vec<Value> {
        let mut distinct: Vec<Value> = Vec::new();
        for event in self.events() {
            match distinct.iter().find(|known| known["id"] == event["id"]) {
                Some(known) => assert_eq!(*known, event),
                None => distinct.push(event),
            }
        }
        distinct
    }
}

/// Settings of the demo with a watch, and more keys of its table.
pub(crate) fn watched(url: &str, events: &[&str], more: &Value) -> EdgeSettings {
    EdgeSettings {
        watch: vec![watch(
            &json!({"url": url, "events": events, "breaker_failures": 0}),
            more,
        )]
        .into(),
        ..demo()
    }
}

pub(crate) fn watch(keys: &Value, more: &Value) -> Watch {
    let mut keys = keys.as_object().expect("keys").clone();
    keys.extend(more.as_object().expect("keys").clone());
    serde_json::from_value(keys.into()).expect("a watch")
}

/// The URL of a backend.
pub(crate) fn url(backend: &Backend) -> String {
    format!("http://{}/events", backend.address)
}

/// The short type of an event.
pub(crate) fn kind(event: &Value) -> &str {
    let kind = event["type"].as_str().expect("a type");
    kind.strip_prefix("io.wsmesh.client.").unwrap_or(kind)
}

/// All events there are.
pub(crate) const ALL: [&str; 4] = ["connected", "disconnected", "joined", "left"];
