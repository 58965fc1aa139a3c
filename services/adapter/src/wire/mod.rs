//! What travels: names, topics, payloads, frames, envelopes. Pure values; knows nothing of the other folders.

mod envelope;
mod frame;
mod names;
mod payload;
mod topic;

pub(crate) use envelope::{Body, Channels, Envelope, Identity, Wm};
pub use frame::Frame;
pub use names::{
    ClientId, Instance, MAX_NAME_CHARS, NameError, Namespace, NodeId, Room, RoomId, ServerName,
    ServiceName,
};
pub use payload::{Encoding, Payload, PayloadError};
pub use topic::Topic;
