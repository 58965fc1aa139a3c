//! One hour of the cluster's numbers for plots: a row a second for the last five minutes, a row for ten seconds before that. In
//! memory only, and bounded: 630 rows of at most 137 numbers, under a megabyte.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use wsmesh_adapter::{NodeFacts, NodeId};

use crate::gather::{Facts, StatsView, rfc3339, round};

/// Seconds of the last rows, one a second.
const FINE: usize = 300;
/// Seconds of a row before that.
const COARSE_SECONDS: u64 = 10;
/// Rows before that.
const COARSE: usize = (HISTORY_SECONDS as usize - FINE) / COARSE_SECONDS as usize;
/// How far back the rows go.
pub(crate) const HISTORY_SECONDS: u64 = 3_600;
/// Most nodes that are in the rows. A cluster has at most 64.
const NODES: usize = 64;

/// The columns after the time, and how the rows of ten seconds become one.
const COLUMNS: [(&str, Join); 8] = [
    ("clients", Join::Last),
    ("messagesIn", Join::Mean),
    ("messagesOut", Join::Mean),
    ("connects", Join::Mean),
    ("disconnects", Join::Mean),
    ("errors", Join::Mean),
    ("lagP50Ms", Join::Largest),
    ("lagP99Ms", Join::Largest),
];

/// The columns of each node, after those.
const NODE_COLUMNS: [&str; 2] = ["usedMemoryBytes", "opsPerSecond"];

/// How several values become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Join {
    Last,
    Mean,
    Largest,
}

/// The rows, oldest first.
#[derive(Debug, Default)]
pub(super) struct History {
    fine: VecDeque<Row>,
    coarse: VecDeque<Row>,
}

/// The numbers of one moment.
#[derive(Debug, Clone, Default, PartialEq)]
struct Row {
    at_ms: i64,
    values: [Option<f64>; COLUMNS.len()],
    nodes: Vec<(NodeId, [Option<f64>; NODE_COLUMNS.len()])>,
}

/// `GET /api/v1/stats/history`
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = History)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HistoryView {
    #[serde(serialize_with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub(crate) as_of: Timestamp,
    /// The time between two rows.
    pub(crate) step_ms: u64,
    /// The names of the numbers of each row.
    pub(crate) columns: Vec<String>,
    /// Oldest first; null where a number is not known. A time without an answer has no row.
    pub(crate) rows: Vec<Vec<Option<f64>>>,
}

impl History {
    /// Adds the numbers of one second.
    pub(super) fn push(&mut self, at: Timestamp, stats: &StatsView, facts: &Facts) {
        let (rates, lag) = (&stats.totals.rates, &stats.totals.lag_ms);
        let is_measured = stats.servers.iter().any(|server| server.rates.is_some());
        let rate = |rate: f64| is_measured.then(|| round(rate, 10.0));
        let of_nodes = facts.of_nodes.iter().take(NODES);
        let of_nodes = of_nodes.filter_map(|(id, said)| Some((id, said.facts.as_ref().ok()?)));
        self.fine.push_back(Row {
            at_ms: at.as_millisecond(),
            values: [
                Some(stats.clients as f64),
                rate(rates.messages_in),
                rate(rates.messages_out),
                rate(rates.connects),
                rate(rates.disconnects),
                rate(stats.errors_per_second.values().sum()),
                lag.map(|lag| round(lag.p50, 1000.0)),
                lag.map(|lag| round(lag.p99, 1000.0)),
            ],
            nodes: of_nodes.map(|(id, facts)| (id.clone(), of_node(facts))).collect(),
        });
        self.age();
    }

