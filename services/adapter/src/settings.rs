//! Settings that should be the same on every server: each server sends its own in its beacons, and differences are reported.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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
    /// Its value there.
    pub theirs: String,
    /// Its value here.
    pub ours: String,
}

impl Options {
    /// The settings that others compare with their own.
    pub(crate) fn shared_settings(&self) -> BTreeMap<String, String> {
        let mut nodes = match &self.bus {
            Bus::Redis(urls) => urls.iter().map(|url| url.id().to_string()).collect(),
            Bus::Alone | Bus::Memory(_) => Vec::new(),
        };
        nodes.sort();
        // Servers that find their nodes need not be told the same ones.
        let nodes = self.first_nodes.is_none().then(|| ("redis", nodes.join(" ")));
        let settings = [
            ("cluster_id", self.cluster_id.to_string()),
            ("redis_probe_interval_ms", self.probe_interval.as_millis().to_string()),
            ("replay_window_ms", self.replay_window.as_millis().to_string()),
            ("replay_bytes", self.replay_bytes.to_string()),
            ("routing", format!("{:?}", self.routing).to_lowercase()),
            ("strategy", format!("{:?}", self.strategy).to_lowercase()),
        ];
        let settings = nodes
            .into_iter()
            .chain(settings)
            .map(|(name, value)| (name.to_owned(), value));
        let of_service = self.common_settings.clone();
        settings.chain(of_service).collect()
    }
}

/// The settings in which a server differs from this one. A setting that only one of two versions knows is not a difference.
pub(crate) fn differences(
    options: &Options,
    server: &ServerName,
    theirs: &BTreeMap<String, String>,
) -> Vec<Difference> {
    let differs = |(setting, ours): (String, String)| {
        let theirs = theirs.get(&setting).filter(|theirs| **theirs != ours)?.clone();
        Some(Difference {
            server: server.clone(),
            setting,
            theirs,
            ours,
        })
    };
    options.shared_settings().into_iter().filter_map(differs).collect()
}
