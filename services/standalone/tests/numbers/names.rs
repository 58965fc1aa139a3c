//! The lists of names against what is really exported, and the rules that names follow.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use wsmesh_test_support::soon;

use crate::documents;
use crate::ground::{Ground, POLL, Place, get};
use crate::scrape::{Family, families};

/// Those of the adapter that only servers with clients have.
const OF_CLIENTS: &str = "wsmesh_namespace_";

/// The families of each service, by its kind.
pub(crate) type Exported = BTreeMap<&'static str, BTreeMap<String, Family>>;

/// What each kind of service is to export.
fn listed() -> [(&'static str, BTreeSet<&'static str>); 3] {
    let of_all = || {
        wsmesh_adapter::METRIC_NAMES
            .iter()
            .chain(wsmesh_bootstrap::METRIC_NAMES)
    };
    let without_clients = || of_all().filter(|name| !name.starts_with(OF_CLIENTS)).copied();
    [
        ("ws-node", of_all().chain(ws_node::METRIC_NAMES).copied().collect()),
        (
            "game-logic",
            without_clients()
                .chain(game_logic::metrics::METRIC_NAMES.iter().copied())
                .collect(),
        ),
        (
            "admin",
            without_clients().chain(admin::METRIC_NAMES.iter().copied()).collect(),
        ),
    ]
}

/// Does something of every kind.
async fn live(ground: &Ground) {
    let (mut ann, mut bob) = (ground.client("ann").await, ground.client("bob").await);
    ann.request("joinRoom", json!({"roomId": "7"})).await;
    ann.request("publish", json!({"namespace": "chat", "roomId": "7", "data": 1}))
        .await;
    ann.request("gamePing", json!({})).await;
    ann.request("bid", json!(1)).await;
    ann.request("nonsense", json!(1)).await;
    for client in [&mut ann, &mut bob] {
        client.request("matchRequest", json!({})).await;
    }
    get(ground.admin.public, "/api/v1/nodes").await;
    ann.close().await;
    bob.close().await;
}

/// Waits until everything that is listed is exported.
async fn exported(ground: &Ground) -> Exported {
    let mut found = Exported::new();
    let places: [Place; 3] = ground.places();
    for ((service, listed), place) in listed().into_iter().zip(places) {
        let mut missing = BTreeSet::new();
        let looking = async {
            loop {
                let now = families(&get(place.ops, "/metrics").await);
                missing = listed.iter().copied().filter(|name| !now.contains_key(*name)).collect();
                found.insert(service, now);
                if missing.is_empty() {
                    return;
                }
                tokio::time::sleep(POLL).await;
            }
        };
        let in_time = tokio::time::timeout(wsmesh_test_support::SOON, looking).await;
        assert!(in_time.is_ok(), "{service} lists what it does not export: {missing:?}");
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_name_is_listed_exported_and_documented_and_follows_the_rules() {
    let ground = Ground::start().await;
    soon("something happened", live(&ground)).await;
    let exported = exported(&ground).await;
    ground.end().await;
    for (service, listed) in listed() {
        let names = exported[service].keys().map(String::as_str);
        let unlisted: Vec<_> = names.filter(|name| !listed.contains(name)).collect();
        assert_eq!(unlisted, [""; 0], "{service} exports what its crate does not list");
        for (name, family) in &exported[service] {
            let broken = broken_rule(name, family);
            assert_eq!(broken, None, "{name} of {service}: {family:?}");
        }
    }
    documents::check(&exported);
}

/// The rules of `promtool check metrics`, and those of this project.
fn broken_rule(name: &str, family: &Family) -> Option<&'static str> {
    const OTHER_UNITS: [&str; 14] = [
        "milliseconds",
        "microseconds",
        "nanoseconds",
        "minutes",
        "hours",
        "days",
        "ms",
        "kilobytes",
        "megabytes",
        "kb",
        "mb",
        "bits",
        "percent",
        "celsius",
    ];
    let words: Vec<&str> = name.split('_').collect();
    let is_counter = family.kind == "counter";
    // Of the process collector, which all Prometheus clients have alike.
    let is_foreign = !name.starts_with("wsmesh_");
    let is_snake = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| name.ends_with(suffix));
    [
        (family.help.trim().is_empty(), "it has no help"),
        (!is_foreign && !family.help.ends_with('.'), "its help is no sentence"),
        (
            !["counter", "gauge", "histogram"].contains(&&*family.kind),
            "it has another type",
        ),
        (
            is_counter != name.ends_with("_total"),
            "counters, and only they, end with _total",
        ),
        (
            ends(&["_count", "_sum", "_bucket", "_info"]) && name != "wsmesh_build_info",
            "it ends as a part of others",
        ),
        (
            words.iter().any(|word| OTHER_UNITS.contains(word)),
            "it does not use a base unit",
        ),
        (
            words
                .iter()
                .any(|word| ["counter", "gauge", "histogram"].contains(word)),
            "it names its type",
        ),
        (
            family.kind == "histogram" && !name.ends_with("_seconds"),
            "a histogram of no stated unit",
        ),
        (
            !is_snake(name) || family.labels.iter().any(|label| !is_snake(label)),
            "a name is not in snake case",
        ),
    ]
    .into_iter()
    .find_map(|(is_broken, rule)| is_broken.then_some(rule))
}

#[test]
fn names_that_break_a_rule_are_found() {
    let family = |kind: &str, help: &str| Family {
        kind: kind.to_owned(),
        help: help.to_owned(),
        ..Family::default()
    };
    assert_eq!(broken_rule("wsmesh_x_total", &family("counter", "All x.")), None);
    for (name, kind, help) in [
        ("wsmesh_x", "counter", "All x."),
        ("wsmesh_x_total", "gauge", "All x."),
        ("wsmesh_x_ms", "gauge", "All x."),
        ("wsmesh_x_count", "gauge", "All x."),
        ("wsmesh_x", "gauge", ""),
        ("wsmesh_x", "gauge", "All x"),
        ("wsmesh_x", "untyped", "All x."),
        ("wsmesh_X", "gauge", "All x."),
        ("wsmesh_x_duration", "histogram", "All x."),
    ] {
        assert!(
            broken_rule(name, &family(kind, help)).is_some(),
            "{name} {kind} {help:?}"
        );
    }
}
