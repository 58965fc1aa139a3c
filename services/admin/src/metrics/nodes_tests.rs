use std::sync::Arc;

use wsmesh_adapter::OutputBuffer;

use super::*;
use crate::gather::{MembershipView, NodeDifference, Said};

fn id(id: &str) -> NodeId {
    NodeId::new(id).expect("an id")
}

fn said(facts: Result<NodeFacts, String>) -> Said {
    let slow_commands = facts.as_ref().ok().and_then(|facts| facts.slow_commands);
    Said {
        facts,
        slow_commands,
        age_ms: 0,
    }
}

fn known(facts: Vec<(&str, Result<NodeFacts, String>)>, membership: Option<MembershipView>) -> Known {
    let of_nodes = facts.into_iter().map(|(node, facts)| (id(node), said(facts)));
    Known {
        facts: Facts {
            of_nodes: of_nodes.collect(),
        },
        nodes: NodesView {
            nodes: Vec::new(),
            kubernetes: None,
            membership,
            warnings: Vec::new(),
        },
    }
}

fn facts() -> NodeFacts {
    let buffer = |server: &str, bytes| OutputBuffer {
        server: wsmesh_adapter::ServerName::new(server).expect("a name"),
        bytes,
    };
    NodeFacts {
        used_memory_bytes: Some(1024),
        commands: Some(77),
        bytes_in: Some(5),
        slow_commands: Some(3),
        output_buffers: vec![buffer("a", 10), buffer("b", 30)],
        ..NodeFacts::default()
    }
}

/// Each series and its value, in the text form.
fn text(metrics: &NodesMetrics) -> Vec<String> {
    let mut families = metrics.collect();
    // As a registry does it.
    families.retain(|family| !family.get_metric().is_empty());
    let text = prometheus::TextEncoder::new()
        .encode_to_string(&families)
        .expect("text");
    let series = text.lines().filter(|line| !line.starts_with('#'));
    series.map(str::to_owned).collect()
}

fn telling(known: impl Fn() -> Option<Known> + Send + Sync + 'static) -> NodesMetrics {
    NodesMetrics::new(Box::new(known)).expect("made")
}

#[test]
fn a_node_has_series_of_what_it_said_and_one_that_is_silent_is_down() {
    let both = || {
        known(
            vec![("redis-0", Ok(facts())), ("redis-1", Err("hung".to_owned()))],
            None,
        )
    };
    let shown = text(&telling(move || Some(both())));
    for series in [
        "wsmesh_redis_up{node=\"redis-0\"} 1",
        "wsmesh_redis_up{node=\"redis-1\"} 0",
        "wsmesh_redis_memory_bytes{node=\"redis-0\"} 1024",
        "wsmesh_redis_commands_total{node=\"redis-0\"} 77",
        "wsmesh_redis_bytes_total{direction=\"in\",node=\"redis-0\"} 5",
        "wsmesh_redis_slow_commands_total{node=\"redis-0\"} 3",
        "wsmesh_redis_subscriber_buffer_bytes{node=\"redis-0\"} 30",
    ] {
        assert!(shown.iter().any(|line| line == series), "{series}: {shown:?}");
    }
    assert!(
        !shown
            .iter()
            .any(|line| line.contains("uptime") || line.contains("\"out\"")),
        "{shown:?}"
    );
}

#[test]
fn the_series_of_a_removed_node_end_and_a_restarted_one_counts_from_zero() {
    let told = Arc::new(Mutex::new(vec![("redis-0", facts()), ("redis-1", facts())]));
    let telling_now = Arc::clone(&told);
    let metrics = telling(move || {
        let facts = telling_now
            .lock()
            .iter()
            .map(|(node, facts)| (*node, Ok(facts.clone())))
            .collect();
        Some(known(facts, None))
    });
    assert!(text(&metrics).iter().any(|line| line.contains("redis-1")));
    let restarted = NodeFacts {
        commands: Some(2),
        ..facts()
    };
    *told.lock() = vec![("redis-0", restarted)];
    let shown = text(&metrics);
    assert!(!shown.iter().any(|line| line.contains("redis-1")), "{shown:?}");
    assert!(
        shown.contains(&"wsmesh_redis_commands_total{node=\"redis-0\"} 2".to_owned()),
        "{shown:?}"
    );
}

#[test]
fn pods_that_are_not_nodes_yet_are_missing_and_those_that_leave_are_not() {
    let lacking = |node, lack| NodeDifference {
        node: id(node),
        lack,
        problem: None,
    };
    let membership = MembershipView {
        replicas: Some(5),
        differences: vec![
            lacking("redis-3", Lack::Waiting),
            lacking("redis-4", Lack::Refused),
            lacking("redis-7", Lack::Leaving),
        ],
        ..MembershipView::default()
    };
    assert_eq!(wanted(&known(Vec::new(), Some(membership)).nodes), (Some(5), 2));
    assert_eq!(wanted(&known(Vec::new(), None).nodes), (Some(0), 0));
}

#[test]
fn what_is_not_known_has_no_series() {
    let told = Arc::new(Mutex::new((NodeFacts::default(), Some(3))));
    let telling_now = Arc::clone(&told);
    let metrics = telling(move || {
        let (facts, replicas) = telling_now.lock().clone();
        let membership = MembershipView {
            replicas,
            ..MembershipView::default()
        };
        Some(known(vec![("redis-0", Ok(facts))], Some(membership)))
    });
    let (wanted, buffer) = (
        "wsmesh_nodes_wanted 3",
        "wsmesh_redis_subscriber_buffer_bytes{node=\"redis-0\"} 0",
    );
    let shown = text(&metrics);
    assert!(
        [wanted, buffer]
            .iter()
            .all(|series| shown.iter().any(|line| line == series)),
        "{shown:?}"
    );
    let forbidden = NodeFacts {
        forbidden: vec!["CLIENT LIST".to_owned()],
        ..NodeFacts::default()
    };
    *told.lock() = (forbidden, None);
    let shown = text(&metrics);
    let is_unknown = |line: &String| line.contains("nodes_wanted") || line.contains("subscriber_buffer");
    assert!(!shown.iter().any(is_unknown), "{shown:?}");
}

#[test]
fn an_admin_that_has_ended_shows_nothing() {
    assert_eq!(text(&telling(|| None)), [] as [&str; 0]);
}
