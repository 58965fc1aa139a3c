//! Reads the texts with which a Redis describes itself and its connections (INFO, CLIENT LIST). Pure.

use crate::nodes::facts::{NodeFacts, OutputBuffer};
use crate::nodes::inquiry::About;
use crate::nodes::link::SubscriberNumber;
use crate::wire::{RunId, ServerName};

/// INFO counts traffic in these.
const KILOBYTE: f64 = 1024.0;
/// Longest version, role or run id: a Redis's own are shorter.
const LONGEST: usize = 64;

/// The lines of INFO, by name.
struct Info<'a>(&'a str);

impl<'a> Info<'a> {
    fn text(&self, name: &str) -> Option<&'a str> {
        let mut lines = self.0.lines().filter_map(|line| line.split_once(':'));
        let (_, value) = lines.find(|(key, _)| *key == name)?;
        let value = value.trim();
        (!value.is_empty()).then_some(value)
    }

    fn short(&self, name: &str) -> Option<String> {
        let plain = |text: &str| text.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
        self.text(name).map(plain)
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    fn bytes_per_second(&self, name: &str) -> Option<u64> {
        let kilobytes: f64 = self.text(name)?.parse().ok()?;
        Some((kilobytes * KILOBYTE) as u64)
    }
}

/// The facts in INFO.
pub(super) fn facts(text: &str) -> NodeFacts {
    let info = Info(text);
    let of_valkey = info.short("valkey_version").map(|version| format!("Valkey {version}"));
    NodeFacts {
        version: of_valkey.or_else(|| info.short("redis_version")),
        role: info.short("role"),
        run_id: info.short("run_id"),
        uptime_seconds: info.number("uptime_in_seconds"),
        used_memory_bytes: info.number("used_memory"),
        max_memory_bytes: info.number("maxmemory"),
        clients: info.number("connected_clients"),
        ops_per_second: info.number("instantaneous_ops_per_sec"),
        commands: info.number("total_commands_processed"),
        bytes_in: info.number("total_net_input_bytes"),
        bytes_out: info.number("total_net_output_bytes"),
        bytes_in_per_second: info.bytes_per_second("instantaneous_input_kbps"),
        bytes_out_per_second: info.bytes_per_second("instantaneous_output_kbps"),
        pubsub_channels: info.number("pubsub_channels"),
        pubsub_patterns: info.number("pubsub_patterns"),
        evicted_keys: info.number("evicted_keys"),
        rejected_connections: info.number("rejected_connections"),
        ..NodeFacts::default()
    }
}

/// The run of Redis that INFO describes, if it can be told from others.
pub(super) fn run(text: &str) -> Option<RunId> {
    RunId::new(Info(text).text("run_id")?)
}

/// Which Redis INFO describes.
pub(super) fn about(text: &str) -> About {
    let info = Info(text);
    let dependence = if info.number("cluster_enabled") == Some(1) {
        Some("it is part of a Redis Cluster, whose nodes pass messages to each other".to_owned())
    } else if info.text("role") == Some("slave") {
        Some("it is a replica, which gets the messages of its master".to_owned())
    } else {
        None
    };
    About {
        version: info.short("redis_version"),
        run_id: info.short("run_id"),
        dependence,
    }
}

/// What waits for our connections, from the lines of CLIENT LIST; sorted by server. A number that was given to another
/// connection meanwhile is recognised by that connection's name, which is not one of ours.
pub(super) fn output_buffers(list: &str, subscribers: &[(ServerName, SubscriberNumber)]) -> Vec<OutputBuffer> {
    let buffer = |line: &str| {
        let field = |name: &str| {
            let mut fields = line.split(' ').filter_map(|field| field.split_once('='));
            fields.find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        let number: SubscriberNumber = field("id")?.parse().ok()?;
        let (server, _) = subscribers.iter().find(|(_, of)| *of == number)?;
        let name = field("name").unwrap_or_default();
        if !name.is_empty() && name != super::shown_name(server.as_str()) {
            return None;
        }
        // The memory of queued answers, and what of the fixed buffer is used.
        let bytes = |name| field(name).and_then(|bytes| bytes.parse::<u64>().ok());
        Some(OutputBuffer {
            server: server.clone(),
            bytes: bytes("omem")?.saturating_add(bytes("obl").unwrap_or_default()),
        })
    };
    let mut buffers: Vec<_> = list.lines().filter_map(buffer).collect();
    buffers.sort_by(|a, b| a.server.cmp(&b.server));
    buffers
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "# Server\r\nredis_version:7.0.15\r\nrun_id:0f7a\r\nuptime_in_seconds:61\r\n# Memory\r\n\
        used_memory:1048576\r\nmaxmemory:0\r\n# Stats\r\ninstantaneous_input_kbps:1.50\r\nevicted_keys:none\r\n\
        # Replication\r\nrole:master\r\n";

    fn server(name: &str) -> ServerName {
        ServerName::new(name).expect("valid")
    }

    #[test]
    fn what_info_says_becomes_facts_and_what_it_does_not_say_stays_unknown() {
        let facts = facts(INFO);
        assert_eq!(facts.version.as_deref(), Some("7.0.15"));
        assert_eq!((facts.uptime_seconds, facts.max_memory_bytes), (Some(61), Some(0)));
        assert_eq!(facts.bytes_in_per_second, Some(1536));
        assert_eq!(
            (facts.evicted_keys, facts.bytes_out_per_second),
            (None, None),
            "no number, and no line"
        );
        assert_eq!(super::facts(""), NodeFacts::default());
    }

    #[test]
    fn replicas_and_members_of_a_cluster_are_not_independent() {
        assert_eq!(about(INFO).dependence, None);
        let replica = INFO.replace("role:master", "role:slave");
        assert!(about(&replica).dependence.is_some_and(|why| why.contains("replica")));
        let member = format!("{INFO}cluster_enabled:1\r\n");
        assert!(about(&member).dependence.is_some_and(|why| why.contains("Cluster")));
    }

    #[test]
    fn a_hostile_info_becomes_no_long_or_broken_text() {
        let text = format!("redis_version:{}\x1b[2J\r\nrun_id\r\n:\r\nrole:", "9".repeat(5000));
        let facts = facts(&text);
        assert_eq!(facts.version.map(|version| version.len()), Some(LONGEST));
        assert_eq!((facts.run_id, facts.role), (None, None));
    }

    #[test]
    fn buffers_are_those_of_our_own_connections_only() {
        let list = "id=7 addr=127.0.0.1:1 name=two obl=100 oll=1 omem=2000 tot-mem=1\n\
            id=3 addr=127.0.0.1:2 name= obl=0 omem=5\nid=9 name=stranger omem=9\nid=8 name=foreign omem=7\nbroken\n";
        let ours = [(server("two"), 7), (server("one"), 3), (server("three"), 8)];
        let found = output_buffers(list, &ours);
        let expected = [(server("one"), 5), (server("two"), 2100)];
        let found: Vec<_> = found.into_iter().map(|buffer| (buffer.server, buffer.bytes)).collect();
        assert_eq!(found, expected, "8 was given to another one's connection meanwhile");
    }
}
