//! The checked configuration of this service: the common settings and its own.

use wsmesh_bootstrap::{CommonConfig, Problems};

use crate::settings::Settings;

/// The configuration of this service, without problems.
#[derive(Debug, Clone)]
pub struct Config {
    /// The settings of every service.
    pub common: CommonConfig,
    /// How matches are made and run.
    pub settings: Settings,
}

impl Config {
    /// Checks what no single setting can know.
    pub(crate) fn check(common: CommonConfig, settings: Settings, problems: &mut Problems) -> Option<Self> {
        let (tick_rate, state_rate) = (settings.tick_rate, settings.state_rate());
        if tick_rate > 0 && !(1..=tick_rate).contains(&state_rate) {
            problems.about(
                "state_rate",
                format!("is out of range: write 1 to {tick_rate}, the tick rate"),
            );
        }
        problems.lines().is_empty().then_some(Self { common, settings })
    }
}

#[cfg(test)]
mod tests {
    use wsmesh_bootstrap::document::Reference;
    use wsmesh_bootstrap::load;

    use super::*;
    use crate::Service;

    const NOTHING: [(String, String); 0] = [];

    #[test]
    fn settings_that_are_not_given_have_their_defaults() {
        let config = load::<Service>([""; 0], NOTHING).expect("valid");
        assert_eq!(config.settings, Settings::default());
    }

    #[test]
    fn everything_wrong_is_listed_at_once() {
        let modes = ["--modes", "duel:2,duel:3,chess,x:0,a b:2"];
        let numbers = [
            "--tick-rate",
            "121",
            "--state-rate",
            "0",
            "--max-queue",
            "0",
            "--match-time",
            "0s",
        ];
        let problems = load::<Service>(modes.into_iter().chain(numbers), NOTHING).expect_err("much is wrong");
        assert_eq!(problems.len(), 8, "{problems:#?}");
        assert!(problems[0].contains("two modes \"duel\""), "{problems:#?}");
    }

    #[test]
    fn the_readme_has_the_settings_as_declared() {
        let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
        assert_eq!(Reference::of::<Service>().check(readme), Ok(()));
    }

    #[test]
    fn settings_keep_their_names_and_defaults() {
        let pinned = include_str!("../tests/settings.txt");
        assert_eq!(Reference::of::<Service>().check_defaults(pinned), Ok(()));
    }
}
