//! Calls to backends: programs of any language that take events over HTTP.
//!
//! The way of a call: `backend` (limits and starts it) → `breaker` → `retries` → `exchange` (one request) → `client` (the
//! connections). Every call ends within its time, with a bounded answer, and leaves nothing behind when it is dropped. Calls run
//! on the runtime that the ws-node was started on, never on a shard's thread. Nothing here knows sessions, clients' events
//! or rules, and no secret, payload or answer is logged.

mod answer;
mod backend;
mod breaker;
mod client;
mod destination;
mod event;
mod exchange;
mod metrics;
mod retries;
mod shared;
mod signature;
mod trace;

#[cfg(test)]
mod tests;

pub(crate) use answer::{Answer, Failure};
pub(crate) use backend::Backend;
pub(crate) use destination::{BreakerLimits, Destination, MAX_IN_FLIGHT, MAX_REPLY_BYTES};
pub(crate) use event::CloudEvent;
pub(crate) use metrics::BackendMetrics;
pub(crate) use shared::Shared;
