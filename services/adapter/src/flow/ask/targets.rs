//! The servers that a target names, read from the roster.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::target::{Pick, Target};
use crate::cluster::{Parting, Roster};
use crate::error::TargetError;
use crate::flow::state::foundation::Foundation;
use crate::flow::state::members::Members;
use crate::local::Hub;
use crate::nodes::score;
use crate::wire::{Instance, ServerName, ServiceName};

/// Stands for the process of a server that sends no beacons.
pub(crate) const STRANGER: Instance = Instance(0);

/// A server of a service: its load, its name, its process.
type Candidate = (u64, ServerName, Instance);

/// Finds the servers that a target names.
#[derive(Debug)]
pub(crate) struct Targets {
    members: Arc<Members>,
    hub: Arc<Hub>,
    /// This server's service.
    service: ServiceName,
    /// Servers of the JavaScript package may take part.
    is_shared: bool,
    turn: AtomicU64,
}

impl Targets {
    pub(crate) fn new(foundation: &Foundation, hub: Arc<Hub>) -> Self {
        Self {
            members: foundation.members.clone(),
            hub,
            service: foundation.options.service.clone(),
            is_shared: foundation.channels.is_shared(),
            turn: AtomicU64::new(0),
        }
    }

    /// The live servers that a target names, with the process that each is now.
    pub(crate) fn resolve(&self, target: &Target) -> Result<Vec<(ServerName, Instance)>, TargetError> {
        let me = (self.members.name().clone(), self.members.instance());
        let roster = self.members.roster();
        let others = || roster.iter().map(|(beacon, _)| (beacon.name.clone(), beacon.instance));
        let live = |name: &ServerName| {
            if *name == me.0 {
                return Ok(me.clone());
            }
            match roster.instance_of(name) {
                Some(instance) => Ok((name.clone(), instance)),
                // A server of the JavaScript package sends no beacons: only its answer shows that it is alive.
                None if self.is_shared => Ok((name.clone(), STRANGER)),
                None => Err(TargetError::UnknownServer(name.clone())),
            }
        };
        match target {
            Target::Server(name) => Ok(vec![live(name)?]),
            Target::Servers(names) => names.iter().map(live).collect(),
            Target::Everyone => Ok(others().chain([me.clone()]).collect()),
            Target::Others => Ok(others().collect()),
            Target::Service(service) => {
                let mut found = self.of_service(&roster, service);
                found.sort();
                if found.is_empty() {
                    return Err(TargetError::NoServer(service.clone()));
                }
                Ok(found.into_iter().map(|(_, name, instance)| (name, instance)).collect())
            }
            Target::AnyOf(service, pick) => {
                let (_, name, instance) = self
                    .pick_server(self.of_service(&roster, service), pick)
                    .ok_or_else(|| TargetError::NoServer(service.clone()))?;
                Ok(vec![(name, instance)])
            }
        }
    }

    /// The live servers of a service that count. Those that are about to leave only if there are no others.
    fn of_service(&self, roster: &Roster, service: &ServiceName) -> Vec<Candidate> {
        let (mut staying, mut parting) = (Vec::new(), Vec::new());
        let mut note = |how: Parting, server| {
            if how == Parting::Staying {
                &mut staying
            } else {
                &mut parting
            }
            .push(server)
        };
        for (beacon, _) in roster.iter() {
            if beacon.service == *service && beacon.counted {
                note(beacon.parting, (beacon.clients, beacon.name.clone(), beacon.instance));
            }
        }
        if *service == self.service {
            let load = self.hub.client_count() as u64;
            note(
                self.members.parting(),
                (load, self.members.name().clone(), self.members.instance()),
            );
        }
        if staying.is_empty() { parting } else { staying }
    }

    fn pick_server(&self, found: Vec<Candidate>, pick: &Pick) -> Option<Candidate> {
        match pick {
            Pick::Key(key) => found.into_iter().max_by_key(|(_, name, _)| score(key, name.as_str())),
            Pick::LeastBusy => {
                let least = found.iter().map(|(load, ..)| *load).min()?;
                let mut equals: Vec<_> = found.into_iter().filter(|(load, ..)| *load == least).collect();
                equals.sort();
                let turn = self.turn.fetch_add(1, Ordering::Relaxed) as usize % equals.len();
                Some(equals.swap_remove(turn))
            }
        }
    }
}
