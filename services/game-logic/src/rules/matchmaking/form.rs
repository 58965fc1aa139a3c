//! The rules by which waiting tickets become matches. A pure function.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::Duration;

use super::ticket::{Party, Ticket};

/// Most neighbours by rating that are considered for one player, so that a full queue costs milliseconds and not seconds.
const NEIGHBOURS: usize = 64;

/// How far apart ratings may be: the longer a player waits, the farther.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Widening {
    /// Largest difference at first.
    pub start: u32,
    /// How much is added for each second of waiting.
    pub per_second: u32,
}

impl Widening {
    /// Largest difference that a player accepts after waiting for `waited`.
    pub fn range(self, waited: Duration) -> u64 {
        let widened = waited.as_millis() * u128::from(self.per_second) / 1000;
        u64::from(self.start).saturating_add(u64::try_from(widened).unwrap_or(u64::MAX))
    }
}

/// Tickets that cannot be separated: one player, or a complete party.
struct Unit {
    tickets: Vec<Ticket>,
    rating: i64,
    since: Duration,
}

/// Makes at most `most` groups of exactly `players` tickets. The player that has waited longest chooses first and takes the nearest
/// by rating within its range. A player that finds too few others may still be chosen by later ones.
pub(super) fn groups(
    tickets: Vec<Ticket>,
    players: usize,
    widening: Widening,
    now: Duration,
    most: usize,
) -> Vec<Vec<Ticket>> {
    let mut units = units(tickets, players);
    units.sort_by(|a, b| (a.rating, a.since, &a.tickets[0].client).cmp(&(b.rating, b.since, &b.tickets[0].client)));
    let mut by_age: Vec<usize> = (0..units.len()).collect();
    by_age.sort_by_key(|&i| (units[i].since, Reverse(units[i].tickets.len()), i));
    let mut line = Line::new(units.len());
    let mut formed = Vec::new();
    for anchor in by_age {
        if formed.len() == most {
            break;
        }
        if line.is_gone(anchor) {
            continue;
        }
        let range = widening.range(now.saturating_sub(units[anchor].since));
        if let Some(chosen) = choose(&units, &line, anchor, players, range) {
            let mut group = Vec::with_capacity(players);
            for unit in chosen {
                line.remove(unit);
                group.append(&mut units[unit].tickets);
            }
            formed.push(group);
        }
    }
    formed
}

/// Single players and complete parties. Members of incomplete parties, and parties too large for the mode, keep waiting.
fn units(tickets: Vec<Ticket>, players: usize) -> Vec<Unit> {
    let mut units = Vec::new();
    let mut parties: HashMap<Party, Vec<Ticket>> = HashMap::new();
    for ticket in tickets {
        match ticket.party.clone() {
            Some(party) if party.size > 1 => parties.entry(party).or_default().push(ticket),
            _ => units.push(unit(vec![ticket])),
        }
    }
    for (party, mut members) in parties {
        members.sort_by(|a, b| (a.since, &a.client).cmp(&(b.since, &b.client)));
        let mut members = members.into_iter();
        while party.size <= players && members.len() >= party.size {
            units.push(unit(members.by_ref().take(party.size).collect()));
        }
    }
    units
}

/// The rating of a party is the mean of its members; it has waited as long as its latest member.
fn unit(tickets: Vec<Ticket>) -> Unit {
    let sum: i64 = tickets.iter().map(|ticket| i64::from(ticket.rating)).sum();
    let rating = sum / tickets.len().max(1) as i64;
    let since = tickets.iter().map(|ticket| ticket.since).max().unwrap_or_default();
    Unit { tickets, rating, since }
}

/// `anchor` and its nearest neighbours whose sizes add up to `players` together.
fn choose(units: &[Unit], line: &Line, anchor: usize, players: usize, range: u64) -> Option<Vec<usize>> {
    // ways[n]: the anchor and other units with n players together, the nearest first.
    let mut ways: Vec<Option<Vec<usize>>> = vec![None; players + 1];
    ways[units[anchor].tickets.len()] = Some(vec![anchor]);
    let distance = |i: usize| units[i].rating.abs_diff(units[anchor].rating);
    let (mut below, mut above) = (line.before(anchor), line.after(anchor));
    for _ in 0..NEIGHBOURS {
        if ways[players].is_some() {
            break;
        }
        let from_below = match (below, above) {
            (None, None) => break,
            (Some(b), Some(a)) => distance(b) <= distance(a),
            (b, _) => b.is_some(),
        };
        let side = if from_below { &mut below } else { &mut above };
        let Some(next) = *side else { break };
        if distance(next) > range {
            break;
        }
        *side = if from_below {
            line.before(next)
        } else {
            line.after(next)
        };
        add(&mut ways, next, units[next].tickets.len());
    }
    ways.pop().flatten()
}

fn add(ways: &mut [Option<Vec<usize>>], unit: usize, size: usize) {
    for total in (size..ways.len()).rev() {
        if ways[total].is_none()
            && let Some(rest) = &ways[total - size]
        {
            let mut way = rest.clone();
            way.push(unit);
            ways[total] = Some(way);
        }
    }
}

/// Units in the order of their ratings, as a linked list, so that units that are matched already need not be stepped over.
struct Line {
    before: Vec<Option<usize>>,
    after: Vec<Option<usize>>,
    gone: Vec<bool>,
}

impl Line {
    fn new(len: usize) -> Self {
        Self {
            before: (0..len).map(|i| i.checked_sub(1)).collect(),
            after: (0..len).map(|i| Some(i + 1).filter(|&next| next < len)).collect(),
            gone: vec![false; len],
        }
    }

    fn before(&self, unit: usize) -> Option<usize> {
        self.before[unit]
    }

    fn after(&self, unit: usize) -> Option<usize> {
        self.after[unit]
    }

    fn is_gone(&self, unit: usize) -> bool {
        self.gone[unit]
    }

    fn remove(&mut self, unit: usize) {
        self.gone[unit] = true;
        let (before, after) = (self.before[unit], self.after[unit]);
        if let Some(before) = before {
            self.after[before] = after;
        }
        if let Some(after) = after {
            self.before[after] = before;
        }
    }
}
