//! The way of a message: out through a node, in from one, and what happens when no node takes it.

pub(crate) mod catchup;
pub(crate) mod choices;
pub(crate) mod client_requests;
pub(crate) mod inbound;
pub(crate) mod outage;
pub(crate) mod outbound;
pub(crate) mod targets;
pub(crate) mod waiting;
