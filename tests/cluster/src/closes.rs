//! How often and how fast clients were closed, and how long they were away. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::record::{Close, Diary};

/// What the closes of a run look like.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Closes {
    pub(crate) closes: u64,
    /// Clients that were closed more than once.
    pub(crate) closed_twice: u64,
    /// The most closes within any second.
    pub(crate) most_in_a_second: u64,
    /// The most clients that came back within any second: how hard the other servers are hit.
    pub(crate) most_back_in_a_second: u64,
    /// From the first close to the last, in milliseconds.
    pub(crate) spread_ms: u64,
    /// By close code, or what else ended the connection.
    pub(crate) by_code: BTreeMap<String, u64>,
    /// Clients that were not back at the end.
    pub(crate) still_away: u64,
    /// The longest time until a client was back in its room, in milliseconds.
    pub(crate) longest_away_ms: u64,
}

impl Closes {
    pub(crate) fn of(diaries: &[Diary]) -> Self {
        let all: Vec<&Close> = diaries.iter().flat_map(|diary| &diary.closes).collect();
        let sorted = |mut times: Vec<u64>| {
            times.sort_unstable();
            times
        };
        let times = sorted(all.iter().map(|close| close.at_us).collect());
        let returns = sorted(all.iter().filter_map(|close| close.back_us).collect());
        let mut by_code = BTreeMap::new();
        for close in &all {
            *by_code.entry(close.why.clone()).or_default() += 1;
        }
        let away = |close: &&Close| Some(close.back_us?.saturating_sub(close.at_us));
        let spread_us = times.last().zip(times.first()).map_or(0, |(last, first)| last - first);
        Self {
            closes: all.len() as u64,
            closed_twice: diaries.iter().filter(|diary| diary.closes.len() > 1).count() as u64,
            most_in_a_second: most_within(&times, 1_000_000),
            most_back_in_a_second: most_within(&returns, 1_000_000),
            spread_ms: spread_us / 1_000,
            by_code,
            still_away: all.iter().filter(|close| close.back_us.is_none()).count() as u64,
            longest_away_ms: all.iter().filter_map(away).max().unwrap_or(0) / 1_000,
        }
    }
}

/// The most of these ascending times that lie within one span.
fn most_within(times: &[u64], span: u64) -> u64 {
    let mut most = 0;
    let mut start = 0;
    for (index, time) in times.iter().enumerate() {
        while time - times[start] >= span {
            start += 1;
        }
        most = most.max(index - start + 1);
    }
    most as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diary(closes: &[(u64, Option<u64>)]) -> Diary {
        let close = |&(at_us, back_us): &(u64, Option<u64>)| Close {
            at_us,
            why: "1012".to_owned(),
            back_us,
        };
        Diary {
            closes: closes.iter().map(close).collect(),
            ..Diary::default()
        }
    }

    #[test]
    fn closes_are_counted_by_client_and_by_second() {
        let found = Closes::of(&[
            diary(&[(100_000, Some(400_000)), (5_000_000, None)]),
            diary(&[(900_000, Some(1_900_000))]),
            diary(&[(1_100_000, Some(1_200_000))]),
            diary(&[]),
        ]);
        let expected = Closes {
            closes: 4,
            closed_twice: 1,
            most_in_a_second: 2,
            most_back_in_a_second: 2,
            spread_ms: 4_900,
            by_code: BTreeMap::from([("1012".to_owned(), 4)]),
            still_away: 1,
            longest_away_ms: 1_000,
        };
        assert_eq!(found, expected);
        assert_eq!(Closes::of(&[diary(&[])]), Closes::default());
    }
}
