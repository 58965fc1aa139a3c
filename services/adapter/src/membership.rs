//! News of other servers: a beacon arrived, or none for too long. What follows from it: who lives, what can be chosen, who
//! waits in vain, who is owed copies.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Deserialize;
use tokio::time::Instant;

use crate::adapter::Inner;
use crate::cluster::{Beacon, Change, Parting};
use crate::nodes::TopologyEntries;
use crate::views::ServerInfo;
use crate::wire::Instance;

impl Inner {
    /// Another server said something about itself.
    pub(crate) fn on_beacon(self: &Arc<Self>, beacon: Beacon) {
        if beacon.name == self.options.name {
            let changes = self.roster().on_beacon(beacon, Instant::now());
            return self.apply(changes);
        }
        match TopologyEntries::deserialize(&beacon.topology) {
            Ok(theirs) => self.merge_topology(&theirs),
            Err(error) => tracing::trace!(server = %beacon.name, "a beacon without a map of nodes: {error}"),
        }
        let (name, instance, gaps, goodbye) = (
            beacon.name.clone(),
            beacon.instance,
            beacon.gaps.clone(),
            beacon.is_goodbye(),
        );
        let changes = self.roster().on_beacon(beacon, Instant::now());
        // A late beacon, or one of a process that is no longer the one of its name, is owed nothing.
        let current = self.roster().instance_of(&name) == Some(instance);
        if goodbye {
            self.debts().forget(&name, instance);
        } else if current && self.debts().on_beacon(&name, instance, &gaps, Instant::now()) {
            // It may have missed what this server said of itself, too.
            self.to_be_said_again.store(true, Ordering::Relaxed);
        }
        self.keep_what_is_owed();
        self.apply(changes);
        if self.waiting.closed_since().is_some() {
            // After a time without any node: the others may all hear one again.
            self.waiting.arrived.notify_one();
        }
        if current {
            self.serve(&name, instance);
        }
    }

    /// What was published when somebody began to be owed something is kept until it is served.
    pub(crate) fn keep_what_is_owed(&self) {
        let since = self.debts().oldest();
        self.window.owe_since(since);
    }

    /// Forgets servers that were silent for too long; what is sent meanwhile they are owed when they come back.
    pub(crate) fn expire_servers(self: &Arc<Self>, now: Instant) {
        let changes = self.roster().expire(now);
        for change in &changes {
            if let Change::Left(name, _) = change {
                self.debts().missed(name, now);
            }
        }
        if !changes.is_empty() {
            let roster = self.roster();
            self.debts().retain(|name| roster.remembers(name));
        }
        self.apply(changes);
    }

    fn apply(&self, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        self.rebuild_choices();
        let mut membership = false;
        for change in changes {
            match change {
                Change::Joined(name) => {
                    tracing::info!(server = %name, "server joined");
                    self.report_differences(&name);
                    // It knows nobody yet: tell it at once.
                    self.changed.notify_one();
                    membership = true;
                }
                Change::Left(name, instance) => {
                    tracing::info!(server = %name, "server left");
                    self.requests.on_gone(&name, instance);
                    membership = true;
                }
                Change::Hearing => membership = true,
                Change::NameConflict(instance) => self.on_namesake(instance),
                Change::StepBack => {
                    self.namesakes().refused = true;
                    self.changed.notify_one();
                }
            }
        }
        if membership {
            self.roster_view.send_replace(Arc::new(self.servers(Instant::now())));
        }
    }

    fn on_namesake(&self, instance: Instance) {
        if self.namesakes().rival.replace(instance) != Some(instance) {
            tracing::error!(
                server = %self.options.name,
                "another process was started with this server's name; it is told to step back. Give it its own name"
            );
        }
        self.changed.notify_one();
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.namesakes().refused
    }

    /// Every live server, this one included, sorted by name.
    pub(crate) fn servers(&self, now: Instant) -> Vec<ServerInfo> {
        let me = self.beacon_view();
        let mut servers: Vec<ServerInfo> = self
            .roster()
            .iter()
            .map(|(beacon, last)| ServerInfo {
                name: beacon.name.clone(),
                service: beacon.service.clone(),
                instance: beacon.instance,
                version: beacon.version.clone(),
                clients: beacon.clients,
                rooms: beacon.rooms,
                heard: beacon.heard.clone(),
                counted: beacon.counted,
                retiring: beacon.parting > Parting::Staying,
                age_ms: now.saturating_duration_since(last).as_millis() as u64,
            })
            .chain([me])
            .collect();
        servers.sort_by(|a, b| a.name.cmp(&b.name));
        servers
    }

    fn beacon_view(&self) -> ServerInfo {
        ServerInfo {
            name: self.options.name.clone(),
            service: self.options.service.clone(),
            instance: self.instance,
            version: self.options.version.clone(),
            clients: self.hub.client_count() as u64,
            rooms: self.hub.room_count() as u64,
            heard: self.heard_nodes(),
            counted: *self.counted.borrow(),
            retiring: self.parting() > Parting::Staying,
            age_ms: 0,
        }
    }

    /// Brings the views and gauges up to date, without telling anyone who waits for a change unless there is one.
    pub(crate) fn refresh(&self, now: Instant) {
        let mut statuses: Vec<_> = self.choices.load().nodes.iter().map(|node| node.status(now)).collect();
        statuses.sort_by(|a, b| a.id.cmp(&b.id));
        for status in &statuses {
            let labels = [status.id.as_str()];
            self.metrics
                .node_up
                .with_label_values(&labels)
                .set(i64::from(status.heard));
            self.metrics
                .node_ping
                .with_label_values(&labels)
                .set(status.rtt_ms.unwrap_or(0.0) / 1000.0);
            self.metrics
                .node_gaps
                .with_label_values(&labels)
                .set(status.gaps as i64);
            self.metrics
                .node_reconnects
                .with_label_values(&labels)
                .set(status.reconnects as i64);
        }
        self.nodes_view.send_if_modified(|view| {
            let news = view.len() != statuses.len() || view.iter().zip(&statuses).any(|(old, new)| old.differs(new));
            *view = Arc::new(statuses);
            news
        });
        let servers = self.servers(now);
        self.metrics
            .count_servers(servers.iter().map(|server| server.service.as_str()));
        self.metrics.rooms.set(self.hub.room_count() as f64);
        self.metrics.topics.set(self.interest.len() as f64);
        self.metrics.copies_waiting.set(self.copies.len() as i64);
        self.metrics.messages_waiting.set(self.waiting.len() as i64);
        self.measure_topology();
        self.roster_view.send_if_modified(|view| {
            // Others' news come by `apply`; what is left is this server's own: that it counts, and what it hears.
            let news = view.len() != servers.len() || view.iter().zip(&servers).any(|(old, new)| old.differs(new));
            *view = Arc::new(servers);
            news
        });
    }
}
