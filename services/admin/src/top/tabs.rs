//! What each tab shows of a snapshot.

use std::collections::BTreeMap;

use super::numbers::{bytes, short};
use super::snapshot::{ClusterServer, Lag, Node, Rates, ServerStats, Snapshot};
use super::table::{Cell, Column, Direction, Row, Sort, Table, Tone};

/// The tabs, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tab {
    Servers,
    Nodes,
    Rooms,
    Namespaces,
}

/// All tabs.
pub(crate) const TABS: [Tab; 4] = [Tab::Servers, Tab::Nodes, Tab::Rooms, Tab::Namespaces];

const SERVERS: &[Column] = &[
    Column::text("SERVER", 0),
    Column::text("SERVICE", 7),
    Column::text("STATE", 2),
    Column::number("CLIENTS", 1),
    Column::number("ROOMS", 5),
    Column::number("IN/s", 3),
    Column::number("OUT/s", 3),
    Column::number("B IN/s", 8),
    Column::number("B OUT/s", 8),
    Column::number("P50 ms", 6),
    Column::number("P99 ms", 4),
    Column::number("NODES", 6),
    Column::text("VERSION", 9),
];
const NODES: &[Column] = &[
    Column::text("NODE", 0),
    Column::text("STATE", 1),
    Column::text("HEARD", 2),
    Column::number("OPS/s", 3),
    Column::number("MEMORY", 4),
    Column::number("LIMIT", 6),
    Column::number("B IN/s", 5),
    Column::number("B OUT/s", 5),
    Column::number("CLIENTS", 7),
    Column::text("VERSION", 8),
    Column::text("PROBLEM", 3),
];
const ROOMS: &[Column] = &[
    Column::text("ROOM", 0),
    Column::text("NAMESPACE", 2),
    Column::number("MEMBERS", 1),
    Column::number("MESSAGES/s", 1),
];
const NAMESPACES: &[Column] = &[
    Column::text("NAMESPACE", 0),
    Column::number("ROOMS", 2),
    Column::number("MEMBERS", 1),
    Column::number("MESSAGES/s", 1),
];

impl Tab {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Servers => "Servers",
            Self::Nodes => "Nodes",
            Self::Rooms => "Rooms",
            Self::Namespaces => "Namespaces",
        }
    }

    /// Its place among the tabs.
    pub(crate) fn place(self) -> usize {
        TABS.iter().position(|tab| *tab == self).unwrap_or_default()
    }

    pub(crate) fn columns(self) -> &'static [Column] {
        match self {
            Self::Servers => SERVERS,
            Self::Nodes => NODES,
            Self::Rooms => ROOMS,
            Self::Namespaces => NAMESPACES,
        }
    }

    /// How its rows are ordered until somebody wants another order.
    pub(crate) fn sort(self) -> Sort {
        let (column, direction) = match self {
            Self::Servers => (3, Direction::Down),
            Self::Nodes => (0, Direction::Up),
            Self::Rooms => (2, Direction::Down),
            Self::Namespaces => (2, Direction::Down),
        };
        Sort { column, direction }
    }

    /// Its table, unsorted.
    pub(crate) fn table(self, snapshot: &Snapshot) -> Table {
        let rows = match self {
            Self::Servers => servers(snapshot),
            Self::Nodes => snapshot.nodes.nodes.iter().map(node).collect(),
            Self::Rooms => rooms(snapshot),
            Self::Namespaces => namespaces(snapshot),
        };
        Table {
            columns: self.columns(),
            rows,
        }
    }
}

/// A whole number, as far as it is known.
fn whole(number: Option<u64>) -> Cell {
    Cell::number(number.map(|number| number as f64), short)
}

/// A server, as far as the two answers know it.
#[derive(Default)]
struct Known<'a> {
    service: Option<&'a str>,
    server: Option<&'a ClusterServer>,
    stats: Option<&'a ServerStats>,
}

