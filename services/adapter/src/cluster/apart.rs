//! The servers that share no node with this one at the moment, and since when. State without I/O.

use std::collections::HashMap;

use tokio::time::Instant;

use crate::wire::ServerName;

/// Since when servers share no node with this one. Noticed when a message is to be sent to them.
#[derive(Debug, Default)]
pub(crate) struct Apart {
    since: HashMap<ServerName, Instant>,
}

impl Apart {
    /// Notes that no node is shared with this server, and returns since when.
    pub(crate) fn note(&mut self, server: &ServerName, now: Instant) -> Instant {
        match self.since.get(server) {
            Some(since) => *since,
            None => *self.since.entry(server.clone()).or_insert(now),
        }
    }

    /// Keeps only the servers that still share no node.
    pub(crate) fn retain(&mut self, still: impl Fn(&ServerName) -> bool) {
        self.since.retain(|server, _| still(server));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_time_counts_from_the_first_notice_until_a_node_is_shared() {
        let (mut apart, now) = (Apart::default(), Instant::now());
        let (a, b) = (
            ServerName::new("a").expect("valid"),
            ServerName::new("b").expect("valid"),
        );
        let later = now + Duration::from_secs(1);
        assert_eq!((apart.note(&a, now), apart.note(&b, now)), (now, now));
        apart.retain(|server| *server == a);
        assert_eq!((apart.note(&a, later), apart.note(&b, later)), (now, later));
    }
}
