//! What a snapshot of `GET /api/v1/events` says, as far as it is shown. A field that an older admin does not send, or sends in
//! another form, is unknown; it never makes the whole unreadable.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A snapshot: the bodies of GET cluster, nodes and stats.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Snapshot {
    #[serde(deserialize_with = "lenient")]
    pub(crate) as_of: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) cluster: Cluster,
    #[serde(deserialize_with = "lenient")]
    pub(crate) nodes: Nodes,
    #[serde(deserialize_with = "lenient")]
    pub(crate) stats: Stats,
}

/// A value, or its default if it has another form.
fn lenient<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Lenient<T> {
        Read(T),
        #[expect(dead_code, reason = "takes what is of another form")]
        Other(Value),
    }
    Ok(match Lenient::deserialize(deserializer)? {
        Lenient::Read(value) => value,
        Lenient::Other(_) => T::default(),
    })
}

/// The body of GET cluster.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Cluster {
    pub(crate) services: Vec<Service>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) differences: Vec<Value>,
}

/// A service and its servers.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Service {
    pub(crate) service: String,
    pub(crate) servers: Vec<ClusterServer>,
}

/// A server, as GET cluster shows it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ClusterServer {
    pub(crate) name: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) version: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) state: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) heard: Vec<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) clients: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) rooms: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) lapses: Vec<Value>,
}

/// The body of GET nodes.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Nodes {
    pub(crate) nodes: Vec<Node>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) warnings: Vec<String>,
}

/// A Redis node.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Node {
    pub(crate) id: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) state: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) heard_by: Vec<Value>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) not_heard_by: Vec<Value>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) facts: Option<Facts>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) facts_error: Option<String>,
}

/// What a node says about itself.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Facts {
    #[serde(deserialize_with = "lenient")]
    pub(crate) version: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) used_memory_bytes: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) max_memory_bytes: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) clients: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) ops_per_second: Option<f64>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) bytes_in_per_second: Option<f64>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) bytes_out_per_second: Option<f64>,
}

/// The body of GET stats.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Stats {
    #[serde(deserialize_with = "lenient")]
    pub(crate) age_ms: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) complete: Option<bool>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) missing: Vec<Value>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) clients: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) totals: Totals,
    #[serde(deserialize_with = "lenient")]
    pub(crate) servers: Vec<ServerStats>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) namespaces: Vec<NamespaceStats>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) top_rooms: TopRooms,
    #[serde(deserialize_with = "lenient")]
    pub(crate) slow_clients: Vec<Value>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) errors_per_second: std::collections::BTreeMap<String, f64>,
}

/// Sums over all servers.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Totals {
    #[serde(deserialize_with = "lenient")]
    pub(crate) servers: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) clients: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) rates: Rates,
}

/// Per second.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Rates {
    #[serde(deserialize_with = "lenient")]
    pub(crate) messages_in: Option<f64>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) messages_out: Option<f64>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) bytes_in: Option<f64>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) bytes_out: Option<f64>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) publishes: Option<f64>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) connects: Option<f64>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) disconnects: Option<f64>,
}

/// A server, as GET stats shows it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ServerStats {
    #[serde(alias = "server")]
    pub(crate) name: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) service: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) state: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) clients: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) rooms: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) rates: Rates,
    #[serde(deserialize_with = "lenient")]
    pub(crate) lag_ms: Lag,
}

/// From publishing to receiving.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Lag {
    #[serde(deserialize_with = "lenient")]
    pub(crate) p50: Option<f64>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) p99: Option<f64>,
}

/// The rooms of a namespace.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct NamespaceStats {
    pub(crate) namespace: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) rooms: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) members: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) messages_per_second: Option<f64>,
}

/// The rooms with most members, and with most messages.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct TopRooms {
    #[serde(deserialize_with = "lenient")]
    pub(crate) by_members: Vec<RoomStats>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) by_messages: Vec<RoomStats>,
}

