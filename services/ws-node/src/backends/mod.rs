//! Calls to backends: programs of any language that take events over HTTP.
//!
//! `backend` sends an event or a batch and returns what was answered, or the kind of failure; every call ends within its time,
//! with a bounded answer. Calls run on the runtime that the ws-node was started on, never on a shard's thread. Nothing here
//! knows sessions, events of clients or rules, and no address, secret, payload or answer is logged.

mod answer;
mod backend;
mod client;
mod destination;
mod event;
mod metrics;

pub(crate) use answer::{Answer, Failure};
pub(crate) use backend::{Backend, Shared};
pub(crate) use destination::{Destination, MAX_IN_FLIGHT, MAX_REPLY_BYTES};
pub(crate) use event::CloudEvent;
pub(crate) use metrics::BackendMetrics;
