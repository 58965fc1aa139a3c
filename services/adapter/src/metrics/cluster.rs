//! What is shown of the servers, and of what this one holds.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use prometheus::{
    Gauge, IntGaugeVec, Registry, register_gauge_with_registry as gauge,
    register_int_gauge_vec_with_registry as int_gauges,
};

/// The servers, and what this one holds.
#[derive(Debug)]
pub(crate) struct ClusterMetrics {
    servers: IntGaugeVec,
    /// Every service that was ever seen, with its count now.
    services: Mutex<BTreeMap<String, i64>>,
    pub(crate) rooms: Gauge,
    pub(crate) topics: Gauge,
}

impl ClusterMetrics {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            servers: int_gauges!(
                "wsmesh_servers",
                "Live servers, as this one sees them.",
                &["service"],
                registry
            )?,
            services: Mutex::default(),
            rooms: gauge!("wsmesh_rooms", "Rooms with a local member.", registry)?,
            topics: gauge!("wsmesh_topics", "Channels that this server is subscribed to.", registry)?,
        })
    }

    /// Sets how many servers of each service there are; services that have none any more go to 0.
    pub(crate) fn count_servers<'a>(&self, services: impl Iterator<Item = &'a str>) {
        let mut counts = self.services.lock();
        counts.values_mut().for_each(|count| *count = 0);
        for service in services {
            match counts.get_mut(service) {
                Some(count) => *count += 1,
                None => _ = counts.insert(service.to_owned(), 1),
            }
        }
        for (service, count) in counts.iter() {
            self.servers.with_label_values(&[service.as_str()]).set(*count);
        }
    }
}