/// Servers of both answers: one that is in one of them only is shown, too.
fn servers(snapshot: &Snapshot) -> Vec<Row> {
    let mut known: BTreeMap<&str, Known<'_>> = BTreeMap::new();
    for service in &snapshot.cluster.services {
        for server in &service.servers {
            let entry = known.entry(&server.name).or_default();
            (entry.service, entry.server) = (Some(service.service.as_str()), Some(server));
        }
    }
    for stats in &snapshot.stats.servers {
        let entry = known.entry(&stats.name).or_default();
        entry.service = entry.service.or(stats.service.as_deref());
        entry.stats = Some(stats);
    }
    known.into_iter().map(|(name, known)| server(name, &known)).collect()
}

fn server(name: &str, known: &Known<'_>) -> Row {
    let Known { service, server, stats } = *known;
    let state = server.and_then(|server| server.state.as_deref());
    let state = state.or_else(|| stats?.state.as_deref()).unwrap_or("-");
    let unknown = (Rates::default(), Lag::default());
    let rates = stats.map_or(&unknown.0, |stats| &stats.rates);
    let lag = stats.map_or(&unknown.1, |stats| &stats.lag_ms);
    let clients = stats.and_then(|stats| stats.clients);
    let rooms = stats.and_then(|stats| stats.rooms);
    Row {
        tone: match state {
            "isolated" => Tone::Alarm,
            "starting" | "draining" => Tone::Dim,
            _ => Tone::Plain,
        },
        cells: vec![
            Cell::text(name),
            Cell::text(service.unwrap_or("-")),
            Cell::text(state),
            whole(clients.or_else(|| server?.clients)),
            whole(rooms.or_else(|| server?.rooms)),
            Cell::number(rates.messages_in, short),
            Cell::number(rates.messages_out, short),
            Cell::number(rates.bytes_in, bytes),
            Cell::number(rates.bytes_out, bytes),
            Cell::number(lag.p50, short),
            Cell::number(lag.p99, short),
            whole(server.map(|server| server.heard.len() as u64)),
            Cell::text(server.and_then(|server| server.version.as_deref()).unwrap_or("-")),
        ],
    }
}

fn node(node: &Node) -> Row {
    let state = node.state.as_deref().unwrap_or("-");
    let (heard, deaf) = (node.heard_by.len(), node.not_heard_by.len());
    let facts = node.facts.clone().unwrap_or_default();
    let is_to_be_heard = !matches!(state, "draining" | "gone");
    let number = |number: Option<u64>| number.map(|number| number as f64);
    let limit = |bytes_: f64| match bytes_ == 0.0 {
        true => "none".to_owned(),
        false => bytes(bytes_),
    };
    Row {
        tone: match (is_to_be_heard, deaf) {
            (false, _) => Tone::Dim,
            (true, 0) if node.facts_error.is_none() => Tone::Plain,
            (true, _) => Tone::Alarm,
        },
        cells: vec![
            Cell::text(&node.id),
            Cell::text(state),
            Cell::text(format!("{heard}/{}", heard + deaf)),
            Cell::number(facts.ops_per_second, short),
            Cell::number(number(facts.used_memory_bytes), bytes),
            Cell::number(number(facts.max_memory_bytes), limit),
            Cell::number(facts.bytes_in_per_second, bytes),
            Cell::number(facts.bytes_out_per_second, bytes),
            whole(facts.clients),
            Cell::text(facts.version.unwrap_or_else(|| "-".to_owned())),
            Cell::text(node.facts_error.clone().unwrap_or_default()),
        ],
    }
}

/// A room, as far as the two lists know it.
#[derive(Default)]
struct KnownRoom {
    members: Option<u64>,
    messages: Option<f64>,
}

