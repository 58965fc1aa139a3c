//! The demo game: players run over a square field and collect targets; the first player with enough points wins.
//!
//! Players send the direction in which they want to run. Positions are whole numbers, so rounding errors do not add up.
//! A player that reaches a target gets a point, and the target appears elsewhere.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use wsmesh_adapter::ClientId;

use super::game::{Game, Progress, Seat, Setup};

/// Side of the field.
pub const FIELD: i32 = 1_000;
/// Points that end the match.
pub const GOAL: u32 = 5;
/// How far a player runs in one second.
const SPEED_PER_SECOND: f64 = 400.0;
/// A target nearer than this is collected.
const REACH: i32 = 40;
/// How many targets there are at the same time.
const TARGETS: usize = 3;

/// What a player sends: `{"direction": {"x": 1, "y": 0}}`. Longer than 1 is shortened to 1; zero stops.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct Input {
    /// Where to run.
    pub direction: Direction,
}

/// A direction on the field; x grows to the right, y grows downwards.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct Direction {
    /// To the right.
    pub x: f64,
    /// Downwards.
    pub y: f64,
}

/// A position on the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Position {
    /// From the left, 0 to [`FIELD`].
    pub x: i32,
    /// From the top, 0 to [`FIELD`].
    pub y: i32,
}

/// What everyone sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct State {
    /// Side of the field.
    pub field: i32,
    /// Points that win.
    pub goal: u32,
    /// The players that have not left, in the order of their seats.
    pub players: Vec<Shown>,
    /// Where the targets are.
    pub targets: Vec<Position>,
}

/// One player as everyone sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// The player.
    pub id: ClientId,
    /// From the left.
    pub x: i32,
    /// From the top.
    pub y: i32,
    /// Points so far.
    pub points: u32,
}

/// How the match stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// The present player with the most points; `None` if several have the same number.
    pub winner: Option<ClientId>,
    /// Everyone's points, in the order of their seats.
    pub scores: Vec<Score>,
}

/// One player's points.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Score {
    /// The player.
    pub id: ClientId,
    /// Points.
    pub points: u32,
    /// Whether the player left before the end.
    pub left: bool,
}

#[derive(Debug)]
struct Runner {
    id: ClientId,
    at: Position,
    step: (i32, i32),
    points: u32,
    left: bool,
}

/// One match of the demo game.
#[derive(Debug)]
pub struct Collect {
    runners: Vec<Runner>,
    targets: Vec<Position>,
    step_length: f64,
    chance: SmallRng,
}

impl Collect {
    fn collect(&mut self, seat: Seat) {
        let at = self.runners[seat].at;
        for target in &mut self.targets {
            let (dx, dy) = (target.x - at.x, target.y - at.y);
            if dx * dx + dy * dy < REACH * REACH {
                self.runners[seat].points += 1;
                *target = somewhere(&mut self.chance);
            }
        }
    }
}

fn somewhere(chance: &mut SmallRng) -> Position {
    Position {
        x: chance.random_range(0..=FIELD),
        y: chance.random_range(0..=FIELD),
    }
}

impl Game for Collect {
    type Input = Input;
    type State = State;
    type Result = Standing;

    fn start(setup: &Setup) -> Self {
        let mut chance = SmallRng::seed_from_u64(setup.seed);
        let runners = setup.players.iter().cloned().map(|id| Runner {
            id,
            at: somewhere(&mut chance),
            step: (0, 0),
            points: 0,
            left: false,
        });
        let runners = runners.collect();
        let targets = (0..TARGETS).map(|_| somewhere(&mut chance)).collect();
        Self {
            runners,
            targets,
            step_length: SPEED_PER_SECOND * setup.tick.as_secs_f64(),
            chance,
        }
    }

    fn input(&mut self, seat: Seat, input: Input) -> Result<(), String> {
        let Direction { x, y } = input.direction;
        if !x.is_finite() || !y.is_finite() {
            return Err("direction needs two finite numbers, x and y".to_owned());
        }
        let scale = self.step_length / x.hypot(y).max(1.0);
        self.runners[seat].step = ((x * scale).round() as i32, (y * scale).round() as i32);
        Ok(())
    }

    fn leave(&mut self, seat: Seat) {
        self.runners[seat].left = true;
    }

