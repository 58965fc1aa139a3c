//! The links between servers and nodes of the embedded bus, with the faults that a network can have.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::LinkFault;
use super::node::MemoryNode;

/// All links, by server and node.
#[derive(Default)]
pub(super) struct Links(Mutex<HashMap<(String, String), Arc<Link>>>);

impl Links {
    pub(super) fn between(&self, server: &str, node: &str) -> Arc<Link> {
        let mut links = self.0.lock();
        links.entry((server.to_owned(), node.to_owned())).or_default().clone()
    }
}

/// How often the connections of a link were ended, and its current fault.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    life: u64,
    fault: LinkFault,
}

/// One link.
#[derive(Default)]
pub(super) struct Link {
    state: watch::Sender<State>,
    /// Another node, if it leads there.
    elsewhere: Mutex<Option<Arc<MemoryNode>>>,
}

impl Link {
    /// Connections that are opened from now on lead to this node.
    pub(super) fn lead(&self, to: Arc<MemoryNode>) {
        *self.elsewhere.lock() = Some(to);
    }

    pub(super) fn elsewhere(&self) -> Option<Arc<MemoryNode>> {
        self.elsewhere.lock().clone()
    }

    pub(super) fn set(&self, fault: LinkFault) {
        self.state.send_modify(|state| {
            state.fault = fault;
            state.life += u64::from(fault == LinkFault::Cut);
        });
    }

    pub(super) fn reset(&self) {
        self.state.send_modify(|state| state.life += 1);
    }

    /// Waits while the link hangs, then opens a connection; `None` if the link is cut.
    pub(super) async fn connect(self: &Arc<Self>) -> Option<Connected> {
        let mut state = self.state.subscribe();
        let now = *state.wait_for(|state| state.fault != LinkFault::Hang).await.ok()?;
        (now.fault == LinkFault::None).then_some(Connected {
            link: self.clone(),
            life: now.life,
        })
    }
}

/// A connection over a link.
#[derive(Clone)]
pub(super) struct Connected {
    link: Arc<Link>,
    life: u64,
}

impl Connected {
    /// Whether the connection was ended.
    fn ended(&self, state: &State) -> bool {
        state.life != self.life
    }

    /// Waits while the link hangs; `false` if the connection was ended.
    pub(super) async fn passes(&self) -> bool {
        {
            let state = self.link.state.borrow();
            if state.fault != LinkFault::Hang {
                return !self.ended(&state);
            }
        }
        let mut state = self.link.state.subscribe();
        let settled = state.wait_for(|state| self.ended(state) || state.fault != LinkFault::Hang);
        settled.await.is_ok_and(|state| !self.ended(&state))
    }

    /// Resolves when the link changes, so that callers check it again.
    pub(super) async fn changed(&self) {
        let mut state = self.link.state.subscribe();
        if self.ended(&state.borrow_and_update()) {
            return;
        }
        // Cannot fail: the link itself holds the sender.
        let _ = state.changed().await;
    }
}
