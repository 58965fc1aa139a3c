//! Metrics of what clients send: frames by kind, and those that are rejected.

use prometheus::{
    IntCounter, IntCounterVec, Registry, register_int_counter_vec_with_registry, register_int_counter_with_registry,
};
use tokio::task::JoinError;

use super::refusals::RefusalMetrics;

/// Which limit a client reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limited {
    /// It sends too fast: a frame was rejected.
    Events,
    /// It did not stop: it was disconnected.
    Flood,
    /// It is in too many rooms.
    Rooms,
    /// It shows new tokens too often.
    Refreshes,
    /// It publishes too fast.
    Publish,
    /// It publishes too much at once.
    PublishBytes,
}

/// A wish of a client that its token, or the settings, do not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    Event,
    Room,
    Publish,
}

/// Why a handler of the program did not come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandlerFailure {
    Panicked,
    TooLate,
    /// Its runtime has ended.
    Ended,
}

impl HandlerFailure {
    pub(crate) fn of(error: &JoinError) -> Self {
        if error.is_panic() { Self::Panicked } else { Self::Ended }
    }
}

/// Kind of a client's frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    Event,
    Request,
    Answer,
    Heartbeat,
    Ping,
    Pong,
    Unknown,
    Invalid,
}

/// Handles of the metrics; clones count the same ones.
#[derive(Debug, Clone)]
pub(crate) struct FrameMetrics {
    received: [IntCounter; RECEIVED.len()],
    pub(crate) refused_requests: RefusalMetrics,
    pub(crate) published: IntCounter,
    denied: IntCounterVec,
    limited: IntCounterVec,
    handler_failures: IntCounterVec,
}

const RECEIVED: [(Received, &str); 8] = [
    (Received::Event, "event"),
    (Received::Request, "request"),
    (Received::Answer, "answer"),
    (Received::Heartbeat, "heartbeat"),
    (Received::Ping, "ping"),
    (Received::Pong, "pong"),
    (Received::Unknown, "unknown"),
    (Received::Invalid, "invalid"),
];

impl FrameMetrics {
    /// Registers them. Also returns the counter of the frames that are sent to clients.
    pub(super) fn register(registry: &Registry) -> prometheus::Result<(Self, IntCounter)> {
        let frames = register_int_counter_vec_with_registry!(
            "wsmesh_frames_total",
            "Frames of clients.",
            &["direction", "kind"],
            registry
        )?;
        let metrics = Self {
            received: RECEIVED.map(|(_, kind)| frames.with_label_values(&["in", kind])),
            refused_requests: RefusalMetrics::register(registry)?,
            published: register_int_counter_with_registry!(
                "wsmesh_client_messages_published_total",
                "Messages that clients published to rooms, once the other servers get them.",
                registry
            )?,
            handler_failures: register_int_counter_vec_with_registry!(
                "wsmesh_handler_failures_total",
                "Handlers of the program that did not come to their end.",
                &["reason"],
                registry
            )?,
            denied: register_int_counter_vec_with_registry!(
                "wsmesh_client_denied_total",
                "Events, joins and publishing of clients that their token, or the settings, do not allow.",
                &["what"],
                registry
            )?,
            limited: register_int_counter_vec_with_registry!(
                "wsmesh_client_limits_reached_total",
                "Times that a client reached a limit (events: a frame was rejected; flood: it was disconnected).",
                &["limit"],
                registry
            )?,
        };
        metrics.begin();
        Ok((metrics, frames.with_label_values(&["out", "text"])))
    }

    /// A rate needs a series that was there before.
    fn begin(&self) {
        for what in ["event", "room", "publish"] {
            self.denied.with_label_values(&[what]);
        }
        for reason in ["panic", "timeout", "ended"] {
            self.handler_failures.with_label_values(&[reason]);
        }
        for limit in ["events", "flood", "rooms", "refreshes", "publish", "publish_bytes"] {
            self.limited.with_label_values(&[limit]);
        }
    }

    /// A frame of this kind came from a client.
    pub(crate) fn received(&self, kind: Received) {
        self.received[kind as usize].inc();
    }

    /// Frames of all kinds so far.
    pub(super) fn received_in_all(&self) -> u64 {
        self.received.iter().map(IntCounter::get).sum()
    }

    /// A client wanted something that it may not do.
    pub(crate) fn denied(&self, what: Denied) {
        let what = match what {
            Denied::Event => "event",
            Denied::Room => "room",
            Denied::Publish => "publish",
        };
        self.denied.with_label_values(&[what]).inc();
    }

    /// A handler did not come to its end.
    pub(crate) fn handler_failed(&self, failure: HandlerFailure) {
        let reason = match failure {
            HandlerFailure::Panicked => "panic",
            HandlerFailure::TooLate => "timeout",
            HandlerFailure::Ended => "ended",
        };
        self.handler_failures.with_label_values(&[reason]).inc();
    }

    /// A client reached a limit.
    pub(crate) fn limited(&self, limit: Limited) {
        let limit = match limit {
            Limited::Events => "events",
            Limited::Flood => "flood",
            Limited::Rooms => "rooms",
            Limited::Refreshes => "refreshes",
            Limited::Publish => "publish",
            Limited::PublishBytes => "publish_bytes",
        };
        self.limited.with_label_values(&[limit]).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_of_frame_counts_under_its_own_label() {
        for (index, (kind, _)) in RECEIVED.iter().enumerate() {
            assert_eq!(*kind as usize, index);
        }
    }
}
