//! The servers that take part: the roster of the others, whether this one counts or leaves, name conflicts, and servers of other
//! clusters.

use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;
use tokio::time::Instant;

use super::server_info::ServerInfo;
use crate::cluster::{Beacon, Claim, Foreign, Parting, Roster, Standing};
use crate::wire::{Instance, ServerName};

/// Processes that share this server's name.
#[derive(Debug, Default)]
struct NameConflicts {
    /// A younger one, to be told to step back.
    rival: Option<Instance>,
    /// An older one told this one to step back.
    refused: bool,
}

/// The servers of the cluster, this one included.
#[derive(Debug)]
pub(crate) struct Members {
    name: ServerName,
    instance: Instance,
    roster: Mutex<Roster>,
    conflicts: Mutex<NameConflicts>,
    /// Servers of other clusters.
    foreign: Mutex<Foreign>,
    counted: watch::Sender<bool>,
    /// Since when this server counts; before that it published nothing.
    counted_since: OnceLock<Instant>,
    parting: watch::Sender<Parting>,
    view: watch::Sender<Arc<Vec<ServerInfo>>>,
}

impl Members {
    /// A server that runs alone counts from the start.
    pub(crate) fn new(name: ServerName, instance: Instance, is_alone: bool) -> Self {
        Self {
            roster: Mutex::new(Roster::new(name.clone(), instance)),
            name,
            instance,
            conflicts: Mutex::default(),
            foreign: Mutex::default(),
            counted: watch::Sender::new(is_alone),
            counted_since: OnceLock::new(),
            parting: watch::Sender::default(),
            view: watch::Sender::default(),
        }
    }

    /// This server's name.
    pub(crate) fn name(&self) -> &ServerName {
        &self.name
    }

    /// This process.
    pub(crate) fn instance(&self) -> Instance {
        self.instance
    }

    /// The other live servers.
    pub(crate) fn roster(&self) -> MutexGuard<'_, Roster> {
        self.roster.lock()
    }

    /// Whether this server has started far enough to count for choices.
    pub(crate) fn is_counted(&self) -> bool {
        *self.counted.borrow()
    }

    /// As [`Members::is_counted`]; the receiver is notified when that changes.
    pub(crate) fn counted(&self) -> watch::Receiver<bool> {
        self.counted.subscribe()
    }

    /// Since when this server counts.
    pub(crate) fn counted_since(&self) -> Option<Instant> {
        self.counted_since.get().copied()
    }

    /// This server counts from now on.
    pub(crate) fn count_in(&self, now: Instant) {
        let _first = self.counted_since.set(now);
        self.counted.send_replace(true);
    }

    /// How far this server is with leaving.
    pub(crate) fn parting(&self) -> Parting {
        *self.parting.borrow()
    }

    /// Moves on with leaving; whether this is further than before.
    pub(crate) fn part(&self, how: Parting) -> bool {
        self.parting.send_if_modified(|parting| {
            let further = how > *parting;
            *parting = how.max(*parting);
            further
        })
    }

    /// A younger process that has this server's name.
    pub(crate) fn rival(&self) -> Option<Instance> {
        self.conflicts.lock().rival
    }

    /// A younger process has this server's name; whether that is news.
    pub(crate) fn note_rival(&self, instance: Instance) -> bool {
        self.conflicts.lock().rival.replace(instance) != Some(instance)
    }

    /// An older process of this name told this one to step back.
    pub(crate) fn refuse(&self) {
        self.conflicts.lock().refused = true;
    }

    /// Whether an older process of this name told this one to step back.
    pub(crate) fn is_refused(&self) -> bool {
        self.conflicts.lock().refused
    }

    /// Takes the beacon of a server of another cluster; whether the server is new.
    pub(crate) fn note_foreign(&self, beacon: &Beacon, now: Instant) -> bool {
        self.foreign.lock().on_beacon(beacon, now)
    }

    /// Whether this server must give way to another cluster.
    pub(crate) fn claim(&self, now: Instant) -> Claim {
        if self.foreign.lock().is_empty() {
            return Claim::None;
        }
        let me = (self.instance, self.is_counted());
        let ours = {
            let roster = self.roster();
            let others = roster.iter().map(|(beacon, _)| (beacon.instance, beacon.counted));
            Standing::of(others.chain([me]))
        };
        ours.map_or(Claim::None, |ours| self.foreign.lock().claim(ours, now))
    }

    /// Every live server, sorted by name: the others, and this one as it describes itself.
    pub(crate) fn servers(&self, me: ServerInfo, now: Instant) -> Vec<ServerInfo> {
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

    /// The servers as [`Members::tell`] and [`Members::refresh`] left them.
    pub(crate) fn view(&self) -> watch::Receiver<Arc<Vec<ServerInfo>>> {
        self.view.subscribe()
    }

    /// Updates the view, and notifies its receivers.
    pub(crate) fn tell(&self, servers: Vec<ServerInfo>) {
        self.view.send_replace(Arc::new(servers));
    }

    /// Updates the view; notifies its receivers only if more than loads and ages changed.
    pub(crate) fn refresh(&self, servers: Vec<ServerInfo>) {
        self.view.send_if_modified(|view| {
            let news = view.len() != servers.len() || view.iter().zip(&servers).any(|(old, new)| old.differs(new));
            *view = Arc::new(servers);
            news
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ServiceName;

    fn members() -> Members {
        Members::new(ServerName::new("one").expect("valid"), Instance(1), false)
    }

    fn info(clients: u64, is_counted: bool) -> ServerInfo {
        ServerInfo {
            name: ServerName::new("one").expect("valid"),
            service: ServiceName::new("test").expect("valid"),
            instance: Instance(1),
            version: String::new(),
            clients,
            rooms: 0,
            heard: Vec::new(),
            counted: is_counted,
            retiring: false,
            age_ms: 0,
        }
    }

    #[test]
    fn leaving_never_moves_back() {
        let members = members();
        assert!(members.part(Parting::Retiring) && !members.part(Parting::Retiring));
        assert!(members.part(Parting::Leaving) && !members.part(Parting::Retiring));
        assert_eq!(members.parting(), Parting::Leaving);
    }

    #[test]
    fn each_younger_process_of_the_same_name_is_news_once() {
        let members = members();
        assert!(members.note_rival(Instance(7)) && !members.note_rival(Instance(7)) && members.note_rival(Instance(8)));
        assert_eq!((members.rival(), members.is_refused()), (Some(Instance(8)), false));
    }

    #[test]
    fn a_view_shows_new_loads_but_notifies_only_of_other_changes() {
        let members = members();
        members.refresh(vec![info(0, false)]);
        let mut view = members.view();
        members.refresh(vec![info(9, false)]);
        assert!(!view.has_changed().expect("open") && view.borrow()[0].clients == 9);
        members.refresh(vec![info(9, true)]);
        assert!(view.has_changed().expect("open") && view.borrow_and_update()[0].counted);
    }
}
