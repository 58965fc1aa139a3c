//! The public methods, by subject: the cheap handle, clients and rooms, events and requests, channels, queries, nodes.

pub(crate) mod adapter;

pub(crate) mod attachment;
pub(crate) mod clients;
pub(crate) mod reach;

pub(crate) mod client_requests;
pub(crate) mod events;
pub(crate) mod requests;
pub(crate) mod ws_nodes;

pub(crate) mod contexts;

pub(crate) mod channels;
pub(crate) mod gather;
pub(crate) mod preflight;
pub(crate) mod topology;
