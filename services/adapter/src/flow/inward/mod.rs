//! What arrives for listeners, the adapter's own questions, and the way back to the server that asks. Knows `state` and `outward`.

pub(crate) mod answers;
pub(crate) mod client_data;
pub(crate) mod dispatch;
pub(crate) mod event;
pub(crate) mod preflight;
pub(crate) mod queries;
pub(crate) mod wanted;
