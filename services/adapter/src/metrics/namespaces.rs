//! The rooms, members and messages of each namespace, read when somebody asks from what the rooms count anyway: a message pays nothing
//! for it, and no member is looked at. At most 32 namespaces have series of their own, the others are counted together as `other`. A
//! counter never falls back.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};
use tokio::time::Instant;

use crate::local::NamespaceCount;
use crate::wire::Namespace;

/// Most namespaces that have series of their own.
const MOST: usize = 32;
/// The label of all others.
const OTHER: &str = "other";
/// A namespace without rooms keeps its series for this long; then another one may have its place. So names that come and go make
/// few series.
const KEPT: Duration = Duration::from_secs(3600);

/// Tells what is counted now; nothing once the server has ended.
type Source = Box<dyn Fn() -> Option<Vec<NamespaceCount>> + Send + Sync>;

/// The metrics of namespaces.
struct NamespaceMetrics {
    rooms: IntGaugeVec,
    members: IntGaugeVec,
    messages: IntCounterVec,
    source: Source,
    seen: Mutex<Seen>,
}

/// What was read last.
#[derive(Debug, Default)]
struct Seen {
    named: BTreeMap<Namespace, Named>,
    /// Those without series of their own.
    unnamed: BTreeSet<Namespace>,
    /// Messages to all namespaces.
    messages: u64,
}

/// A namespace with series of its own.
#[derive(Debug, Default)]
struct Named {
    messages: u64,
    /// Since when it has no rooms.
    empty_since: Option<Instant>,
}

/// Registers the metrics of the namespaces that `source` tells.
pub(super) fn register(
    registry: &Registry,
    source: impl Fn() -> Option<Vec<NamespaceCount>> + Send + Sync + 'static,
) -> prometheus::Result<()> {
    let namespace = &["namespace"];
    let rooms = "Rooms with a local member, by namespace (other: beyond the first 32).";
    let members = "Local members of rooms, by namespace; a client counts once for each room.";
    let messages = "Messages to rooms with a local member, by namespace.";
    registry.register(Box::new(NamespaceMetrics {
        rooms: IntGaugeVec::new(Opts::new("wsmesh_namespace_rooms", rooms), namespace)?,
        members: IntGaugeVec::new(Opts::new("wsmesh_namespace_members", members), namespace)?,
        messages: IntCounterVec::new(Opts::new("wsmesh_namespace_messages_total", messages), namespace)?,
        source: Box::new(source),
        seen: Mutex::default(),
    }))
}

impl NamespaceMetrics {
    fn refresh(&self, counts: Vec<NamespaceCount>, now: Instant) {
        let mut seen = self.seen.lock();
        let messages: u64 = counts.iter().map(|count| count.messages).sum();
        let (named, mut others) = seen.divide(counts, now);
        for gone in seen.forget_all_but(&named) {
            let label = [gone.as_str()];
            // Each fails if there is none, which is fine.
            let _ = self.rooms.remove_label_values(&label);
            let _ = self.members.remove_label_values(&label);
            let _ = self.messages.remove_label_values(&label);
        }
        let mut of_named = 0;
        for (namespace, count) in named {
            let known = seen.named.entry(namespace.clone()).or_default();
            // It may fall back: a part of the rooms counted it with the others for a while.
            let new = count.messages.saturating_sub(known.messages);
            known.messages = count.messages;
            known.empty_since = (count.rooms == 0).then(|| known.empty_since.unwrap_or(now));
            of_named += new;
            self.show(namespace.as_str(), &count, new);
        }
        let new = messages.saturating_sub(seen.messages).saturating_sub(of_named);
        seen.messages = messages;
        others.namespace = None;
        self.show(OTHER, &others, new);
    }

    fn show(&self, label: &str, count: &NamespaceCount, new_messages: u64) {
        let gauge = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.rooms.with_label_values(&[label]).set(gauge(count.rooms));
        self.members.with_label_values(&[label]).set(gauge(count.members));
        self.messages.with_label_values(&[label]).inc_by(new_messages);
    }
}

impl Seen {
    /// Those that have series of their own from now on, and the sum of the others. Of new ones, those with most members come first.
    fn divide(
        &mut self,
        counts: Vec<NamespaceCount>,
        now: Instant,
    ) -> (BTreeMap<Namespace, NamespaceCount>, NamespaceCount) {
        let (mut named, mut rest) = (BTreeMap::new(), Vec::new());
        let mut others = NamespaceCount::default();
        for count in counts {
            match &count.namespace {
                Some(namespace) if self.named.contains_key(namespace) => {
                    named.insert(namespace.clone(), count);
                }
                Some(namespace) if namespace.as_str() != OTHER => rest.push((namespace.clone(), count)),
                _ => others.add(&count),
            }
        }
        // Those that the rooms count with the others now, because they have none.
        for namespace in self.named.keys() {
            named.entry(namespace.clone()).or_default();
        }
        rest.sort_by(|(a, one), (b, other)| other.members.cmp(&one.members).then_with(|| a.cmp(b)));
        let still_empty = |gone: &Namespace| named.get(gone).is_some_and(|count| count.rooms == 0);
        let mut leaving = self.leaving(now);
        leaving.retain(still_empty);
        let mut leaving = leaving.into_iter();
        let mut unnamed = BTreeSet::new();
        for (namespace, count) in rest {
            if named.len() >= MOST
                && count.rooms > 0
                && let Some(gone) = leaving.next()
                && let Some(count) = named.remove(&gone)
            {
                others.add(&count);
            }
            if named.len() < MOST && count.rooms > 0 {
                self.begin(&namespace, &count);
                named.insert(namespace, count);
            } else {
                others.add(&count);
                unnamed.insert(namespace);
            }
        }
        self.unnamed = unnamed;
        (named, others)
    }

