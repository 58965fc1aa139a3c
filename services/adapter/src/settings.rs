//! Settings that should be the same on every server: each tells its own in its beacons, and differences are reported.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::api::adapter::{Adapter, Inner};
use crate::options::{Bus, Options};
use crate::wire::ServerName;

/// A setting in which a live server differs from this one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// The other server.
    pub server: ServerName,
    /// Which setting.
    pub setting: String,
    /// What it is there.
    pub theirs: String,
    /// What it is here.
    pub ours: String,
}

impl Options {
    /// What others compare with their own.
    pub(crate) fn shared_settings(&self) -> BTreeMap<String, String> {
        let mut nodes = match &self.bus {
            Bus::Redis(urls) => urls.iter().map(|url| url.id().to_string()).collect(),
            Bus::Alone | Bus::Memory(_) => Vec::new(),
        };
        nodes.sort();
        let settings = [
            ("redis", nodes.join(" ")),
            ("redis_probe_interval_ms", self.probe_interval.as_millis().to_string()),
            ("replay_window_ms", self.replay_window.as_millis().to_string()),
            ("replay_bytes", self.replay_bytes.to_string()),
            ("routing", format!("{:?}", self.routing).to_lowercase()),
            ("strategy", format!("{:?}", self.strategy).to_lowercase()),
        ];
        let settings = settings.into_iter().map(|(name, value)| (name.to_owned(), value));
        let of_service = self.common_settings.clone();
        settings.chain(of_service).collect()
    }
}

impl Adapter {
    /// Settings in which live servers differ from this one, sorted. Nodes that a server was not configured with are used all
    /// the same: the topology is shared. But after a restart of all servers at once only configured nodes are known.
    pub fn differences(&self) -> Vec<Difference> {
        let roster = self.inner.roster();
        let servers = roster.iter();
        let mut found: Vec<_> = servers
            .flat_map(|(beacon, _)| self.inner.differences_of(&beacon.name, &beacon.settings))
            .collect();
        found.sort();
        found
    }
}

impl Inner {
    /// What a server's settings differ in. A setting that only one of two versions knows is no difference.
    pub(crate) fn differences_of(&self, server: &ServerName, theirs: &BTreeMap<String, String>) -> Vec<Difference> {
        let ours = self.options.shared_settings();
        let differs = |(setting, ours): (String, String)| {
            let theirs = theirs.get(&setting).filter(|theirs| **theirs != ours)?.clone();
            Some(Difference {
                server: server.clone(),
                setting,
                theirs,
                ours,
            })
        };
        ours.into_iter().filter_map(differs).collect()
    }

    /// Logs what a server's settings differ in.
    pub(crate) fn report_differences(&self, server: &ServerName) {
        let theirs = self.roster().beacon_of(server).map(|beacon| beacon.settings.clone());
        for difference in self.differences_of(server, &theirs.unwrap_or_default()) {
            let Difference {
                setting, theirs, ours, ..
            } = difference;
            tracing::warn!(%server, setting, theirs, ours, "a server has another setting: make them equal everywhere");
        }
    }
}
