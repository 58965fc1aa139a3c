//! Servers, clients, rooms and events over several plain Redis nodes used only for pub/sub.
mod adapter;
mod error;
mod local;
mod nodes;
mod options;
mod wire;

pub use adapter::*;
pub use error::*;
pub use local::*;
pub use nodes::*;
pub use options::{Bus, Options};
pub use wire::*;
