//! What is printed at the end: one line of JSON.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::closes::Closes;
use crate::judge::Tally;
use crate::player::Plays;
use crate::record::Diary;

/// Most refusals that are listed.
const MOST_REFUSALS: usize = 8;

/// What was seen.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    clients: u64,
    seconds: f64,
    /// Messages per second that were sent.
    rate: u64,
    sent: u64,
    accepted: u64,
    refused: u64,
    unknown: u64,
    silent: u64,
    due: u64,
    lost: u64,
    doubled: u64,
    cut: u64,
    late: u64,
    p50_ms: f64,
    p99_ms: f64,
    #[serde(flatten)]
    closes: Closes,
    failed_attempts: u64,
    held_back: u64,
    missed_by_this_program: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    refusals: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    matches: Option<Plays>,
}

impl Report {
    pub(crate) fn new(diaries: &[Diary], tally: &Tally, plays: Option<Plays>, seconds: f64) -> Self {
        let mut refusals = BTreeMap::new();
        for text in diaries.iter().flat_map(|diary| &diary.refusals) {
            if refusals.len() < MOST_REFUSALS || refusals.contains_key(text) {
                *refusals.entry(text.clone()).or_default() += 1;
            }
        }
        let at = |quantile: f64| {
            let last = tally.delays_us.len().saturating_sub(1);
            let us = tally.delays_us.get((last as f64 * quantile) as usize);
            us.map_or(0.0, |us| (*us as f64 / 100.0).round() / 10.0)
        };
        Self {
            clients: diaries.len() as u64,
            seconds: (seconds * 10.0).round() / 10.0,
            rate: (tally.sent as f64 / seconds.max(0.1)) as u64,
            sent: tally.sent,
            accepted: tally.accepted,
            refused: tally.refused,
            unknown: tally.unknown,
            silent: tally.silent,
            due: tally.due,
            lost: tally.lost,
            doubled: tally.doubled,
            cut: tally.cut,
            late: tally.late,
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            closes: Closes::of(diaries),
            failed_attempts: diaries.iter().map(|diary| diary.failed_attempts).sum(),
            held_back: diaries.iter().map(|diary| diary.held_back).sum(),
            missed_by_this_program: diaries.iter().map(|diary| diary.missed).sum(),
            refusals,
            matches: plays,
        }
    }

    /// Whether nothing went wrong that the cluster promises.
    pub(crate) fn is_good(&self) -> bool {
        let wrong = [
            self.lost,
            self.doubled,
            self.silent,
            self.missed_by_this_program,
            self.closes.still_away,
            self.matches.as_ref().map_or(0, |plays| plays.silent),
        ];
        wrong.iter().all(|count| *count == 0)
    }
}
