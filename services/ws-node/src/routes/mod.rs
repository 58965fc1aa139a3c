//! The table of events: which are built in, and which a rule forwards to a service or a backend. Made once from the
//! configuration; what handles an event is in `events`.

mod forwarding;
mod lanes;
pub(crate) mod settings;

use std::collections::HashMap;
use std::sync::Arc;

use wsmesh_adapter::{Namespace, ServiceName};

#[cfg(test)]
pub(crate) use forwarding::to_service;
pub(crate) use forwarding::{Forwarding, ToBackend, Way, forwardings};
pub(crate) use settings::{AUTHENTICATE, CREDENTIAL_EVENTS};
pub use settings::{PickBy, ReplyBy, Rule};

use crate::event_metrics::{EventMetrics, EventSeries};
use crate::handlers::Found;

/// Longest name of an event that a rule for several events forwards, in bytes: it becomes a header.
const LONGEST_OF_PREFIX: usize = 256;

/// What handles an event.
#[derive(Clone)]
pub(crate) enum Route {
    EnterBackground,
    EnterForeground,
    RefreshToken,
    JoinRoom,
    LeaveRoom,
    Publish,
    Echo,
    Say,
    Command,
    Rule(Arc<Forwarding>),
    /// Functions of the program. Not in the table: they may change at any time, and come before it.
    Handlers(Arc<Found>),
}

impl Route {
    /// Whether it is about the connection itself: allowed whatever events a token lists. Rooms have their own list.
    pub(crate) fn is_own(&self) -> bool {
        matches!(
            self,
            Self::EnterBackground | Self::EnterForeground | Self::RefreshToken | Self::JoinRoom | Self::LeaveRoom
        )
    }
}

/// What was found for an event.
#[derive(Clone, Copy)]
pub(crate) struct Match<'a> {
    /// One of a bounded set: that of the rule, if it is for several events.
    pub(crate) name: &'a str,
    pub(crate) route: &'a Route,
    /// Counts what came of it.
    pub(crate) series: EventSeries,
}

/// A route of the table.
struct Entry {
    route: Route,
    series: EventSeries,
}

/// The table.
pub(crate) struct Routes {
    routes: HashMap<Box<str>, Entry>,
    /// The rules for several events, the longest beginning first.
    prefixes: Vec<(Box<str>, Entry)>,
    /// Counts events.
    metrics: EventMetrics,
    /// Services of the rules: they are told when a client is gone.
    services: Vec<ServiceName>,
    /// Namespaces that clients may join themselves.
    client_rooms: Vec<Namespace>,
    /// Built-in events that a rule replaces.
    replaced: Vec<Box<str>>,
}

impl Routes {
    /// Makes the table. A rule for the name of a built-in event replaces it, see [`Routes::replaced`].
    pub(crate) fn new(
        rules: Vec<Forwarding>,
        client_rooms: Vec<Namespace>,
        with_demo: bool,
        metrics: EventMetrics,
    ) -> Self {
        let mut built_in = vec![
            ("enterBackground", Route::EnterBackground),
            ("enterForeground", Route::EnterForeground),
        ];
        if !client_rooms.is_empty() {
            built_in.extend([("joinRoom", Route::JoinRoom), ("leaveRoom", Route::LeaveRoom)]);
        }
        if with_demo {
            built_in.extend([("echo", Route::Echo), ("say", Route::Say), ("command", Route::Command)]);
        }
        let mut services: Vec<_> = rules.iter().filter_map(Forwarding::service).cloned().collect();
        services.sort();
        services.dedup();
        let entry = |name: &str, route| Entry {
            route,
            series: metrics.of(name),
        };
        let mut routes: HashMap<Box<str>, Entry> = built_in
            .into_iter()
            .map(|(name, route)| (name.into(), entry(name, route)))
            .collect();
        let (mut replaced, mut prefixes) = (Vec::new(), Vec::new());
        for forwarding in rules.into_iter().map(Arc::new) {
            let event: Box<str> = forwarding.rule.event.as_str().into();
            let is_prefix = forwarding.rule.prefix().is_some();
            let rule = entry(&event, Route::Rule(forwarding));
            if is_prefix {
                prefixes.push((event, rule));
            } else if routes.insert(event.clone(), rule).is_some() {
                replaced.push(event);
            }
        }
        prefixes.sort_by_key(|(event, _)| std::cmp::Reverse(event.len()));
        Self {
            routes,
            prefixes,
            metrics,
            services,
            client_rooms,
            replaced,
        }
    }

    /// Adds the events that tokens need: tokens are renewed, and may allow rooms that the settings do not.
    pub(crate) fn with_tokens(mut self) -> Self {
        for name in CREDENTIAL_EVENTS {
            let entry = self.entry(name, Route::RefreshToken);
            self.routes.insert(name.into(), entry);
        }
        self.with_rooms()
    }

    /// Adds the events of rooms: what proves who a client is may allow rooms that the settings do not.
    pub(crate) fn with_rooms(self) -> Self {
        self.with("joinRoom", Route::JoinRoom)
            .with("leaveRoom", Route::LeaveRoom)
    }

    /// Adds the event with which clients publish to rooms.
    pub(crate) fn with_publish(self) -> Self {
        self.with("publish", Route::Publish)
    }

    fn with(mut self, name: &str, route: Route) -> Self {
        let entry = self.entry(name, route);
        let taken = self.routes.entry(name.into()).or_insert(entry);
        if matches!(taken.route, Route::Rule(_)) && !self.replaced().any(|event| event == name) {
            self.replaced.push(name.into());
        }
        self
    }

    fn entry(&self, name: &str, route: Route) -> Entry {
        Entry {
            route,
            series: self.metrics.of(name),
        }
    }

