//! What this service goes by, checked. Plain data with defaults; `config` makes it from flags, environment and file.

use std::time::Duration;

use crate::rules::lobby;
use crate::rules::matchmaking::{Mode, Widening};

/// How matches are made and run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What can be played; at least one. Default: `duel` for 2, then `arena` for 4. The first is for players who name none.
    pub modes: Vec<Mode>,
    /// How far apart ratings may be. Default 100 and 25 for each second of waiting: after half a minute nearly anybody.
    pub widening: Widening,
    /// Most tickets in one queue; more are refused. Default 10 000, which a round still matches in milliseconds.
    pub queue_limit: usize,
    /// Most matches that run here at a time; more go to other servers. Default 1 000.
    pub match_limit: usize,
    /// Ticks per second. Default 20.
    pub tick_rate: u32,
    /// How often per second the players are shown the state, at most the tick rate. Default 20: with each tick.
    pub state_rate: u32,
    /// Longest match. Default 60 s.
    pub match_time: Duration,
    /// Longest time in a queue. Default 10 min: whoever still waits then is told so.
    pub queue_time: Duration,
    /// How long running matches may go on when this server is stopped. Default 10 s, and never longer than the grace period
    /// allows.
    pub drain_time: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let mode = |name: &str, players| Mode {
            name: name.to_owned(),
            players,
        };
        Self {
            modes: vec![mode("duel", 2), mode("arena", 4)],
            widening: Widening {
                start: 100,
                per_second: 25,
            },
            queue_limit: 10_000,
            match_limit: 1_000,
            tick_rate: 20,
            state_rate: 20,
            match_time: Duration::from_secs(60),
            queue_time: Duration::from_secs(600),
            drain_time: Duration::from_secs(10),
        }
    }
}

impl Settings {
    /// What a lobby has to know.
    pub(crate) fn lobby(&self) -> lobby::Settings {
        lobby::Settings {
            modes: self.modes.clone(),
            widening: self.widening,
            queue_limit: self.queue_limit,
            match_limit: self.match_limit,
            longest_wait: self.queue_time,
            longest_match: self.match_time,
        }
    }

    /// How much time one tick stands for.
    pub(crate) fn tick(&self) -> Duration {
        Duration::from_secs(1) / self.tick_rate.max(1)
    }

    /// After how many ticks the players are shown the state.
    pub(crate) fn ticks_per_state(&self) -> u64 {
        u64::from((self.tick_rate / self.state_rate.max(1)).max(1))
    }

    /// How many ticks the longest match has.
    pub(crate) fn longest_match(&self) -> u64 {
        let ticks = self.match_time.as_secs_f64() * f64::from(self.tick_rate);
        (ticks.ceil() as u64).max(1)
    }
}
