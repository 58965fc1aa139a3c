//! Several lobbies on a bus that delays, reorders between senders, and loses replies; servers come, are stopped, and die.
//! Whatever happens, no player is in two matches, and no ticket is lost without its player being told.

mod action;
mod steps;
mod world;

use proptest::prelude::*;

use action::{MODES, action};
use world::World;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn nobody_plays_twice_and_no_ticket_is_lost(actions in prop::collection::vec(action(), 1..250)) {
        let mut world = World::new();
        for action in actions {
            world.act(action);
        }
        world.settle();
        prop_assert!(world.stopped.is_empty(), "{:?} never got rid of their tickets", world.stopped);
        prop_assert!(world.lobbies.values().all(|lobby| lobby.forming() == 0));
        world.miss();
        let places = world.places();
        for lost in world.waiting.keys().filter(|place| !places.contains(place)) {
            prop_assert!(false, "lost: {:?}", lost);
        }
        for mode in MODES {
            let left = world.waiting.keys().filter(|(_, name)| name == mode.0).count();
            prop_assert!(left < mode.1, "{} players wait for {}", left, mode.0);
        }
    }
}
