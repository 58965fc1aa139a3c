//! Every metric of the edge, by subject; those of connections are the engine's, those of calls to backends are in `backends`, those of
//! events in `event_metrics`.
//! Labels are bounded; none names a client, a room or an address.

mod entry;
mod frames;
mod hook;
mod logins;
mod names;
mod refusals;
mod report;

use prometheus::{
    IntCounter, IntGauge, Registry, register_int_counter_with_registry, register_int_gauge_with_registry,
};

pub(crate) use entry::{EntryMetrics, Rejected};
pub(crate) use frames::{Denied, FrameMetrics, HandlerFailure, Limited, Received};
pub(crate) use hook::{HookMetrics, HookOutcome};
pub(crate) use logins::{LoginMetrics, LoginOutcome};
pub use names::METRIC_NAMES;
pub(crate) use refusals::RefusalMetrics;

use crate::backends::BackendMetrics;
use crate::engine;
use crate::event_metrics::EventMetrics;
use crate::lifecycle::LifecycleMetrics;

/// Handles of all metrics; clones count the same ones.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub(crate) engine: engine::Metrics,
    pub(crate) backends: BackendMetrics,
    pub(crate) frames: FrameMetrics,
    pub(crate) events: EventMetrics,
    pub(crate) entry: EntryMetrics,
    pub(crate) logins: LoginMetrics,
    pub(crate) hook: HookMetrics,
    pub(crate) lifecycle: LifecycleMetrics,
    pub(crate) wills_carried_out: IntCounter,
    pub(crate) connections_limit: IntGauge,
    pub(crate) draining: IntGauge,
}

impl Metrics {
    /// Registers all of them.
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let (frames, sent) = FrameMetrics::register(registry)?;
        Ok(Self {
            engine: engine::Metrics::register(registry, sent)?,
            backends: BackendMetrics::register(registry)?,
            frames,
            events: EventMetrics::register(registry)?,
            entry: EntryMetrics::register(registry)?,
            logins: LoginMetrics::register(registry)?,
            hook: HookMetrics::register(registry)?,
            lifecycle: LifecycleMetrics::register(registry)?,
            wills_carried_out: register_int_counter_with_registry!(
                "wsmesh_wills_carried_out_total",
                "Messages that clients got because a server that held state for them was lost.",
                registry
            )?,
            connections_limit: register_int_gauge_with_registry!(
                "wsmesh_connections_limit",
                "Most connections at once: as the settings say, or fewer if the process may not have so many files.",
                registry
            )?,
            draining: register_int_gauge_with_registry!(
                "wsmesh_draining",
                "1 while this server sends its clients away.",
                registry
            )?,
        })
    }
}
