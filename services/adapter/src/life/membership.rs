//! News of other servers: a beacon arrived, or none for too long. Decides from it which servers are alive, which nodes can be chosen, which
//! requests can no longer be answered, and which servers are owed copies.

use std::sync::Arc;

use serde::Deserialize;
use tokio::time::Instant;

use super::beacons::Beacons;
use super::topology::TopologyInUse;
use crate::cluster::{Beacon, Change, Requests};
use crate::flow::catchup::CatchUp;
use crate::flow::outward::outbound::Outbound;
use crate::flow::parts::FlowParts;
use crate::flow::state::foundation::Foundation;
use crate::flow::state::hearing::Hearing;
use crate::flow::state::members::Members;
use crate::local::LostServer;
use crate::nodes::TopologyEntries;
use crate::options::Options;
use crate::settings::{Difference, differences};
use crate::wire::{Instance, ServerName};

/// Acts on news of other servers.
#[derive(Debug)]
pub(crate) struct Membership {
    options: Arc<Options>,
    members: Arc<Members>,
    hearing: Arc<Hearing>,
    topology: Arc<TopologyInUse>,
    beacons: Arc<Beacons>,
    outbound: Arc<Outbound>,
    requests: Arc<Requests>,
    catch_up: Arc<CatchUp>,
}

impl Membership {
    pub(crate) fn new(
        foundation: &Foundation,
        topology: Arc<TopologyInUse>,
        beacons: Arc<Beacons>,
        flow: &FlowParts,
    ) -> Self {
        Self {
            options: foundation.options.clone(),
            members: foundation.members.clone(),
            hearing: foundation.hearing.clone(),
            topology,
            beacons,
            outbound: flow.outbound.clone(),
            requests: flow.requests.clone(),
            catch_up: flow.catch_up.clone(),
        }
    }

    /// Takes the beacon of another server.
    pub(crate) fn on_beacon(&self, beacon: Beacon) {
        if !self.options.cluster_id.fits(&beacon.cluster_id) {
            return self.on_foreign(&beacon);
        }
        if beacon.name == self.options.name {
            let changes = self.members.roster().on_beacon(beacon, Instant::now());
            return self.apply(changes);
        }
        match TopologyEntries::deserialize(&beacon.topology) {
            Ok(theirs) => self.topology.merge(&theirs),
            // A server that only visits sends none.
            Err(error) => tracing::trace!(peer = %beacon.name, "a beacon has no map of nodes: {error}"),
        }
        let (name, instance, gaps) = (beacon.name.clone(), beacon.instance, beacon.gaps.clone());
        let (goodbye, counted, now) = (beacon.is_goodbye(), beacon.counted, Instant::now());
        let (is_news, current, changes) = {
            let mut roster = self.members.roster();
            let is_news = roster.is_news(&beacon);
            let changes = roster.on_beacon(beacon, now);
            (is_news, roster.instance_of(&name) == Some(instance), changes)
        };
        let debts = self.outbound.debts();
        if goodbye {
            debts.forget(&name, instance);
        } else if is_news && current {
            // Neither a late copy, which says what was, nor of a process that is no longer the one of its name.
            if debts.on_beacon(&name, instance, &gaps, now) {
                // It may have missed this server's beacons, too.
                self.beacons.repeat_soon();
            }
            if !counted {
                debts.starting(&name, instance, now);
            }
        }
        debts.keep_what_is_owed();
        self.apply(changes);
        self.outbound.look_again();
        if current {
            self.catch_up.serve(&name, instance);
        }
    }

    /// Forgets servers that were silent for too long. They are owed the messages of that time when they come back.
    pub(crate) fn expire(&self, now: Instant) {
        let changes = self.members.roster().expire(now);
        let debts = self.outbound.debts();
        let left = changes.iter().filter_map(|change| match change {
            Change::Left(name, _) => Some(name),
            _ => None,
        });
        debts.missed(left, now);
        if !changes.is_empty() {
            debts.retain(&self.members.roster());
        }
        self.apply(changes);
    }

    fn apply(&self, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        self.topology.rebuild_choices();
        let mut membership = false;
        for change in changes {
            match change {
                Change::Joined(name) => {
                    // A server that starts meets all others: the line that it takes part says how many.
                    match self.members.is_counted() {
                        true => tracing::info!(peer = %name, "server joined"),
                        false => tracing::debug!(peer = %name, "server met"),
                    }
                    self.log_differences(&name);
                    // It knows no other server yet: send it a beacon at once.
                    self.hearing.changed().notify_one();
                    membership = true;
                }
                Change::Left(name, instance) => {
                    tracing::info!(peer = %name, "server left");
                    self.requests.on_gone(&name, instance);
                    membership = true;
                }
                Change::Hearing => membership = true,
                Change::NameConflict(instance) => self.on_rival(instance),
                Change::StepBack => {
                    self.members.refuse();
                    self.hearing.changed().notify_one();
                }
            }
        }
        if membership {
            self.members.tell(self.beacons.servers(Instant::now()));
        }
        self.tell_lost();
    }

    /// Tells the observer which servers are gone without a goodbye.
    fn tell_lost(&self) {
        let lost = self.members.roster().take_lost();
        let Some(observer) = &self.options.observer else {
            return;
        };
        for beacon in lost {
            observer.server_lost(&LostServer {
                name: beacon.name,
                service: beacon.service,
                instance: beacon.instance,
                clients: beacon.clients,
            });
        }
    }

    /// Of the two clusters, the servers of the one of lower standing give way: this one answers with a beacon at once, so that the other knows.
    fn on_foreign(&self, beacon: &Beacon) {
        if self.members.note_foreign(beacon, Instant::now()) {
            tracing::error!(
                peer = %beacon.name,
                prefix = self.options.prefix,
                theirs = %beacon.cluster_id,
                ours = %self.options.cluster_id,
                "a server of another cluster uses this cluster's Redis channels; its messages are dropped here, and the servers of one \
                 cluster end (of the one that only starts, or is alone, or else of the younger one): give each cluster its own --prefix"
            );
            self.hearing.changed().notify_one();
        }
    }

    fn on_rival(&self, instance: Instance) {
        if self.members.note_rival(instance) {
            tracing::error!(
                server = %self.options.name,
                "another process was started with this server's name; it is told to step back. Give it its own name"
            );
        }
        self.hearing.changed().notify_one();
    }

    fn log_differences(&self, server: &ServerName) {
        let settings = {
            let roster = self.members.roster();
            roster.beacon_of(server).map(|beacon| beacon.settings.clone())
        };
        for difference in differences(&self.options, server, &settings.unwrap_or_default()) {
            let Difference {
                setting, theirs, ours, ..
            } = difference;
            tracing::warn!(peer = %server, setting, theirs, ours, "a server has another setting: make them equal everywhere");
        }
    }
}
