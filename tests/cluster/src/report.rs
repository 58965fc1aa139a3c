//! What is printed at the end: one line of JSON.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::closes::Closes;
use crate::judge::Tally;
use crate::player::Plays;
use crate::record::Diary;

/// Most refusals that are listed.
const MOST_REFUSALS: usize = 8;

/// At least one in so many of the wanted messages must have been sent: with less load, a run says little.
const LEAST_RATE: u64 = 2;
/// At most one in so many messages may be refused.
const REFUSED: u64 = 10;
/// At most one in so many messages may be held back.
const HELD_BACK: u64 = 4;
/// A close may cut off what a client gets in this time, on average. More than that hides a loss.
const CUT_SECONDS: f64 = 0.5;

/// What was seen.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    clients: u64,
    seconds: f64,
    /// Messages per second that were sent.
    rate: u64,
    wanted_rate: u64,
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
    /// Of a run of so many seconds, in which so many messages per second were wanted.
    pub(crate) fn new(diaries: &[Diary], tally: &Tally, plays: Option<Plays>, seconds: f64, wanted_rate: u32) -> Self {
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
            wanted_rate: wanted_rate.into(),
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

    /// What went wrong that the cluster promises, and why the run says nothing, if so. None of it: the run is good.
    pub(crate) fn faults(&self) -> Vec<String> {
        let plays = |count: fn(&Plays) -> u64| self.matches.as_ref().map_or(0, count);
        let none_of = [
            ("lost", self.lost),
            ("doubled", self.doubled),
            ("silent", self.silent),
            ("missed_by_this_program", self.missed_by_this_program),
            ("still_away", self.closes.still_away),
            ("matches.silent", plays(|plays| plays.silent)),
        ];
        let at_most = [
            ("refused", self.refused, self.sent / REFUSED),
            ("held_back", self.held_back, (self.sent + self.held_back) / HELD_BACK),
            ("cut", self.cut, self.most_cut()),
        ];
        let at_least = [("due", self.due, 1), ("rate", self.rate, self.wanted_rate / LEAST_RATE)];
        let none_of = none_of.into_iter().map(|(what, count)| (what, count, 0));
        let too_many = none_of.chain(at_most).filter(|(_, count, most)| count > most);
        let too_few = at_least.into_iter().filter(|(_, count, least)| count < least);
        too_many
            .map(|(what, count, most)| format!("{what} is {count}, more than {most}"))
            .chain(too_few.map(|(what, count, least)| format!("{what} is {count}, less than {least}")))
            .collect()
    }

    /// The most that all closes together may have cut off.
    fn most_cut(&self) -> u64 {
        let of_a_client_in_a_second = self.due as f64 / self.seconds.max(0.1) / self.clients.max(1) as f64;
        (self.closes.closes as f64 * of_a_client_in_a_second * CUT_SECONDS).ceil() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Close;

    /// Ten clients that wanted 100 messages per second, for ten seconds.
    fn report(tally: Tally, change: impl Fn(&mut Diary)) -> Report {
        let mut diaries = vec![Diary::default(); 10];
        diaries.iter_mut().for_each(change);
        Report::new(&diaries, &tally, None, 10.0, 100)
    }

    fn good() -> Tally {
        Tally {
            sent: 1_000,
            accepted: 1_000,
            due: 2_000,
            ..Tally::default()
        }
    }

    /// What is wrong, by the fields that are named.
    fn wrong(report: &Report) -> Vec<String> {
        let faults = report.faults();
        let fields = faults.iter().filter_map(|fault| fault.split(' ').next());
        fields.map(str::to_owned).collect()
    }

    fn close(diary: &mut Diary) {
        diary.closes.push(Close {
            at_us: 1,
            why: "1012".to_owned(),
            back_us: Some(2),
        });
    }

    #[test]
    fn a_run_in_which_all_came_is_good_and_one_without_load_is_not() {
        assert_eq!(wrong(&report(good(), |_| {})), [""; 0]);
        assert_eq!(wrong(&report(Tally::default(), |_| {})), ["due", "rate"]);
        let nobody_heard = Tally { due: 0, ..good() };
        assert_eq!(wrong(&report(nobody_heard, |_| {})), ["due"]);
        let half = |sent| Tally { sent, ..good() };
        assert_eq!(wrong(&report(half(500), |_| {})), [""; 0]);
        assert_eq!(wrong(&report(half(490), |_| {})), ["rate"]);
    }

    #[test]
    fn what_must_not_happen_is_named() {
        let tally = Tally {
            lost: 1,
            doubled: 1,
            silent: 1,
            ..good()
        };
        let away = |diary: &mut Diary| {
            close(diary);
            diary.closes[0].back_us = None;
            diary.missed = 1;
        };
        let named = ["lost", "doubled", "silent", "missed_by_this_program", "still_away"];
        assert_eq!(wrong(&report(tally, away)), named);
    }

    #[test]
    fn few_messages_may_be_refused_or_held_back() {
        let refused = |refused| Tally { refused, ..good() };
        assert_eq!(wrong(&report(refused(100), |_| {})), [""; 0]);
        assert_eq!(wrong(&report(refused(101), |_| {})), ["refused"]);
        assert_eq!(wrong(&report(good(), |diary| diary.held_back = 33)), [""; 0]);
        assert_eq!(wrong(&report(good(), |diary| diary.held_back = 34)), ["held_back"]);
    }

    #[test]
    fn a_close_cuts_off_no_more_than_what_is_under_way() {
        // Each client gets 20 messages per second.
        let cut = |cut| Tally { cut, ..good() };
        assert_eq!(wrong(&report(cut(1), |_| {})), ["cut"]);
        assert_eq!(wrong(&report(cut(100), close)), [""; 0]);
        assert_eq!(wrong(&report(cut(101), close)), ["cut"]);
    }
}
