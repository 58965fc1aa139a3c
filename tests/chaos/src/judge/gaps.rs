//! The longest time in which a receiver got nothing from other servers while load ran.

use std::collections::HashMap;

use super::{Evidence, servers_of};
use crate::record::SERVER;

/// What is known of one receiver.
#[derive(Debug)]
struct Hearing {
    last_us: u64,
    longest_us: u64,
}

/// Gaps of all receivers. Arrivals are counted in each receiver's order.
pub(super) struct Gaps<'a> {
    evidence: &'a Evidence,
    servers: HashMap<u16, usize>,
    receivers: HashMap<(usize, u16), Hearing>,
}

impl<'a> Gaps<'a> {
    pub(super) fn new(evidence: &'a Evidence) -> Self {
        let mut receivers = HashMap::new();
        for (life, it) in evidence.lives.iter().enumerate() {
            // Load reaches a server that started later only a moment after it is ready.
            let clients = it.reported.attached.iter().copied();
            for (who, since_us) in clients.chain(it.reported.ready_us.map(|ready_us| (SERVER, ready_us))) {
                let hearing = Hearing {
                    last_us: since_us.max(evidence.load_us.0),
                    longest_us: 0,
                };
                receivers.insert((life, who), hearing);
            }
        }
        Self {
            evidence,
            servers: servers_of(&evidence.lives),
            receivers,
        }
    }

    pub(super) fn note(&mut self, life: usize, who: u16, key: u64, at_us: u64) {
        let sender = self.servers.get(&((key >> 48) as u16));
        if sender == Some(&self.evidence.lives[life].server) {
            return;
        }
        if let Some(hearing) = self.receivers.get_mut(&(life, who)) {
            hearing.note(at_us.min(self.evidence.load_us.1));
        }
    }

    pub(super) fn longest_ms(mut self) -> u64 {
        for ((life, _), hearing) in &mut self.receivers {
            let end_us = self.evidence.lives[*life].ended_us.unwrap_or(u64::MAX);
            hearing.note(end_us.min(self.evidence.load_us.1));
        }
        let longest = self.receivers.values().map(|hearing| hearing.longest_us).max();
        longest.unwrap_or(0) / 1_000
    }
}

impl Hearing {
    fn note(&mut self, at_us: u64) {
        self.longest_us = self.longest_us.max(at_us.saturating_sub(self.last_us));
        self.last_us = self.last_us.max(at_us);
    }
}
