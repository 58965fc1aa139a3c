//! Lost and doubled deliveries in groups, so that a person sees the pattern.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::{Evidence, Sent};
use crate::message::{Kind, Message};

/// The maximum number of lines.
const LINES: usize = 12;

/// The fate of a delivery: its kind, its sender, its receiver.
type Fate = (&'static str, Kind, String, String);

#[derive(Debug)]
struct Times {
    count: u64,
    first_us: u64,
    last_us: u64,
}

/// Groups of deliveries with the same fate.
#[derive(Debug, Default)]
pub(super) struct Fates {
    groups: BTreeMap<Fate, Times>,
}

impl Fates {
    /// Counts a delivery to this life that had a bad fate.
    pub(super) fn note(&mut self, fate: &'static str, sent: &Sent, to: usize, evidence: &Evidence) {
        let Some(message) = Message::from_key(sent.key) else {
            return;
        };
        let name = |life: usize| evidence.lives[life].name.clone();
        let group = (fate, message.kind, name(sent.life), name(to));
        let times = self.groups.entry(group).or_insert(Times {
            count: 0,
            first_us: sent.at_us,
            last_us: sent.at_us,
        });
        times.count += 1;
        times.first_us = times.first_us.min(sent.at_us);
        times.last_us = times.last_us.max(sent.at_us);
    }

    /// The largest groups as text. Times are relative to the start of the load.
    pub(super) fn lines(&self, load_began_us: u64) -> Vec<String> {
        let mut groups: Vec<(&Fate, &Times)> = self.groups.iter().collect();
        groups.sort_by_key(|(_, times)| Reverse(times.count));
        let seconds = |at_us: u64| at_us.saturating_sub(load_began_us) as f64 / 1e6;
        let mut lines = Vec::new();
        for ((fate, kind, from, to), times) in groups.iter().take(LINES) {
            let (count, first, last) = (times.count, seconds(times.first_us), seconds(times.last_us));
            let kind = kind.name();
            lines.push(format!(
                "{count} {fate}: {kind} {from} -> {to}, sent {first:.2} to {last:.2} s after load began"
            ));
        }
        if groups.len() > LINES {
            lines.push(format!("and {} more such groups", groups.len() - LINES));
        }
        lines
    }
}
