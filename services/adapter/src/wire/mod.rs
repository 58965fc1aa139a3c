//! What travels between servers: names, topics, payloads, frames, envelopes. Pure values; knows nothing of the other
//! folders.

mod names;

mod context;

mod topic;

mod payload;

mod refusal;

mod missing;

mod frame;

mod compress;
mod entries;
mod envelope;
mod msgpack;
mod writer;

mod channels;

mod hash;

mod runs;

pub(crate) use channels::Channels;
pub use channels::Routing;
pub(crate) use compress::compress;
pub use context::ClientContext;
pub(crate) use context::raw_json;
pub(crate) use entries::DecodeError;
pub(crate) use envelope::{Body, Envelope, FromChannel, Identity, Wm};
pub use frame::Frame;
pub(crate) use hash::stable_hash;
pub use missing::Missing;
pub use names::{
    ClientId, ClusterId, Instance, MAX_NAME_BYTES, NameError, Namespace, NodeId, Room, RoomId, ServerName, ServiceName,
};
pub use payload::{Encoding, Payload, PayloadError};
pub use refusal::Refusal;
pub(crate) use runs::{RunId, Runs};
pub use topic::Topic;
