//! The adapter's calls that change and show the map of nodes, and its lapses, in the types of the harness.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wsmesh_adapter::{Adapter, NodeId, NodeState, Options};

use super::say;
use crate::clock::now_us;
use crate::talk::{Lapse, NodeEntry, Say};

pub(super) fn set_window(options: &mut Options, window: Duration) {
    options.replay_window = window;
}

pub(super) fn add_node(adapter: &Adapter, url: &str) -> Result<(), String> {
    adapter.add_node(url).map(drop).map_err(|error| error.to_string())
}

pub(super) fn drain_node(adapter: &Adapter, id: &str) -> Result<(), String> {
    let id = NodeId::new(id).map_err(|error| error.to_string())?;
    adapter.drain_node(&id).map_err(|error| error.to_string())
}

pub(super) fn nodes(adapter: &Adapter) -> Vec<NodeEntry> {
    let entry = |node: wsmesh_adapter::NodeView| NodeEntry {
        id: node.id.to_string(),
        epoch: node.epoch,
        state: name(node.state).to_owned(),
    };
    adapter.topology().into_iter().map(entry).collect()
}

fn name(state: NodeState) -> &'static str {
    match state {
        NodeState::Joining => "joining",
        NodeState::Active => "active",
        NodeState::Draining => "draining",
        NodeState::Gone => "gone",
    }
}

/// Reports every lapse of the adapter to the harness.
pub(super) async fn tell_lapses(adapter: Adapter) {
    let mut lapses = adapter.lapses();
    let mut reported = 0;
    loop {
        let news: Vec<_> = lapses.borrow_and_update().iter().skip(reported).cloned().collect();
        reported += news.len();
        for lapse in news {
            // The wall clock is only compared with itself: what matters is how long ago it was.
            let ago_ms = now_ms().saturating_sub(lapse.noticed_ms) + lapse.started_ms_ago;
            let from_us = now_us().saturating_sub(ago_ms * 1_000);
            say(&Say::Lapse(Lapse {
                reason: lapse.reason.label().to_owned(),
                node: lapse.node.map(|node| node.to_string()),
                from_us,
                until_us: from_us + lapse.length_ms * 1_000,
            }));
        }
        if lapses.changed().await.is_err() {
            return;
        }
    }
}

fn now_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
    elapsed.map_or(0, |elapsed| elapsed.as_millis() as u64)
}
