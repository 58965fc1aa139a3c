//! How much one client, one address and all together may use of this server: pure rules and counts. They are applied before
//! the upgrade in `http`, and per frame in `session`.

mod capacity;
mod door;
pub(crate) mod settings;
mod unauthenticated;

pub(crate) use capacity::Capacity;
pub(crate) use door::{Door, Permit, Turned};
pub use settings::Limits;
pub(crate) use unauthenticated::{UnauthenticatedPermit, UnauthenticatedPermits};
pub(crate) use wsmesh_tokens::{Failures, Meter, Rate};