/// The rooms of both lists, once each.
fn rooms(snapshot: &Snapshot) -> Vec<Row> {
    let top = &snapshot.stats.top_rooms;
    let mut known: BTreeMap<(&str, &str), KnownRoom> = BTreeMap::new();
    for room in top.by_members.iter().chain(&top.by_messages) {
        let entry = known.entry((&room.namespace, &room.id)).or_default();
        entry.members = room.members.or(entry.members);
        entry.messages = room.messages_per_second.or(entry.messages);
    }
    let rows = known.into_iter().map(|((namespace, id), room)| Row {
        tone: Tone::Plain,
        cells: vec![
            Cell::text(id),
            Cell::text(namespace),
            whole(room.members),
            Cell::number(room.messages, short),
        ],
    });
    rows.collect()
}

fn namespaces(snapshot: &Snapshot) -> Vec<Row> {
    let namespaces = snapshot.stats.namespaces.iter();
    namespaces
        .map(|namespace| Row {
            tone: Tone::Plain,
            cells: vec![
                Cell::text(&namespace.namespace),
                whole(namespace.rooms),
                whole(namespace.members),
                Cell::number(namespace.messages_per_second, short),
            ],
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::tests::snapshot;
    use super::*;

    fn texts(table: &Table, row: usize) -> Vec<&str> {
        table.rows[row].cells.iter().map(|cell| cell.text.as_str()).collect()
    }

    #[test]
    fn a_server_is_shown_with_what_both_answers_say() {
        let table = Tab::Servers.table(&snapshot());
        assert_eq!(
            texts(&table, 1),
            [
                "ws-0", "ws-node", "serving", "1.2k", "30", "120", "4.8k", "20K", "1.2M", "0.8", "12", "2", "0.1.0"
            ]
        );
        assert_eq!(table.rows[2].tone, Tone::Dim, "it drains");
    }

    #[test]
    fn a_server_of_one_answer_only_is_shown_as_far_as_it_is_known() {
        let mut snapshot = snapshot();
        snapshot.stats.servers.truncate(1);
        snapshot.cluster.services.remove(0);
        let table = Tab::Servers.table(&snapshot);
        assert_eq!(texts(&table, 0)[..5], ["admin-0", "admin", "serving", "0", "0"]);
        assert_eq!(
            texts(&table, 2)[..7],
            ["ws-1", "ws-node", "draining", "15", "3", "-", "-"]
        );
        assert_eq!(Tab::Servers.table(&Snapshot::default()).rows, []);
    }

    #[test]
    fn a_node_that_not_all_hear_or_that_is_silent_is_an_alarm() {
        let table = Tab::Nodes.table(&snapshot());
        assert_eq!(
            texts(&table, 0),
            [
                "redis-0", "active", "3/3", "5.1k", "2.0M", "256M", "879K", "2.6M", "9", "7.0.15", ""
            ]
        );
        assert_eq!((table.rows[0].tone, table.rows[1].tone), (Tone::Plain, Tone::Alarm));
        assert_eq!(texts(&table, 1)[10], "timed out");
        let mut draining = snapshot();
        draining.nodes.nodes[1].state = Some("draining".to_owned());
        assert_eq!(Tab::Nodes.table(&draining).rows[1].tone, Tone::Dim);
    }

    #[test]
    fn a_room_of_both_lists_is_shown_once() {
        let table = Tab::Rooms.table(&snapshot());
        assert_eq!(texts(&table, 0), ["lobby", "chat", "900", "3"]);
        assert_eq!(texts(&table, 1), ["table 7", "chat", "-", "56"]);
    }

    #[test]
    fn every_row_has_a_cell_for_each_column() {
        for tab in TABS {
            let table = tab.table(&snapshot());
            assert!(!table.rows.is_empty() && tab.sort().column < table.columns.len());
            assert!(
                table.rows.iter().all(|row| row.cells.len() == table.columns.len()),
                "{tab:?}"
            );
            assert_eq!(TABS[tab.place()], tab);
        }
    }
}
