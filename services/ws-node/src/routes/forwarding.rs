//! A rule in use: where its events go, and when to log that they reach no server.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use wsmesh_adapter::ServiceName;

use super::Rule;
use super::lanes::Lanes;
use crate::backends::{Backend, Shared};
use crate::seldom::Seldom;

/// How often it is logged that no server handles a rule's events.
const UNSERVED_EVERY: Duration = Duration::from_secs(30);

/// Events that may wait for each that may be under way, over all clients.
const WAITING_FOR_ONE: usize = 16;

/// A rule in use.
pub(crate) struct Forwarding {
    pub(crate) rule: Rule,
    pub(crate) way: Way,
    unserved: Seldom,
}

/// Where the events of a rule go.
pub(crate) enum Way {
    Service(ServiceName),
    Backend(ToBackend),
}

/// The way to a backend.
pub(crate) struct ToBackend {
    pub(crate) backend: Backend,
    /// Those of all rules with this URL.
    pub(crate) lanes: Arc<Lanes>,
    /// Whether the events of one client are sent one after the other.
    pub(crate) is_ordered: bool,
}

impl Forwarding {
    fn new(rule: Rule, way: Way) -> Self {
        Self {
            rule,
            way,
            unserved: Seldom::every(UNSERVED_EVERY),
        }
    }

    /// The service that handles its events, if it is one.
    pub(crate) fn service(&self) -> Option<&ServiceName> {
        match &self.way {
            Way::Service(service) => Some(service),
            Way::Backend(_) => None,
        }
    }

    /// No server handled an event. Returns the number of such events to log, if it is time to.
    pub(crate) fn count_unserved(&self) -> Option<u64> {
        self.unserved.count()
    }
}

/// The rules in use. A rule without a time limit has this one. The error says what to do.
pub(crate) fn forwardings(rules: Vec<Rule>, timeout: Duration, shared: &Shared) -> Result<Vec<Forwarding>, String> {
    // Rules with one URL share its lanes, which have room for all of them.
    let mut most: HashMap<String, usize> = HashMap::new();
    for destination in rules.iter().filter_map(|rule| rule.destination(timeout)) {
        let of_url = most.entry(destination.url.as_url().to_string()).or_default();
        *of_url = of_url.saturating_add(destination.max_in_flight.saturating_mul(WAITING_FOR_ONE));
    }
    let mut lanes: HashMap<String, Arc<Lanes>> = HashMap::new();
    let forwarding = |rule: Rule| {
        let of_rule = |problem| format!("the rule for {:?}: {problem}", rule.event);
        let way = match (&rule.service, rule.destination(timeout)) {
            (Some(service), None) => Way::Service(service.clone()),
            (None, Some(destination)) => {
                let url = destination.url.as_url().to_string();
                let most = most.get(&url).copied().unwrap_or_default();
                Way::Backend(ToBackend {
                    lanes: Arc::clone(lanes.entry(url).or_insert_with(|| Lanes::new(most))),
                    backend: Backend::new(&rule.event, destination, shared).map_err(of_rule)?,
                    is_ordered: rule.ordered.unwrap_or(true),
                })
            }
            _ => return Err(of_rule("write either service or url".to_owned())),
        };
        Ok(Forwarding::new(rule, way))
    };
    rules.into_iter().map(forwarding).collect()
}

/// A rule for tests, whose way is a service.
#[cfg(test)]
pub(crate) fn to_service(rule: Rule) -> Forwarding {
    let service = rule.service.clone().expect("a rule with a service");
    Forwarding::new(rule, Way::Service(service))
}
