//! The metrics of connections and of what is written to them.

use std::time::Duration;

use prometheus::{
    Histogram, IntCounter, IntCounterVec, IntGauge, Registry, register_histogram_with_registry,
    register_int_counter_vec_with_registry, register_int_counter_with_registry, register_int_gauge_with_registry,
};
use wsmesh_adapter::Spared;
use wsmesh_protocol::CloseCode;

use super::ending::Ending;
use super::slow::SlowClients;

/// Handles of the metrics; clones count the same ones.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub(crate) connections: IntGauge,
    /// What waits for all clients of all shards. Shows it only: nothing is decided by it.
    pub(crate) outboxes: IntGauge,
    pub(crate) slow_clients_closed: IntCounter,
    pub(crate) accepted: IntCounter,
    pub(crate) closed: IntCounterVec,
    handshake: Histogram,
    duration: Histogram,
    ping_rtt: Histogram,
    pub(crate) sent: IntCounter,
    pub(crate) bytes_in: IntCounter,
    pub(crate) bytes_out: IntCounter,
    replaced: IntCounter,
    dropped: IntCounter,
    /// The clients that read too slowly now.
    pub(crate) slow: SlowClients,
}

impl Metrics {
    /// Registers them. `sent` counts the frames that are written: its family also counts what handlers make of frames.
    pub(crate) fn register(registry: &Registry, sent: IntCounter) -> prometheus::Result<Self> {
        let bytes = register_int_counter_vec_with_registry!(
            "wsmesh_frame_bytes_total",
            "Bytes of client frames.",
            &["direction"],
            registry
        )?;
        let spared = register_int_counter_vec_with_registry!(
            "wsmesh_outbox_frames_spared_total",
            "Frames that slow clients did not get, by delivery rules that allow it.",
            &["how"],
            registry
        )?;
        Ok(Self {
            connections: register_int_gauge_with_registry!("wsmesh_connections", "Open client connections.", registry)?,
            outboxes: register_int_gauge_with_registry!(
                "wsmesh_outbox_bytes",
                "Bytes that wait for clients; a frame counts for each client that it waits for, so the memory may be less.",
                registry
            )?,
            slow_clients_closed: register_int_counter_with_registry!(
                "wsmesh_slow_clients_closed_total",
                "Clients that were closed because they read too slowly.",
                registry
            )?,
            accepted: register_int_counter_with_registry!(
                "wsmesh_connections_accepted_total",
                "Connections that were upgraded.",
                registry
            )?,
            closed: register_int_counter_vec_with_registry!(
                "wsmesh_connections_closed_total",
                "Connections that ended, by close code (none: it broke).",
                &["code", "initiator"],
                registry
            )?,
            handshake: register_histogram_with_registry!(
                "wsmesh_handshake_duration_seconds",
                "From the upgrade request to the session.",
                vec![0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0],
                registry
            )?,
            duration: register_histogram_with_registry!(
                "wsmesh_connection_duration_seconds",
                "How long a connection lasted.",
                vec![1.0, 10.0, 60.0, 600.0, 3600.0, 21_600.0, 86_400.0],
                registry
            )?,
            ping_rtt: register_histogram_with_registry!(
                "wsmesh_ping_rtt_seconds",
                "From a WebSocket ping to its pong.",
                vec![0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0],
                registry
            )?,
            sent,
            bytes_in: bytes.with_label_values(&["in"]),
            bytes_out: bytes.with_label_values(&["out"]),
            replaced: spared.with_label_values(&["replaced"]),
            dropped: spared.with_label_values(&["dropped"]),
            slow: SlowClients::default(),
        })
    }

    /// A connection was upgraded and its session starts.
    pub(super) fn opened(&self, handshake: Duration) {
        self.accepted.inc();
        self.connections.inc();
        self.handshake.observe(handshake.as_secs_f64());
    }

    /// A session ended.
    pub(super) fn closed(&self, ending: &Ending, lasted: Duration) {
        let code = match ending.code {
            None => "none".to_owned(),
            Some(code) if CloseCode::is_assigned(code) => code.to_string(),
            Some(_) => "other".to_owned(),
        };
        let initiator = ending.initiator.as_str();
        self.closed.with_label_values(&[code.as_str(), initiator]).inc();
        self.connections.dec();
        self.duration.observe(lasted.as_secs_f64());
    }

    /// A pong came for a ping.
    pub(super) fn ponged(&self, after: Duration) {
        self.ping_rtt.observe(after.as_secs_f64());
    }

    /// Frames that slow clients did not get.
    pub(super) fn spared(&self, spared: Spared) {
        if spared != Spared::default() {
            self.replaced.inc_by(spared.replaced);
            self.dropped.inc_by(spared.dropped);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::ending::Initiator;
    use super::*;

    #[test]
    fn any_close_code_of_a_client_is_counted_under_a_bounded_label() {
        let sent = IntCounter::new("sent", "Frames.").expect("a counter");
        let metrics = Metrics::register(&Registry::new(), sent).expect("registers");
        for code in 4020..4999 {
            let ending = Ending {
                code: Some(code),
                initiator: Initiator::Client,
                reason: Arc::default(),
            };
            metrics.closed(&ending, Duration::from_secs(1));
        }
        assert_eq!(metrics.closed.with_label_values(&["other", "client"]).get(), 979);
    }
}