    /// Makes one row of the oldest ones of ten seconds, once they are older than five minutes.
    fn age(&mut self) {
        let Some(newest) = self.fine.back().map(|row| row.at_ms) else {
            return;
        };
        let step = COARSE_SECONDS as i64 * 1000;
        while let Some(oldest) = self.fine.front().map(|row| row.at_ms)
            && let end = oldest.div_euclid(step) * step + step
            && (end <= newest - FINE as i64 * 1000 || self.fine.len() > FINE + COARSE_SECONDS as usize)
        {
            let count = self.fine.iter().take_while(|row| row.at_ms < end).count().max(1);
            let rows: Vec<_> = self.fine.drain(..count).collect();
            self.coarse.extend(Row::join(&rows));
        }
        while self.coarse.len() > COARSE {
            self.coarse.pop_front();
        }
    }

    /// The rows of the last seconds: those of the last five minutes, or of ten seconds each if more is asked for.
    pub(super) fn last(&self, seconds: u64, as_of: Timestamp) -> HistoryView {
        let since = as_of.as_millisecond() - seconds as i64 * 1000;
        let is_fine = seconds <= FINE as u64;
        let rows: Vec<Row> = if is_fine {
            self.fine.iter().filter(|row| row.at_ms >= since).cloned().collect()
        } else {
            let step = COARSE_SECONDS as i64 * 1000;
            let fine: Vec<_> = self.fine.iter().cloned().collect();
            let fine = fine.chunk_by(|a, b| a.at_ms.div_euclid(step) == b.at_ms.div_euclid(step));
            let coarse = self.coarse.iter().cloned().chain(fine.filter_map(Row::join));
            coarse.filter(|row| row.at_ms >= since).collect()
        };
        let mut nodes: Vec<&NodeId> = rows.iter().flat_map(|row| &row.nodes).map(|(id, _)| id).collect();
        nodes.sort();
        nodes.dedup();
        let of_nodes = nodes
            .iter()
            .flat_map(|id| NODE_COLUMNS.map(|column| format!("nodes.{id}.{column}")));
        let columns = COLUMNS.map(|(column, _)| column.to_owned());
        HistoryView {
            as_of,
            step_ms: if is_fine { 1000 } else { COARSE_SECONDS * 1000 },
            columns: ["atMs".to_owned()].into_iter().chain(columns).chain(of_nodes).collect(),
            rows: rows.iter().map(|row| row.numbers(&nodes)).collect(),
        }
    }
}

fn of_node(facts: &NodeFacts) -> [Option<f64>; NODE_COLUMNS.len()] {
    let number = |value: Option<u64>| value.map(|value| value as f64);
    [number(facts.used_memory_bytes), number(facts.ops_per_second)]
}

impl Row {
    /// One row for several, which are in order; none for none.
    fn join(rows: &[Self]) -> Option<Self> {
        let last = rows.last()?;
        let values = COLUMNS.iter().enumerate().map(|(column, (_, join))| {
            let known = || rows.iter().filter_map(|row| row.values[column]);
            match join {
                Join::Last => known().next_back(),
                Join::Largest => known().reduce(f64::max),
                Join::Mean => {
                    let count = known().count();
                    (count > 0).then(|| round(known().sum::<f64>() / count as f64, 10.0))
                }
            }
        });
        let mut joined = Self {
            at_ms: last.at_ms,
            nodes: last.nodes.clone(),
            ..Self::default()
        };
        joined.values.iter_mut().zip(values).for_each(|(to, value)| *to = value);
        Some(joined)
    }

    fn numbers(&self, nodes: &[&NodeId]) -> Vec<Option<f64>> {
        let of_nodes: BTreeMap<_, _> = self.nodes.iter().map(|(id, values)| (id, *values)).collect();
        let of_nodes = nodes
            .iter()
            .flat_map(|id| of_nodes.get(id).copied().unwrap_or_default());
        let first = [Some(self.at_ms as f64)].into_iter();
        first.chain(self.values).chain(of_nodes).collect()
    }
}

#[cfg(test)]
mod tests {
    use wsmesh_adapter::Gathered;

    use super::*;
    use crate::gather;

    const START: i64 = 1_700_000_000_000;

    fn time(second: i64) -> Timestamp {
        Timestamp::from_millisecond(START + second * 1000).expect("a time")
    }

