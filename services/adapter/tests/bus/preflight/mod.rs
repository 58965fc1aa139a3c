//! The check of an address before it becomes a node: what each kind of unusable Redis is told apart by, and what to do.

mod servers;
mod unusable;

use std::time::{Duration, Instant};

use wsmesh_adapter::{Bus, CheckKind, CheckResult, NodeUrl, Preflight, Preflights};

use crate::support::redis::Redis;
use crate::support::*;

/// A preflight takes 8 s at most with the time limit of 2 s that servers have in these tests.
const AT_MOST: Duration = Duration::from_secs(9);

/// A user that may do everything.
const APP: [&str; 6] = ["--user", "app", "on", ">pw", "&*", "+@all"];
const LINKS: &str = "on >pw resetchannels &wsmesh:* -@all +publish +subscribe +unsubscribe +ping";

/// Three servers of different services on one Redis, and what they find out about other addresses.
struct Cluster {
    redis: Vec<Redis>,
    servers: Vec<Server>,
}

impl Cluster {
    async fn start() -> Self {
        Self::with_login(&[], "").await
    }

    /// `login` is put before the host in the URL of its Redis, which has these arguments.
    async fn with_login(arguments: &[&str], login: &str) -> Self {
        let redis = vec![Redis::start(arguments)];
        let url = redis[0].url("redis-0").replace("://", &format!("://{login}"));
        let bus = Bus::Redis(vec![NodeUrl::parse(&url).expect("valid")]);
        let mut servers = Vec::new();
        for (name, service) in [("a", "admin"), ("g", "game-logic"), ("w", "ws-node")] {
            servers.push(Server::ready(options(name, service, bus.clone())).await);
        }
        acquainted(&servers.iter().collect::<Vec<_>>()).await;
        Self { redis, servers }
    }

    async fn preflight(&self, url: &str) -> Preflights {
        let start = Instant::now();
        let found = soon("a preflight", self.servers[0].adapter.preflight(url)).await;
        assert!(start.elapsed() < AT_MOST, "{:?}", start.elapsed());
        found.expect("a valid URL")
    }

    /// What fails at all three servers for the same reason, with its text and what to do.
    async fn fails(&self, url: &str, what: CheckKind) -> (String, String) {
        let found = self.preflight(url).await;
        assert!(!found.passes() && found.missing.is_empty(), "{found:?}");
        let failures = found.failures();
        let mut servers: Vec<_> = failures.iter().map(|failure| failure.server.as_str()).collect();
        servers.dedup();
        assert_eq!(servers, ["a", "g", "w"], "{failures:?}");
        assert!(failures.iter().all(|failure| failure.what == what), "{failures:?}");
        let first = failures.into_iter().next().expect("three");
        (first.why, first.fix)
    }

    async fn stop(self) {
        for server in self.servers {
            server.stop().await;
        }
    }
}

fn result(preflight: &Preflight, what: CheckKind) -> &CheckResult {
    let check = preflight.checks.iter().find(|check| check.what == what);
    &check.expect("every kind is there").result
}

fn is_unknown(preflight: &Preflight, what: CheckKind) -> bool {
    matches!(result(preflight, what), CheckResult::Unknown { .. })
}
