//! The servers of this process whose metrics are pushed. None are kept unless [`main`](crate::main()) pushes them.

use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use prometheus::Registry;

use super::Exposition;

static SOURCES: Sources = Sources::new();

/// One server of this process.
pub(crate) struct Source {
    /// What kind of server it is.
    pub(crate) service: String,
    /// Its own name.
    pub(crate) name: String,
    /// Its metrics.
    pub(crate) exposition: Exposition,
    /// When they began at zero.
    pub(crate) began: SystemTime,
}

/// The servers of a process, once somebody wants to know them.
pub(crate) struct Sources(Mutex<Option<Vec<Arc<Source>>>>);

impl Sources {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Of this process.
    pub(crate) fn of_this_process() -> &'static Self {
        &SOURCES
    }

    /// From now on, servers are kept.
    pub(crate) fn keep(&self) {
        self.0.lock().get_or_insert_default();
    }

    /// Adds a server, if they are kept. It takes the place of one with the same names: that one has ended.
    pub(crate) fn add(&self, service: &str, name: &str, registry: &Registry) {
        let mut kept = self.0.lock();
        let Some(sources) = kept.as_mut() else { return };
        sources.retain(|source| (&*source.service, &*source.name) != (service, name));
        sources.push(Arc::new(Source {
            service: service.to_owned(),
            name: name.to_owned(),
            exposition: Exposition::new(registry.clone()),
            began: SystemTime::now(),
        }));
    }

    /// The servers that are kept.
    pub(crate) fn all(&self) -> Vec<Arc<Source>> {
        self.0.lock().clone().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_kept_once_somebody_wants_them_and_one_follows_another_of_its_name() {
        let sources = Sources::new();
        sources.add("ws-node", "ws-0", &Registry::new());
        assert!(sources.all().is_empty());
        sources.keep();
        for name in ["ws-0", "ws-1", "ws-0"] {
            sources.add("ws-node", name, &Registry::new());
        }
        let names: Vec<String> = sources.all().iter().map(|source| source.name.clone()).collect();
        assert_eq!(names, ["ws-1", "ws-0"]);
    }
}
