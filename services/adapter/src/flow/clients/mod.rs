//! This server's own clients, and the channels that it subscribes to for them. Knows `state`.

pub(crate) mod local_clients;
pub(crate) mod subscriptions;
