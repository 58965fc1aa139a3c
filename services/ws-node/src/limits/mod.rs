//! How much one client, one address and all together may use of this server: pure rules and counts. They are applied before
//! the upgrade in `http`, and per frame in `session`.

mod address;
mod door;
mod failures;
mod meter;
mod room;
mod waiting;

pub(crate) use address::client_address;
pub(crate) use door::{Door, Permit, Turned};
pub(crate) use failures::Failures;
pub(crate) use meter::{Meter, Rate};
pub(crate) use room::Room;
pub(crate) use waiting::{WaitingPermit, WaitingPermits};
