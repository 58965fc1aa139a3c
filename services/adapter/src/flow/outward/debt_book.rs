//! The messages that this server owes other servers, because they may have missed them. They stay in the window until served.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::cluster::{Debts, Owed, Roster};
use crate::nodes::Window;
use crate::wire::{Instance, NodeId, ServerName};

/// The debts of this server.
#[derive(Debug)]
pub(crate) struct DebtBook {
    debts: Mutex<Debts>,
    window: Arc<Window>,
}

impl DebtBook {
    pub(crate) fn new(window: Arc<Window>) -> Self {
        Self {
            debts: Mutex::default(),
            window,
        }
    }

    /// Keeps messages from the time when the oldest debt began until it is served.
    pub(crate) fn keep_what_is_owed(&self) {
        let since = self.debts.lock().oldest();
        self.window.owe_since(since);
    }

    /// A server's beacon came; whether its hearing was interrupted since the last one.
    pub(crate) fn on_beacon(
        &self,
        name: &ServerName,
        instance: Instance,
        gaps: &BTreeMap<NodeId, u64>,
        now: Instant,
    ) -> bool {
        self.debts.lock().on_beacon(name, instance, gaps, now)
    }

    /// This process does not count yet: nothing older than this moment is promised to it.
    pub(crate) fn starting(&self, name: &ServerName, instance: Instance, now: Instant) {
        self.debts.lock().starting(name, instance, now);
    }

    /// A server said goodbye.
    pub(crate) fn forget(&self, name: &ServerName, instance: Instance) {
        self.debts.lock().forget(name, instance);
    }

    /// A message was published that these servers could not get.
    pub(crate) fn missed<'a>(&self, servers: impl IntoIterator<Item = &'a ServerName>, now: Instant) {
        let mut servers = servers.into_iter().peekable();
        if servers.peek().is_some() {
            let mut debts = self.debts.lock();
            servers.for_each(|server| _ = debts.missed(server, now));
        }
    }

    /// Forgets servers that the roster does not remember.
    pub(crate) fn retain(&self, roster: &Roster) {
        self.debts.lock().retain(|name| roster.remembers(name));
    }

    /// Begins to serve a server: what it is owed and since when, if anything, and if nobody serves it already.
    pub(crate) fn begin(&self, name: &ServerName, instance: Instance) -> Option<(Owed, Instant)> {
        self.debts.lock().begin(name, instance)
    }

    /// Serving has ended; the rest, if there is one, is owed again.
    pub(crate) fn end(&self, name: &ServerName, instance: Instance, unserved: Option<(Owed, Instant)>) {
        self.debts.lock().end(name, instance, unserved);
        self.keep_what_is_owed();
    }
}
