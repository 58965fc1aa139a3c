//! Servers that are gone without a goodbye: which of the others tells that. It is the one with the smallest name, as each server
//! sees the roster. If that one is lost, too, the next one tells what the former may not have told; then the same event, with
//! the same id, may come twice.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use wsmesh_adapter::{LostServer, ServerInfo, ServerName, ServiceName};

/// How long another server may take to tell that a server is lost.
const RECENT: Duration = Duration::from_secs(15);

/// Most losses that are remembered.
const MOST: usize = 1000;

/// The recent losses that this server has not told.
#[derive(Debug)]
pub(super) struct Losses {
    me: ServerName,
    service: ServiceName,
    untold: VecDeque<(Instant, LostServer)>,
}

impl Losses {
    /// For a server of this name and service.
    pub(super) fn new(me: ServerName, service: ServiceName) -> Self {
        Self {
            me,
            service,
            untold: VecDeque::new(),
        }
    }

    /// A server is lost, and these are alive. Returns what this server is to tell.
    pub(super) fn lost(&mut self, lost: LostServer, alive: &[ServerInfo], now: Instant) -> Vec<LostServer> {
        if lost.service != self.service {
            return Vec::new();
        }
        let is_recent = |since: Instant| now.saturating_duration_since(since) <= RECENT;
        self.untold.retain(|(since, _)| is_recent(*since));
        if self.untold.len() == MOST {
            self.untold.pop_front();
        }
        self.untold.push_back((now, lost));
        if !self.is_first(alive) {
            return Vec::new();
        }
        self.untold.drain(..).map(|(_, lost)| lost).collect()
    }

    /// Whether no other server of this service that stays has a smaller name.
    fn is_first(&self, alive: &[ServerInfo]) -> bool {
        let peers = alive
            .iter()
            .filter(|server| server.service == self.service && !server.retiring);
        peers.map(|server| &server.name).min() == Some(&self.me)
    }
}

#[cfg(test)]
mod tests {
    use wsmesh_adapter::Instance;

    use super::*;

    fn name(name: &str) -> ServerName {
        ServerName::new(name).expect("valid")
    }

    fn service(name: &str) -> ServiceName {
        ServiceName::new(name).expect("valid")
    }

    fn alive(names: &[&str]) -> Vec<ServerInfo> {
        let server = |one: &&str| ServerInfo {
            name: name(one.trim_start_matches('-')),
            service: service(if one.starts_with('0') { "game-logic" } else { "ws-node" }),
            instance: Instance(1),
            version: String::new(),
            clients: 0,
            rooms: 0,
            heard: Vec::new(),
            counted: true,
            retiring: one.starts_with('-'),
            age_ms: 0,
        };
        names.iter().map(server).collect()
    }

    fn lost(one: &str, of: &str) -> LostServer {
        LostServer {
            name: name(one),
            service: service(of),
            instance: Instance(1),
            clients: 7,
        }
    }

    fn losses(me: &str) -> Losses {
        Losses::new(name(me), service("ws-node"))
    }

    fn told(losses: &mut Losses, one: &str, left: &[&str], now: Instant) -> Vec<String> {
        let told = losses.lost(lost(one, "ws-node"), &alive(left), now);
        told.into_iter().map(|lost| lost.name.to_string()).collect()
    }

    #[test]
    fn the_server_with_the_smallest_name_tells_and_the_others_do_not() {
        let (mut a, mut b, now) = (losses("a"), losses("b"), Instant::now());
        let left = ["0-logic", "-0", "a", "b"];
        assert_eq!(told(&mut a, "c", &left, now), ["c"]);
        assert_eq!(told(&mut b, "c", &left, now), [""; 0]);
        assert!(
            a.lost(lost("0-logic", "game-logic"), &alive(&left), now).is_empty(),
            "without clients"
        );
        assert_eq!(told(&mut a, "b", &["-a"], now), [""; 0], "it leaves, too");
    }

    #[test]
    fn what_a_lost_server_may_not_have_told_is_told_by_the_next() {
        let (mut b, start) = (losses("b"), Instant::now());
        assert_eq!(told(&mut b, "c", &["a", "b"], start), [""; 0]);
        assert_eq!(told(&mut b, "a", &["b"], start + RECENT), ["c", "a"]);
        assert_eq!(told(&mut b, "d", &["b"], start + RECENT), ["d"], "each once");
        assert_eq!(told(&mut b, "e", &["a", "b"], start), [""; 0]);
        assert_eq!(told(&mut b, "a", &["b"], start + RECENT * 2), ["a"], "long ago");
    }
}
