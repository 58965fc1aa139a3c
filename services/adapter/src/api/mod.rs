//! The public methods, by subject: the cheap handle, clients and rooms, events and requests, channels, queries.

pub(crate) mod adapter;
pub(crate) mod attachment;
pub(crate) mod channels;
pub(crate) mod clients;
pub(crate) mod event;
pub(crate) mod gather;
pub(crate) mod requests;
