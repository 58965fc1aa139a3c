//! The setup of a scenario: nodes, servers, clients, rooms. A pure value.

use crate::pace::Pace;
use crate::server::LOGIC;
use crate::talk::Audience;

/// Clients of each server that has any.
const CLIENTS: u16 = 8;
/// Rooms; each client is in two.
const ROOMS: u16 = 12;

/// What a scenario plays with.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Redis nodes that every server knows.
    pub nodes: usize,
    /// Redis nodes that can be added.
    pub spares: usize,
    /// More arguments for every Redis.
    pub redis_arguments: &'static [&'static str],
    /// Servers with clients: `edge-0` and so on.
    pub edges: usize,
    /// Servers that handle requests, after the others: `logic-0` and so on.
    pub logics: usize,
    /// Links (server, node) that are cut from the start.
    pub missing_links: &'static [(usize, usize)],
    /// Whether the servers' wall clocks can be set.
    pub fake_clock: bool,
    /// Bytes added to each message, in the long run and in the short one.
    pub padding: (usize, usize),
    /// Messages a second of all servers together, in the long run and in the short one, if nothing else is asked for.
    pub rate: (u32, u32),
    /// Whether the short run, too, has the adapter's default settings.
    pub default_settings: bool,
}

impl Plan {
    /// Three nodes, three servers with clients, two that handle requests.
    pub const USUAL: Self = Self {
        nodes: 3,
        spares: 0,
        redis_arguments: &[],
        edges: 3,
        logics: 2,
        missing_links: &[],
        fake_clock: false,
        padding: (64, 64),
        rate: (5_000, 1_000),
        default_settings: false,
    };

    /// How many servers there are.
    pub fn servers(&self) -> usize {
        self.edges + self.logics
    }

    /// A server's name.
    pub fn name(&self, server: usize) -> String {
        match server.checked_sub(self.edges) {
            None => format!("edge-{server}"),
            Some(logic) => format!("logic-{logic}"),
        }
    }

    /// A server's service.
    pub fn service(&self, server: usize) -> &'static str {
        if server < self.edges { "edge" } else { LOGIC }
    }

    /// The clients of a server, and the rooms that each joins.
    pub fn clients_of(&self, server: usize) -> Vec<(u16, Vec<u16>)> {
        if server >= self.edges {
            return Vec::new();
        }
        let first = server as u16 * CLIENTS;
        let rooms = |client: u16| vec![client % ROOMS, (client * 5 + 1) % ROOMS];
        (first..first + CLIENTS)
            .map(|client| {
                let mut rooms = rooms(client);
                rooms.dedup();
                (client, rooms)
            })
            .collect()
    }

    /// All receivers of load.
    pub fn audience(&self, pace: Pace) -> Audience {
        Audience {
            rooms: ROOMS,
            clients: self.edges as u16 * CLIENTS,
            servers: (0..self.servers()).map(|server| self.name(server)).collect(),
            padding: if pace.short { self.padding.1 } else { self.padding.0 },
        }
    }
}