    fn stats(clients: u64, p99: Option<f64>) -> StatsView {
        let nobody = Gathered {
            servers: Vec::new(),
            missing: Vec::new(),
            complete: true,
        };
        let mut stats = gather::stats(&[], &nobody, &gather::EdgeReports::default(), &BTreeMap::new(), true);
        stats.clients = clients;
        stats.totals.lag_ms = p99.map(|p99| gather::LagMs { p50: 0.0, p99 });
        stats
    }

    fn facts(id: &str, memory: u64) -> Facts {
        let facts = NodeFacts {
            used_memory_bytes: Some(memory),
            ..NodeFacts::default()
        };
        Facts {
            of_nodes: [(
                NodeId::new(id).expect("an id"),
                gather::Said {
                    facts: Ok(facts),
                    slow_commands: None,
                    age_ms: 0,
                },
            )]
            .into(),
        }
    }

    fn filled(seconds: i64) -> History {
        let mut history = History::default();
        for second in 0..seconds {
            history.push(
                time(second),
                &stats(second as u64, Some(second as f64)),
                &facts("redis-1", 5),
            );
        }
        history
    }

    #[test]
    fn five_minutes_have_a_row_a_second_and_the_hour_before_a_row_for_ten() {
        let history = filled(8_000);
        assert!(
            (FINE..=FINE + 10).contains(&history.fine.len()),
            "{}",
            history.fine.len()
        );
        assert_eq!(history.coarse.len(), COARSE);
        let fine = history.last(300, time(7_999));
        assert_eq!((fine.step_ms, fine.rows.len()), (1000, 301));
        let hour = history.last(HISTORY_SECONDS, time(7_999));
        assert_eq!(hour.step_ms, 10_000);
        assert!((355..=361).contains(&hour.rows.len()), "{}", hour.rows.len());
        let times: Vec<_> = hour.rows.iter().map(|row| row[0].expect("a time")).collect();
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 10_000.0));
    }

    #[test]
    fn ten_seconds_keep_the_worst_lag_and_the_last_number_of_clients() {
        let hour = filled(1_000).last(1_000, time(999));
        let row = &hour.rows[3];
        let column = |name: &str| hour.columns.iter().position(|column| column == name).expect("a column");
        let at = (row[0].expect("a time") as i64 - START) / 1000;
        assert_eq!(row[column("clients")], Some(at as f64));
        assert_eq!(row[column("lagP99Ms")], Some(at as f64));
        assert_eq!(row[column("messagesIn")], None, "no server was measured");
        assert_eq!(row[column("nodes.redis-1.usedMemoryBytes")], Some(5.0));
        assert_eq!(row[column("nodes.redis-1.opsPerSecond")], None);
        assert!(hour.rows.iter().all(|row| row.len() == hour.columns.len()));
    }

    #[test]
    fn a_node_has_numbers_only_for_the_time_when_it_was_there() {
        let mut history = History::default();
        history.push(time(0), &stats(1, None), &facts("redis-1", 1));
        history.push(time(1), &stats(1, None), &facts("redis-2", 2));
        let view = history.last(60, time(1));
        assert_eq!(view.columns.len(), 1 + COLUMNS.len() + 4);
        let numbers: Vec<_> = view.rows.iter().map(|row| (row[9], row[11])).collect();
        assert_eq!(numbers, [(Some(1.0), None), (None, Some(2.0))]);
    }

    #[test]
    fn a_clock_that_is_set_forth_or_back_does_not_make_it_grow() {
        let mut history = filled(400);
        for second in (0..2_000).chain(90_000..92_000).chain(0..2_000) {
            history.push(time(second), &stats(1, None), &Facts::default());
        }
        assert!(history.fine.len() <= FINE + 11, "{}", history.fine.len());
        assert!(history.coarse.len() <= COARSE);
    }

    #[test]
    fn before_the_first_second_there_are_columns_and_no_rows() {
        let view = History::default().last(300, time(0));
        assert_eq!((view.rows.len(), view.columns.len()), (0, 1 + COLUMNS.len()));
    }
}
