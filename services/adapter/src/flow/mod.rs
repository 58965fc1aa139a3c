//! The way of a message: out through a node that everyone concerned hears, or waiting for one; in from a node to clients,
//! listeners and requests. Knows `wire`, `local`, `cluster` and `nodes`; nothing here knows `life` or `api`.

pub(crate) mod state;

pub(crate) mod outward;

pub(crate) mod clients;

pub(crate) mod inward;

pub(crate) mod ask;

pub(crate) mod catchup;
pub(crate) mod inbound;
pub(crate) mod spans;

pub(crate) mod parts;
