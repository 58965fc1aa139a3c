//! What may happen: players ask and leave, messages arrive or lose their replies, servers come, stop and die.

use proptest::prelude::*;

pub(super) const MODES: [(&str, usize); 3] = [("duel", 2), ("trio", 3), ("arena", 4)];

/// What happens in one step.
#[derive(Debug, Clone)]
pub(super) enum Action {
    Request { client: u8, at: u8, mode: u8 },
    Cancel { client: u8, at: u8 },
    Close { client: u8 },
    Deliver { which: u8, reply_lost: bool },
    Round { at: u8 },
    SeeRoster { at: u8 },
    Come,
    Stop { which: u8 },
    Kill { which: u8, unsent: u8 },
    Miss,
    EndMatch { which: u8 },
}

/// Any action, the usual ones more often.
pub(super) fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => (0..12_u8, any::<u8>(), 0..3_u8).prop_map(|(client, at, mode)| Action::Request { client, at, mode }),
        1 => (0..12_u8, any::<u8>()).prop_map(|(client, at)| Action::Cancel { client, at }),
        1 => (0..12_u8).prop_map(|client| Action::Close { client }),
        12 => (any::<u8>(), prop::bool::weighted(0.1)).prop_map(|(which, reply_lost)| Action::Deliver { which, reply_lost }),
        6 => any::<u8>().prop_map(|at| Action::Round { at }),
        3 => any::<u8>().prop_map(|at| Action::SeeRoster { at }),
        1 => Just(Action::Come),
        1 => any::<u8>().prop_map(|which| Action::Stop { which }),
        1 => (any::<u8>(), 0..4_u8).prop_map(|(which, unsent)| Action::Kill { which, unsent }),
        1 => Just(Action::Miss),
        1 => any::<u8>().prop_map(|which| Action::EndMatch { which }),
    ]
}