/// One of these rooms.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RoomStats {
    pub(crate) namespace: String,
    pub(crate) id: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) members: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) messages_per_second: Option<f64>,
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// What an admin sends: two ws-nodes, one of which drains, and two nodes, one of which is not heard by all.
    pub(crate) fn sent() -> Value {
        let rates = json!({"messagesIn": 120.5, "messagesOut": 4810.0, "bytesIn": 20_480, "bytesOut": 1_234_567, "publishes": 300,
                           "connects": 2.0, "disconnects": 0.4});
        let cluster = json!({"services": [
            {"service": "admin", "servers": [{"name": "admin-0", "version": "0.1.0", "state": "serving", "heard": ["redis-0", "redis-1"],
                                              "clients": 0, "rooms": 0, "counted": true, "lapses": []}]},
            {"service": "ws-node", "servers": [
                {"name": "ws-0", "version": "0.1.0", "state": "serving", "heard": ["redis-0", "redis-1"], "clients": 1200, "rooms": 30},
                {"name": "ws-1", "version": "0.1.1", "state": "draining", "heard": ["redis-0"], "clients": 15, "rooms": 3,
                 "lapses": [{"reason": "isolated"}]},
            ]},
        ], "differences": []});
        let nodes = json!({"nodes": [
            {"id": "redis-0", "state": "active", "heardBy": [{}, {}, {}], "notHeardBy": [],
             "facts": {"version": "7.0.15", "usedMemoryBytes": 2_097_152, "maxMemoryBytes": 268_435_456, "clients": 9,
                       "opsPerSecond": 5100, "bytesInPerSecond": 900_000, "bytesOutPerSecond": 2_700_000}, "factsError": null},
            {"id": "redis-1", "state": "active", "heardBy": [{}, {}], "notHeardBy": [{}], "facts": null, "factsError": "timed out"},
        ], "warnings": ["1 of 3 servers do not hear node redis-1"]});
        let stats = json!({"asOf": "2026-11-30T09:00:00.000Z", "ageMs": 12, "complete": true, "missing": [], "clients": 1215,
            "totals": {"servers": 3, "clients": 1215, "rooms": 31, "rates": rates},
            "servers": [
                {"name": "admin-0", "service": "admin", "state": "serving", "clients": 0, "rooms": 0, "rates": {}, "lagMs": {"p50": 0.5, "p99": 2.0}},
                {"name": "ws-0", "service": "ws-node", "state": "serving", "clients": 1200, "rooms": 30, "rates": rates, "lagMs": {"p50": 0.8, "p99": 12.25}},
                {"name": "ws-1", "service": "ws-node", "state": "draining", "clients": 15, "rooms": 3, "rates": {}, "lagMs": {"p50": null, "p99": null}},
            ],
            "namespaces": [{"namespace": "chat", "rooms": 31, "members": 1100, "messagesPerSecond": 118.0}],
            "topRooms": {"byMembers": [{"namespace": "chat", "id": "lobby", "members": 900}],
                         "byMessages": [{"namespace": "chat", "id": "table 7", "messagesPerSecond": 55.5},
                                        {"namespace": "chat", "id": "lobby", "messagesPerSecond": 3.0}]},
            "slowClients": [], "closesPerSecond": {}, "errorsPerSecond": {"TIMEOUT": 0.5}});
        json!({"asOf": "2026-11-30T09:00:00.000Z", "cluster": cluster, "nodes": nodes, "stats": stats})
    }

    pub(crate) fn snapshot() -> Snapshot {
        serde_json::from_value(sent()).expect("readable")
    }

    #[test]
    fn a_snapshot_is_read_as_it_is_sent() {
        let snapshot = snapshot();
        assert_eq!(snapshot.stats.totals.rates.messages_out, Some(4810.0));
        assert_eq!(snapshot.cluster.services[1].servers[1].heard, ["redis-0"]);
        let facts = snapshot.nodes.nodes[0].facts.as_ref().expect("facts");
        assert_eq!(
            (facts.ops_per_second, facts.max_memory_bytes),
            (Some(5100.0), Some(268_435_456))
        );
        assert_eq!(snapshot.stats.top_rooms.by_messages[0].id, "table 7");
    }

    #[test]
    fn fields_that_an_older_admin_does_not_send_are_unknown() {
        assert_eq!(
            serde_json::from_str::<Snapshot>("{}").expect("readable"),
            Snapshot::default()
        );
        let old = json!({
            "cluster": {"services": [{"service": "ws-node", "servers": [{"name": "ws-0"}]}]},
            "stats": {"servers": [{"server": "ws-0", "clients": 3}]},
        });
        let old: Snapshot = serde_json::from_value(old).expect("readable");
        assert_eq!(
            (old.stats.servers[0].name.as_str(), old.stats.servers[0].clients),
            ("ws-0", Some(3))
        );
        assert_eq!(old.cluster.services[0].servers[0].state, None);
    }

    #[test]
    fn a_field_of_another_form_is_unknown_and_leaves_the_others_readable() {
        let mut sent = sent();
        sent["stats"]["servers"][0]["clients"] = json!("many");
        sent["stats"]["totals"] = json!([]);
        sent["nodes"]["nodes"][0]["facts"]["opsPerSecond"] = json!({});
        sent["cluster"]["differences"] = json!(7);
        let read: Snapshot = serde_json::from_value(sent).expect("readable");
        assert_eq!(read.stats.servers[0].clients, None);
        assert_eq!(read.stats.servers[1].clients, Some(1200));
        assert_eq!(read.stats.totals, Totals::default());
        assert_eq!(
            read.nodes.nodes[0].facts.as_ref().map(|facts| facts.clients),
            Some(Some(9))
        );
    }
}
