//! Servers that share no node with this one for now, and since when. State without I/O.

use std::collections::HashMap;

use tokio::time::Instant;

use crate::wire::ServerName;

/// Since when servers share no node with this one, as noticed when something was to be sent to them.
#[derive(Debug, Default)]
pub(crate) struct Apart {
    since: HashMap<ServerName, Instant>,
}

impl Apart {
    /// No node is shared with this server: since when.
    pub(crate) fn note(&mut self, server: &ServerName, now: Instant) -> Instant {
        match self.since.get(server) {
            Some(since) => *since,
            None => *self.since.entry(server.clone()).or_insert(now),
        }
    }

    /// Keeps those that share no node still.
    pub(crate) fn retain(&mut self, still: impl Fn(&ServerName) -> bool) {
        self.since.retain(|server, _| still(server));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_time_counts_from_when_it_was_noticed_until_a_node_is_shared() {
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
