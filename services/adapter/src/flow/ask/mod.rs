//! Events and requests to other servers and to clients, and the search for a client's servers. Knows the four other folders.

pub(crate) mod client_requests;
pub(crate) mod holders;
pub(crate) mod request_options;
pub(crate) mod requests;
pub(crate) mod target;
pub(crate) mod targets;