    /// The route of an event.
    pub(crate) fn find(&self, event: &str) -> Option<Match<'_>> {
        let exact = self.routes.get_key_value(event);
        exact
            .map(|(name, entry)| entry.matched(name))
            .or_else(|| self.find_prefix(event))
    }

    fn find_prefix(&self, event: &str) -> Option<Match<'_>> {
        let mut fitting = self
            .prefixes
            .iter()
            .filter(|(pattern, _)| event.starts_with(pattern.trim_end_matches('*')));
        let (pattern, entry) = fitting.next()?;
        // Those that no rule may forward.
        let is_kept = event.starts_with("wsmesh.") || CREDENTIAL_EVENTS.contains(&event);
        (!is_kept && event.len() <= LONGEST_OF_PREFIX).then(|| entry.matched(pattern))
    }

    /// Built-in events that a rule replaces, often by mistake: the author of the rule may not know that they exist.
    pub(crate) fn replaced(&self) -> impl Iterator<Item = &str> {
        self.replaced.iter().map(|event| &**event)
    }

    /// The services of the rules.
    pub(crate) fn services(&self) -> &[ServiceName] {
        &self.services
    }

    /// Whether clients may join rooms of this namespace themselves.
    pub(crate) fn lets_clients_join(&self, namespace: &Namespace) -> bool {
        self.client_rooms.contains(namespace)
    }
}

impl Entry {
    fn matched<'a>(&'a self, name: &'a str) -> Match<'a> {
        Match {
            name,
            route: &self.route,
            series: self.series,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prometheus::Registry;

    use super::*;
    use crate::settings::EdgeSettings;

    fn rule(event: &str) -> Forwarding {
        let rule = format!(r#"{{"event":"{event}","service":"s"}}"#);
        to_service(serde_json::from_str(&rule).expect("a rule"))
    }

    fn metrics() -> EventMetrics {
        EventMetrics::register(&Registry::new()).expect("registers")
    }

    #[test]
    fn a_rule_that_replaces_a_built_in_event_is_reported() {
        let rules = || ["enterBackground", "joinRoom", "echo", "mine"].map(rule).into();
        let chat = Namespace::new("chat").expect("valid");
        let replaced = |routes: &Routes| routes.replaced().map(str::to_owned).collect::<Vec<_>>();
        let production = Routes::new(rules(), Vec::new(), false, metrics());
        assert_eq!(replaced(&production), ["enterBackground"]);
        assert_eq!(replaced(&production.with_tokens()), ["enterBackground", "joinRoom"]);
        let demo = Routes::new(rules(), vec![chat], true, metrics()).with_tokens();
        assert_eq!(replaced(&demo), ["enterBackground", "joinRoom", "echo"]);
    }

    #[test]
    fn an_event_without_a_rule_of_its_own_takes_the_rule_with_the_longest_beginning() {
        let rules = ["bid.*", "bid.place", "bid.auto.*", "b*", "*"].map(rule).into();
        let routes = Routes::new(rules, Vec::new(), true, metrics()).with_tokens();
        let found = |event: &str| routes.find(event).map(|found| found.name.to_owned());
        for (event, name) in [
            ("bid.place", "bid.place"),
            ("bid.other", "bid.*"),
            ("bid.", "bid.*"),
            ("bid.auto.on", "bid.auto.*"),
            ("bid", "b*"),
            ("else", "*"),
            ("echo", "echo"),
            ("enterBackground", "enterBackground"),
            ("refreshToken", "refreshToken"),
        ] {
            assert_eq!(found(event).as_deref(), Some(name), "{event}");
        }
        assert_eq!(found("wsmesh.kick"), None, "reserved");
        assert_eq!(found(&"b".repeat(257)), None, "too long for a header");
        let without_tokens = Routes::new([rule("*")].into(), Vec::new(), false, metrics());
        for event in CREDENTIAL_EVENTS {
            assert!(without_tokens.find(event).is_none(), "{event} carries tokens");
        }
    }

    /// Events of the README's table, with what it says about where they exist.
    fn documented() -> Vec<(String, String)> {
        let readme = include_str!("../../../protocol/README.md");
        let rows = readme
            .lines()
            .skip_while(|line| !line.starts_with("| event | profile | payload |"))
            .skip(2)
            .take_while(|line| line.starts_with('|'));
        let mut events = Vec::new();
        for row in rows {
            let mut cells = row.split('|').skip(1);
            let (names, profile) = (cells.next().expect("names"), cells.next().expect("a profile"));
            for name in names.split(',') {
                events.push((name.trim().trim_matches('`').to_owned(), profile.trim().to_owned()));
            }
        }
        events
    }

    fn events(settings: EdgeSettings) -> BTreeSet<String> {
        let lets_publish = settings.lets_clients_publish();
        let rules = settings.rules.0.into_iter().map(to_service).collect();
        let routes = Routes::new(rules, settings.client_rooms, settings.demo, metrics());
        let routes = if lets_publish { routes.with_publish() } else { routes };
        routes.routes.keys().map(|event| event.to_string()).collect()
    }

    #[test]
    fn the_readme_says_which_events_each_profile_has() {
        let (demo, production) = (events(EdgeSettings::demo()), events(EdgeSettings::default()));
        let documented = documented();
        for (event, profile) in &documented {
            let in_all = profile == "all";
            assert_eq!(
                in_all || profile.contains("demo"),
                demo.contains(event),
                "{event}: {profile}"
            );
            assert_eq!(in_all, production.contains(event), "{event}: {profile}");
        }
        let documented: BTreeSet<_> = documented.into_iter().map(|(event, _)| event).collect();
        let missing: Vec<_> = demo.difference(&documented).collect();
        assert!(missing.is_empty(), "the table lacks {missing:?}");
    }
}
