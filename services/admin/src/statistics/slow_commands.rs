//! How many commands of each node were slow, as a number that only rises.
//!
//! A Redis numbers the entries of its slow log from its start on. When the log was emptied (SLOWLOG RESET) it does not say how far it
//! was, and after a restart it begins anew. So what was counted is remembered for each run of it. Nothing is counted twice.

use std::collections::{BTreeMap, BTreeSet};

use wsmesh_adapter::{NodeFacts, NodeId};

/// What was counted.
#[derive(Debug, Default)]
pub(super) struct SlowCommands {
    of_nodes: BTreeMap<NodeId, Counted>,
}

#[derive(Debug)]
struct Counted {
    /// As the Redis calls it; none if it does not say so.
    run: Option<String>,
    /// How many commands of this run were slow; none if its log was empty when it was first seen, which may be long after its start.
    of_run: Option<u64>,
    total: u64,
}

impl SlowCommands {
    /// All slow commands of a node so far. None if it does not tell its slow log.
    pub(super) fn count(&mut self, node: &NodeId, facts: &NodeFacts) -> Option<u64> {
        let of_run = facts.slow_commands?;
        let Some(counted) = self.of_nodes.get_mut(node) else {
            let counted = Counted {
                run: facts.run_id.clone(),
                of_run: Some(of_run).filter(|known| *known > 0),
                total: of_run,
            };
            self.of_nodes.insert(node.clone(), counted);
            return Some(of_run);
        };
        // Numbers only fall with a restart; 0 may be an empty log.
        let has_fallen = of_run > 0 && counted.of_run.is_some_and(|before| of_run < before);
        // A Redis that does not say its run for once has not restarted.
        let is_another = matches!((&counted.run, &facts.run_id), (Some(before), Some(now)) if before != now);
        if is_another || has_fallen {
            counted.of_run = Some(0);
        }
        if facts.run_id.is_some() {
            counted.run.clone_from(&facts.run_id);
        }
        counted.total += match counted.of_run {
            Some(before) => of_run.saturating_sub(before),
            // Only what is in the log is surely new.
            None => of_run.min(facts.slow_log.len() as u64),
        };
        if of_run > 0 {
            counted.of_run = Some(of_run);
        }
        Some(counted.total)
    }

