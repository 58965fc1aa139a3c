//! The settings of this service, each declared once.

mod modes;

use std::time::Duration;

use wsmesh_bootstrap::{at_least, settings, within};

pub use modes::Modes;

use crate::rules::lobby;
use crate::rules::matchmaking::Widening;

settings! {
    /// How matches are made and run.
    #[derive(PartialEq, Eq)]
    pub struct Settings {
        /// Modes that can be played, as NAME:PLAYERS. For several modes, repeat the flag or separate them by commas. The first is for
        /// players who name none.
        pub modes: Modes,
        /// Largest difference of ratings in a match at first.
        pub rating_range: u32 = 100,
        /// Widening of the rating range for each second that a player waits.
        // After half a minute nearly everybody may be matched with everybody.
        pub rating_widening: u32 = 25,
        /// Longest time in a queue; then the player is told that there was no match.
        #[check(at_least(Duration::from_secs(1)))]
        pub queue_time: Duration = Duration::from_secs(600),
        /// Largest number of players in one queue. Requests of more players are refused.
        // One round still matches this many players within milliseconds.
        #[key = "max_queue"]
        #[check(at_least(1))]
        pub queue_limit: usize = 10_000,
        /// Largest number of matches on this server. More go to other servers.
        #[key = "max_matches"]
        #[check(at_least(1))]
        pub match_limit: usize = 1_000,
        /// Ticks of a match per second.
        #[check(within(1..=120))]
        pub tick_rate: u32 = 20,
        /// How often per second players receive the state of their match; at most the tick rate. Default: with each tick.
        pub state_rate: Option<u32>,
        /// Longest match.
        #[check(at_least(Duration::from_secs(1)))]
        pub match_time: Duration = Duration::from_secs(60),
        /// Longest time that running matches may continue when this server is stopped; at most half of the grace period.
        #[key = "match_drain"]
        pub drain_time: Duration = Duration::from_secs(10),
    }
}

impl Settings {
    /// The part that a lobby needs.
    pub(crate) fn lobby(&self) -> lobby::Settings {
        lobby::Settings {
            modes: self.modes.0.clone(),
            widening: Widening {
                start: self.rating_range,
                per_second: self.rating_widening,
            },
            queue_limit: self.queue_limit,
            match_limit: self.match_limit,
            longest_wait: self.queue_time,
            longest_match: self.match_time,
        }
    }

    /// The duration of one tick.
    pub(crate) fn tick(&self) -> Duration {
        Duration::from_secs(1) / self.tick_rate.max(1)
    }

    /// How often per second players receive the state of their match.
    pub(crate) fn state_rate(&self) -> u32 {
        self.state_rate.unwrap_or(self.tick_rate)
    }

    /// Number of ticks after which players receive the state.
    pub(crate) fn ticks_per_state(&self) -> u64 {
        u64::from((self.tick_rate / self.state_rate().max(1)).max(1))
    }

    /// Number of ticks of the longest match.
    pub(crate) fn longest_match(&self) -> u64 {
        let ticks = self.match_time.as_secs_f64() * f64::from(self.tick_rate);
        (ticks.ceil() as u64).max(1)
    }
}
