//! Who left a queue lately. A ticket that was on its way from a former owner when its player left must not come to life
//! again on the new one.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use wsmesh_adapter::{ClientId, ServerName};

/// How long a departure is remembered: longer than any hand-over is retried.
const REMEMBERED: Duration = Duration::from_secs(60);

/// A player on the ws-node it left from: a player that came back elsewhere is not meant.
type Connection = (ClientId, ServerName);

/// Departures of the last minute, at most `limit` of them; the oldest are forgotten first.
#[derive(Debug)]
pub(super) struct Departures {
    limit: usize,
    order: VecDeque<(Duration, Connection)>,
    latest: HashMap<Connection, Duration>,
}

impl Departures {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            order: VecDeque::new(),
            latest: HashMap::new(),
        }
    }

    /// A player left.
    pub(super) fn note(&mut self, now: Duration, client: &ClientId, server: &ServerName) {
        let connection = (client.clone(), server.clone());
        self.order.push_back((now, connection.clone()));
        self.latest.insert(connection, now);
        while self.order.len() > self.limit {
            self.forget_oldest();
        }
    }

    /// Whether a player left after it last asked.
    pub(super) fn left_after(&self, client: &ClientId, server: &ServerName, asked: Duration) -> bool {
        self.latest
            .get(&(client.clone(), server.clone()))
            .is_some_and(|&left| left >= asked)
    }

    /// Forgets what is too old to matter.
    pub(super) fn expire(&mut self, now: Duration) {
        while self
            .order
            .front()
            .is_some_and(|(left, _)| now.saturating_sub(*left) > REMEMBERED)
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((left, connection)) = self.order.pop_front()
            && self.latest.get(&connection) == Some(&left)
        {
            self.latest.remove(&connection);
        }
    }
}