    fn tick(&mut self) -> Progress {
        for seat in 0..self.runners.len() {
            let runner = &mut self.runners[seat];
            if runner.left {
                continue;
            }
            runner.at.x = (runner.at.x + runner.step.0).clamp(0, FIELD);
            runner.at.y = (runner.at.y + runner.step.1).clamp(0, FIELD);
            self.collect(seat);
            if self.runners[seat].points >= GOAL {
                return Progress::Over;
            }
        }
        Progress::Running
    }

    fn state(&self) -> State {
        let shown = |runner: &Runner| Shown {
            id: runner.id.clone(),
            x: runner.at.x,
            y: runner.at.y,
            points: runner.points,
        };
        State {
            field: FIELD,
            goal: GOAL,
            players: self.runners.iter().filter(|runner| !runner.left).map(shown).collect(),
            targets: self.targets.clone(),
        }
    }

    fn result(&self) -> Standing {
        let present = || self.runners.iter().filter(|runner| !runner.left);
        let best = present().map(|runner| runner.points).max();
        let mut leaders = present().filter(|runner| Some(runner.points) == best);
        let winner = match (leaders.next(), leaders.next()) {
            (Some(only), None) => Some(only.id.clone()),
            _ => None,
        };
        let score = |runner: &Runner| Score {
            id: runner.id.clone(),
            points: runner.points,
            left: runner.left,
        };
        Standing {
            winner,
            scores: self.runners.iter().map(score).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn start(seed: u64) -> Collect {
        let players = ["ann", "bob"].map(|name| ClientId::new(name).expect("valid")).to_vec();
        Collect::start(&Setup {
            players,
            seed,
            tick: Duration::from_millis(50),
            mode: "duel".into(),
        })
    }

    fn towards(game: &Collect, seat: Seat) -> Input {
        let (at, to) = (game.runners[seat].at, game.targets[0]);
        Input {
            direction: Direction {
                x: f64::from(to.x - at.x),
                y: f64::from(to.y - at.y),
            },
        }
    }

    #[test]
    fn a_player_that_runs_to_targets_wins_and_the_other_does_not() {
        let mut game = start(7);
        let mut ticks = 0;
        loop {
            let input = towards(&game, 1);
            game.input(1, input).expect("finite");
            ticks += 1;
            if game.tick() == Progress::Over {
                break;
            }
            assert!(ticks < 2_000, "somebody must have won by now");
        }
        assert_eq!(game.result().winner, ClientId::new("bob").ok());
    }

    #[test]
    fn a_longer_direction_does_not_make_a_player_faster() {
        let mut game = start(1);
        game.runners[0].at = Position { x: 500, y: 500 };
        game.input(
            0,
            Input {
                direction: Direction { x: 1e300, y: 0.0 },
            },
        )
        .expect("finite");
        game.tick();
        assert_eq!(game.runners[0].at, Position { x: 520, y: 500 });
        assert!(
            game.input(
                0,
                Input {
                    direction: Direction { x: f64::NAN, y: 0.0 }
                }
            )
            .is_err()
        );
    }

    #[test]
    fn a_player_who_left_cannot_win_and_equal_points_have_no_winner() {
        let mut game = start(1);
        assert_eq!(game.result().winner, None);
        game.runners[0].points = 3;
        game.leave(0);
        assert_eq!(game.result().winner, ClientId::new("bob").ok());
        assert_eq!(game.state().players.len(), 1);
    }

    proptest! {
        #[test]
        fn the_same_seed_and_inputs_give_the_same_match_and_nobody_leaves_the_field(
            seed: u64,
            inputs in prop::collection::vec((0..2_usize, -1.0..1.0_f64, -1.0..1.0_f64), 0..200),
        ) {
            let (mut one, mut two) = (start(seed), start(seed));
            for (seat, x, y) in inputs {
                let input = Input { direction: Direction { x, y } };
                for game in [&mut one, &mut two] {
                    game.input(seat, input).expect("finite");
                    game.tick();
                }
                prop_assert_eq!(one.state(), two.state());
                prop_assert!(one.state().players.iter().all(|p| (0..=FIELD).contains(&p.x) && (0..=FIELD).contains(&p.y)));
            }
            prop_assert_eq!(one.result(), two.result());
        }
    }
}
