//! The modes that can be played, as people write them: `duel:2`.

use std::collections::BTreeSet;

use wsmesh_bootstrap::{Field, Raw, Shape, Shown};

use crate::rules::matchmaking::Mode;

/// Largest number of players of one match: each receives every state.
const MOST_PLAYERS: usize = 64;

/// Largest number of modes: each has a queue.
const MOST_MODES: usize = 32;

/// The modes; at least one. The first is for players who name none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Modes(pub Vec<Mode>);

/// `duel` for 2, then `arena` for 4.
impl Default for Modes {
    fn default() -> Self {
        let modes = [("duel", 2), ("arena", 4)].map(|(name, players)| Mode {
            name: name.to_owned(),
            players,
        });
        Self(modes.to_vec())
    }
}

impl Field for Modes {
    const SHAPE: Shape = Shape::Many;
    const HINT: &'static str = "NAME:PLAYERS";

    fn read(raw: &Raw) -> Result<Self, Vec<String>> {
        let texts = Vec::<String>::read(raw)?;
        let (mut modes, mut problems, mut names) = (Vec::new(), Vec::new(), BTreeSet::new());
        for text in &texts {
            match mode(text) {
                Some(mode) if names.insert(mode.name.clone()) => modes.push(mode),
                Some(mode) => problems.push(format!("there are two modes {:?}: remove one", mode.name)),
                None => problems.push(format!(
                    "{text:?} is not a mode: write NAME:PLAYERS, with 1 to {MOST_PLAYERS} players, for example duel:2"
                )),
            }
        }
        if texts.is_empty() || modes.len() > MOST_MODES {
            problems.push(format!("has {} modes: write 1 to {MOST_MODES}", texts.len()));
        }
        if problems.is_empty() {
            Ok(Self(modes))
        } else {
            Err(problems)
        }
    }

    fn show(&self) -> Shown {
        let texts = self.0.iter().map(|mode| format!("{}:{}", mode.name, mode.players));
        texts.collect::<Vec<_>>().show()
    }
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