    /// A namespace gets series of its own. What was counted with the others is not counted again.
    fn begin(&mut self, namespace: &Namespace, count: &NamespaceCount) {
        let messages = if self.unnamed.contains(namespace) {
            count.messages
        } else {
            0
        };
        let named = Named {
            messages,
            empty_since: None,
        };
        self.named.insert(namespace.clone(), named);
    }

    /// Those whose place another one may have, the longest without rooms first.
    fn leaving(&self, now: Instant) -> Vec<Namespace> {
        let is_over = |since: &Instant| now.saturating_duration_since(*since) >= KEPT;
        let empty = self.named.iter().filter_map(|(namespace, named)| {
            let since = named.empty_since.filter(is_over)?;
            Some((since, namespace.clone()))
        });
        let mut empty: Vec<_> = empty.collect();
        empty.sort();
        empty.into_iter().map(|(_, namespace)| namespace).collect()
    }

    fn forget_all_but(&mut self, kept: &BTreeMap<Namespace, NamespaceCount>) -> Vec<Namespace> {
        let gone: Vec<_> = self
            .named
            .keys()
            .filter(|name| !kept.contains_key(*name))
            .cloned()
            .collect();
        gone.iter().for_each(|name| _ = self.named.remove(name));
        gone
    }
}

impl Collector for NamespaceMetrics {
    fn desc(&self) -> Vec<&Desc> {
        [self.rooms.desc(), self.members.desc(), self.messages.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Some(counts) = (self.source)() else {
            return Vec::new();
        };
        self.refresh(counts, Instant::now());
        [self.rooms.collect(), self.members.collect(), self.messages.collect()].concat()
    }
}

impl fmt::Debug for NamespaceMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamespaceMetrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics() -> NamespaceMetrics {
        let vec = |name| IntGaugeVec::new(Opts::new(name, "x"), &["namespace"]).expect("a gauge");
        NamespaceMetrics {
            rooms: vec("rooms"),
            members: vec("members"),
            messages: IntCounterVec::new(Opts::new("messages", "x"), &["namespace"]).expect("a counter"),
            source: Box::new(|| None),
            seen: Mutex::default(),
        }
    }

    fn count(namespace: &str, rooms: u64, messages: u64) -> NamespaceCount {
        NamespaceCount {
            namespace: Some(Namespace::new(namespace).expect("valid")),
            rooms,
            members: 2 * rooms,
            messages,
        }
    }

    fn messages(metrics: &NamespaceMetrics, namespace: &str) -> u64 {
        metrics.messages.with_label_values(&[namespace]).get()
    }

    fn series(metrics: &NamespaceMetrics) -> usize {
        metrics.rooms.collect()[0].get_metric().len()
    }

    #[test]
    fn messages_are_counted_once_and_a_counter_never_falls_back() {
        let (metrics, now) = (metrics(), Instant::now());
        metrics.refresh(vec![count("chat", 1, 10)], now);
        metrics.refresh(vec![count("chat", 1, 15)], now);
        // A part of the rooms counts it with the others for a while.
        let rest = NamespaceCount {
            namespace: None,
            messages: 9,
            ..NamespaceCount::default()
        };
        metrics.refresh(vec![count("chat", 1, 6), rest.clone()], now);
        assert_eq!((messages(&metrics, "chat"), messages(&metrics, "other")), (15, 0));
        metrics.refresh(vec![count("chat", 1, 8), rest], now);
        assert_eq!((messages(&metrics, "chat"), messages(&metrics, "other")), (17, 0));
    }

    #[test]
    fn ten_thousand_namespaces_have_33_series_and_no_message_is_lost() {
        let (metrics, now) = (metrics(), Instant::now());
        for round in 1..=3 {
            let counts = (0..10_000).map(|number| count(&format!("n{number:05}"), 1, round));
            metrics.refresh(counts.collect(), now);
        }
        assert_eq!(series(&metrics), MOST + 1);
        assert_eq!(messages(&metrics, "n00000"), 3);
        assert_eq!(messages(&metrics, "other"), 3 * (10_000 - MOST as u64));
        assert_eq!(metrics.members.with_label_values(&["other"]).get(), 2 * (10_000 - 32));
    }

    #[test]
    fn a_namespace_without_rooms_keeps_its_series_for_an_hour() {
        let (metrics, now) = (metrics(), Instant::now());
        let full: Vec<_> = (0..MOST).map(|number| count(&format!("n{number:02}"), 1, 1)).collect();
        metrics.refresh(full.clone(), now);
        let mut empty = full;
        empty[5] = count("n05", 0, 1);
        empty.push(count("new", 1, 4));
        metrics.refresh(empty.clone(), now);
        metrics.refresh(empty.clone(), now + KEPT / 2);
        assert_eq!(messages(&metrics, "other"), 4, "there is no place yet");
        metrics.refresh(empty.clone(), now + KEPT);
        assert_eq!(series(&metrics), MOST + 1);
        empty[MOST] = count("new", 1, 7);
        metrics.refresh(empty, now + KEPT);
        assert_eq!((messages(&metrics, "new"), messages(&metrics, "other")), (3, 4));
    }

    #[test]
    fn a_namespace_that_is_called_other_is_counted_with_the_others() {
        let (metrics, now) = (metrics(), Instant::now());
        metrics.refresh(vec![count("other", 2, 3), count("chat", 1, 1)], now);
        assert_eq!((series(&metrics), messages(&metrics, "other")), (2, 3));
        assert_eq!(metrics.rooms.with_label_values(&["other"]).get(), 2);
    }
}
