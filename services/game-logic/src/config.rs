//! The settings of this service, beside the common ones: flags, environment and file become checked [`Settings`].

use std::collections::BTreeSet;
use std::time::Duration;

use wsmesh_bootstrap::{CommonConfig, Problems};

use crate::rules::matchmaking::{Mode, Widening};
use crate::settings::Settings;

wsmesh_bootstrap::settings! {
    /// As written by people.
    pub struct RawSettings {
        /// What can be played, as NAME:PLAYERS. Several: repeat it, or separate by commas. The first is for players who name none.
        pub modes: Vec<String> = vec!["duel:2".to_owned(), "arena:4".to_owned()],
        /// Largest difference of ratings in a match at first.
        pub rating_range: u32 = 100,
        /// How much the rating range widens for each second that a player waits.
        pub rating_widening: u32 = 25,
        /// Longest time in a queue; after it the player is told that there was no match.
        pub queue_time: Duration = Duration::from_secs(600),
        /// Most players in one queue; more are refused.
        pub max_queue: usize = 10_000,
        /// Most matches that run on this server; more go to other servers.
        pub max_matches: usize = 1_000,
        /// Ticks of a match per second.
        pub tick_rate: u32 = 20,
        /// How often per second players are shown the state of their match; at most the tick rate. Default: with each tick.
        pub state_rate: Option<u32>,
        /// Longest match.
        pub match_time: Duration = Duration::from_secs(60),
        /// How long running matches may go on when this server is stopped; at most half of the grace period.
        pub match_drain: Duration = Duration::from_secs(10),
    }
}

/// What this service runs on, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// What every service is told.
    pub common: CommonConfig,
    /// How matches are made and run.
    pub settings: Settings,
}

/// The most players of one match: each gets every state.
const MOST_PLAYERS: usize = 64;
const MOST_MODES: usize = 32;
const MOST_TICKS: u32 = 120;

pub(crate) fn check(common: CommonConfig, raw: RawSettings, problems: &mut Problems) -> Option<Config> {
    let before = problems.lines().len();
    let modes = modes(&raw.modes, problems);
    if !(1..=MOST_TICKS).contains(&raw.tick_rate) {
        problems.about(
            "tick_rate",
            format!("{} is not possible: write 1 to {MOST_TICKS}", raw.tick_rate),
        );
    }
    let state_rate = raw.state_rate.unwrap_or(raw.tick_rate);
    if raw.tick_rate > 0 && !(1..=raw.tick_rate).contains(&state_rate) {
        let text = format!(
            "{state_rate} is not possible: write 1 to {}, the tick rate",
            raw.tick_rate
        );
        problems.about("state_rate", text);
    }
    for (key, bound) in [("max_queue", raw.max_queue), ("max_matches", raw.max_matches)] {
        if bound == 0 {
            problems.about(key, "0 would refuse everybody: write 1 or more");
        }
    }
    for (key, time) in [("match_time", raw.match_time), ("queue_time", raw.queue_time)] {
        if time < Duration::from_secs(1) {
            problems.about(key, "too short: write 1s or more");
        }
    }
    let settings = Settings {
        modes,
        widening: Widening {
            start: raw.rating_range,
            per_second: raw.rating_widening,
        },
        queue_limit: raw.max_queue,
        match_limit: raw.max_matches,
        tick_rate: raw.tick_rate,
        state_rate,
        match_time: raw.match_time,
        queue_time: raw.queue_time,
        drain_time: raw.match_drain,
    };
    (problems.lines().len() == before).then_some(Config { common, settings })
}

fn modes(written: &[String], problems: &mut Problems) -> Vec<Mode> {
    let mut modes = Vec::new();
    let mut names = BTreeSet::new();
    for text in written {
        match mode(text) {
            Some(mode) if names.insert(mode.name.clone()) => modes.push(mode),
            Some(mode) => problems.about("modes", format!("{:?} is there twice: leave one", mode.name)),
            None => problems.about(
                "modes",
                format!("{text:?} is no mode: write NAME:PLAYERS, 1 to {MOST_PLAYERS} players, for example duel:2"),
            ),
        }
    }
    if written.is_empty() || modes.len() > MOST_MODES {
        problems.about(
            "modes",
            format!("{} modes are not possible: write 1 to {MOST_MODES}", written.len()),
        );
    }
    modes
}

fn mode(text: &str) -> Option<Mode> {
    let (name, players) = text.split_once(':')?;
    let players: usize = players.trim().parse().ok()?;
    let name = name.trim();
    let plain =
        !name.is_empty() && name.len() <= 32 && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    (plain && (1..=MOST_PLAYERS).contains(&players)).then(|| Mode {
        name: name.to_owned(),
        players,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(raw: RawSettings) -> Result<Settings, Vec<String>> {
        let mut problems = Problems::default();
        match check(CommonConfig::new("game-logic-0"), raw, &mut problems) {
            Some(config) if problems.lines().is_empty() => Ok(config.settings),
            _ => Err(problems.lines().to_vec()),
        }
    }

    #[test]
    fn the_written_defaults_are_those_of_the_settings() {
        assert_eq!(checked(RawSettings::default()), Ok(Settings::default()));
    }

    #[test]
    fn everything_wrong_is_listed_at_once() {
        let raw = RawSettings {
            modes: ["duel:2", "duel:3", "chess", "x:0", "a b:2"].map(String::from).to_vec(),
            tick_rate: 121,
            state_rate: Some(0),
            max_queue: 0,
            match_time: Duration::ZERO,
            ..RawSettings::default()
        };
        let problems = checked(raw).expect_err("much is wrong");
        assert_eq!(problems.len(), 8, "{problems:#?}");
        assert!(problems[0].contains("\"duel\" is there twice"), "{problems:#?}");
    }
}
