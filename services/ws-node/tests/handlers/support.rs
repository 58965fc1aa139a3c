//! A ws-node with handlers, and a list of what they were told.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use ws_node::{EdgeSettings, WsNodeBuilder};

use crate::common::{Server, bus, demo, until};

/// A ws-node with handlers, alone.
pub(crate) async fn server(with: impl FnOnce(WsNodeBuilder) -> WsNodeBuilder) -> Server {
    server_with(demo(), with).await
}

pub(crate) async fn server_with(settings: EdgeSettings, with: impl FnOnce(WsNodeBuilder) -> WsNodeBuilder) -> Server {
    Server::start_built("edge", &bus(), settings, with).await
}

/// What handlers noted, in order.
#[derive(Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    pub(crate) fn add(&self, note: impl Into<String>) {
        self.0.lock().push(note.into());
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().clone()
    }

    /// Waits for this many notes, and returns all.
    pub(crate) async fn first(&self, number: usize) -> Vec<String> {
        until("the handlers have noted it", || self.0.lock().len() >= number).await;
        self.all()
    }
}

pub(crate) fn code(reply: &Value) -> &str {
    reply["errorCode"].as_str().unwrap_or("none")
}

/// The value of a counter, over all its labels.
pub(crate) fn counter(server: &Server, name: &str) -> u64 {
    let families = server.registry.gather();
    let family = families.iter().find(|family| family.name() == name);
    let metrics = family.map_or(&[][..], |family| family.get_metric());
    metrics
        .iter()
        .map(|metric| metric.get_counter().get_value() as u64)
        .sum()
}