    /// Forgets all other nodes.
    pub(super) fn keep(&mut self, nodes: &BTreeSet<NodeId>) {
        self.of_nodes.retain(|node, _| nodes.contains(node));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus::Registry;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::time::{sleep, timeout};
    use wsmesh_adapter::{Adapter, Bus, NodeUrl, Options, ServerName, ServiceName, SlowCommand, Started};
    use wsmesh_test_support::SOON;
    use wsmesh_test_support::redis::Redis;

    use super::*;

    fn id() -> NodeId {
        NodeId::new("redis-0").expect("an id")
    }

    fn facts(run: Option<&str>, slow_commands: Option<u64>, in_log: usize) -> NodeFacts {
        let command = SlowCommand {
            at_ms: 1,
            micros: 20_000,
            command: "KEYS".to_owned(),
        };
        NodeFacts {
            run_id: run.map(str::to_owned),
            slow_commands,
            slow_log: vec![command; in_log],
            ..NodeFacts::default()
        }
    }

    #[test]
    fn the_number_never_falls_and_nothing_is_counted_twice() {
        for (run, next) in [(Some("a"), Some("b")), (None, None)] {
            let mut slow = SlowCommands::default();
            for (run, newest, in_log, total) in [
                (run, 7, 7, 7),
                (run, 9, 9, 9),
                // Emptied, and filled again.
                (run, 0, 0, 9),
                (run, 0, 0, 9),
                (run, 11, 2, 11),
                // Restarted.
                (next, 3, 3, 14),
                (next, 3, 3, 14),
                (next, 5, 5, 16),
            ] {
                assert_eq!(
                    slow.count(&id(), &facts(run, Some(newest), in_log)),
                    Some(total),
                    "{run:?} {newest}"
                );
            }
        }
    }

    #[test]
    fn a_run_that_is_not_told_for_once_is_not_counted_again() {
        let mut slow = SlowCommands::default();
        for (run, newest, total) in [
            (Some("a"), 9, 9),
            (None, 9, 9),
            (Some("a"), 9, 9),
            (None, 10, 10),
            (Some("b"), 4, 14),
        ] {
            assert_eq!(
                slow.count(&id(), &facts(run, Some(newest), 9)),
                Some(total),
                "{run:?} {newest}"
            );
        }
    }

    #[test]
    fn a_log_that_was_empty_when_it_was_first_seen_counts_what_is_in_it_later() {
        let mut slow = SlowCommands::default();
        assert_eq!(slow.count(&id(), &facts(Some("a"), Some(0), 0)), Some(0));
        assert_eq!(slow.count(&id(), &facts(Some("a"), Some(500), 2)), Some(2));
        assert_eq!(slow.count(&id(), &facts(Some("a"), Some(503), 5)), Some(5));
        assert_eq!(slow.count(&id(), &facts(Some("b"), Some(0), 0)), Some(5));
        assert_eq!(
            slow.count(&id(), &facts(Some("b"), Some(40), 10)),
            Some(45),
            "all of a run that was seen from its start"
        );
        assert_eq!(slow.count(&id(), &facts(Some("b"), None, 0)), None);
        slow.keep(&BTreeSet::new());
        assert_eq!(slow.count(&id(), &facts(Some("b"), Some(40), 10)), Some(40));
    }

    /// Has a Redis do this.
    async fn command(redis: &Redis, text: &str) {
        let mut stream = TcpStream::connect(("127.0.0.1", redis.port)).await.expect("connects");
        stream
            .write_all(format!("{text}\r\nQUIT\r\n").as_bytes())
            .await
            .expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("text");
        assert!(!answer.starts_with('-'), "{text}: {answer}");
    }

    /// The facts of the node, once they are as wanted.
    async fn said(adapter: &Adapter, wanted: impl Fn(&NodeFacts) -> bool) -> NodeFacts {
        let asking = async {
            loop {
                let facts = adapter.node_facts().await.pop().and_then(|node| node.facts.ok());
                match facts.filter(|facts| wanted(facts)) {
                    Some(facts) => return facts,
                    None => sleep(Duration::from_millis(50)).await,
                }
            }
        };
        timeout(SOON, asking).await.expect("in time")
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_real_redis_whose_log_is_emptied_and_that_is_restarted_is_counted_on() {
        // All commands are slow, those that ask, too.
        let mut redis = Redis::start(&["--slowlog-log-slower-than", "0"]);
        let options = Options::new(
            ServerName::new("admin-1").expect("a name"),
            ServiceName::new("admin").expect("a name"),
        );
        let Started { adapter, driver, .. } = Adapter::start(Options {
            bus: Bus::Redis(vec![NodeUrl::parse(&redis.url("redis-0")).expect("a URL")]),
            registry: Registry::new(),
            ..options
        })
        .expect("it starts");
        let mut slow = SlowCommands::default();
        let first = said(&adapter, |facts| facts.slow_commands > Some(0)).await;
        assert_eq!(slow.count(&id(), &first), first.slow_commands);

        command(&redis, "CONFIG SET slowlog-log-slower-than -1").await;
        let last = said(&adapter, |_| true).await;
        let total = slow.count(&id(), &last).expect("it tells");
        assert_eq!(Some(total), last.slow_commands);
        command(&redis, "SLOWLOG RESET").await;
        let emptied = said(&adapter, |_| true).await;
        assert_eq!(
            (emptied.slow_commands, slow.count(&id(), &emptied)),
            (Some(0), Some(total))
        );

        command(&redis, "CONFIG SET slowlog-log-slower-than 0").await;
        let again = said(&adapter, |facts| facts.slow_commands > Some(0)).await;
        assert!(again.slow_commands > Some(total), "Redis counts on: {again:?}");
        assert_eq!(slow.count(&id(), &again), again.slow_commands);

        redis.relaunch().expect("it starts");
        let anew = said(&adapter, |facts| {
            facts.run_id != again.run_id && facts.slow_commands > Some(0)
        })
        .await;
        let both = again.slow_commands.zip(anew.slow_commands).map(|(a, b)| a + b);
        assert_eq!(slow.count(&id(), &anew), both);
        driver.shutdown(SOON).await;
    }
}
