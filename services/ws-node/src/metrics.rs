//! Every metric of the edge, in one list. Labels are bounded; none names a client, a room or an address.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use wsmesh_adapter::Spared;

use crate::engine::Ending;

/// Why a connection was refused before the upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejected {
    /// The handshake is not one of RFC 6455, or the client id is not acceptable.
    BadRequest,
    /// The token is missing or wrong.
    Unauthorized,
    /// A page of this origin may not connect.
    Origin,
    /// This server is shutting down.
    Draining,
    /// This server cannot tell yet who may come in.
    NotReady,
    /// This server has as many clients as it may have.
    Full,
    /// Its address has.
    Crowded,
    /// Too many came at once.
    Rushed,
    /// Too many of its address could not prove who they are.
    Failing,
    /// It had not sent its request when its place was needed.
    GaveWay,
}

impl Rejected {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::Unauthorized => "unauthorized",
            Self::Origin => "origin",
            Self::Draining => "draining",
            Self::NotReady => "not_ready",
            Self::Full => "full",
            Self::Crowded => "address",
            Self::Rushed => "rate",
            Self::Failing => "failing",
            Self::GaveWay => "gave_way",
        }
    }
}

/// Which limit a client reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limited {
    /// It sends too fast: a frame was refused.
    Events,
    /// It went on: it was closed.
    Flood,
    /// It is in too many rooms.
    Rooms,
    /// It shows new tokens too often.
    Refreshes,
}

/// What a client wanted that its token, or the settings, do not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    Event,
    Room,
}

/// What a client's frame turned out to be.
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

/// What came of a login, or of one that was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoginOutcome {
    /// It was claimed, and no other server held the client.
    Alone,
    /// It was claimed, and others were asked.
    Met,
    /// It was not claimed yet: no node took the claim.
    Retried,
    /// It was closed for newer ones.
    Replaced,
    /// It was refused, or closed, for older ones.
    Refused,
}

/// Handles of all metrics; clones count the same ones.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub(crate) connections: IntGauge,
    pub(crate) accepted: IntCounter,
    rejected: IntCounterVec,
    auth_failures: IntCounterVec,
    jwks_fetches: IntCounterVec,
    pub(crate) tickets: IntGauge,
    pub(crate) unauthenticated: IntGauge,
    denied: IntCounterVec,
    closed: IntCounterVec,
    pub(crate) slow_clients_closed: IntCounter,
    pub(crate) wills_carried_out: IntCounter,
    pub(crate) draining: IntGauge,
    handshake: Histogram,
    duration: Histogram,
    ping_rtt: Histogram,
    received: [IntCounter; RECEIVED.len()],
    pub(crate) sent: IntCounter,
    pub(crate) bytes_in: IntCounter,
    pub(crate) bytes_out: IntCounter,
    pub(crate) refused_requests: IntCounter,
    limited: IntCounterVec,
    replaced: IntCounter,
    dropped: IntCounter,
    logins: IntCounterVec,
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

impl Metrics {
    /// Registers everything.
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let frames = counters(registry, "frames_total", "Frames of clients.", &["direction", "kind"])?;
        let spared = counters(
            registry,
            "outbox_frames_spared_total",
            "Frames that slow clients did not get, by delivery rules that allow it.",
            &["how"],
        )?;
        let bytes = counters(registry, "frame_bytes_total", "Bytes of client frames.", &["direction"])?;
        Ok(Self {
            connections: gauge(registry, "connections", "Open client connections.")?,
            accepted: counter(
                registry,
                "connections_accepted_total",
                "Connections that were upgraded.",
            )?,
            rejected: counters(
                registry,
                "connections_rejected_total",
                "Connections that were refused before the upgrade.",
                &["reason"],
            )?,
            auth_failures: counters(
                registry,
                "auth_failures_total",
                "Tokens and tickets that were refused, before or in a connection, by why.",
                &["reason"],
            )?,
            jwks_fetches: counters(
                registry,
                "jwks_fetches_total",
                "Fetches of the keys that tokens are verified with.",
                &["result"],
            )?,
            tickets: gauge(
                registry,
                "tickets",
                "One-time tickets that were issued here and not used yet.",
            )?,
            unauthenticated: gauge(
                registry,
                "unauthenticated_connections",
                "Connections whose first message is to say who the client is.",
            )?,
            denied: counters(
                registry,
                "client_denied_total",
                "Events and joins of clients that their token, or the settings, do not allow.",
                &["what"],
            )?,
            closed: counters(
                registry,
                "connections_closed_total",
                "Connections that ended, by close code (none: it broke).",
                &["code", "initiator"],
            )?,
            slow_clients_closed: counter(
                registry,
                "slow_clients_closed_total",
                "Clients that were closed because they read too slowly.",
            )?,
            wills_carried_out: counter(
                registry,
                "wills_carried_out_total",
                "Messages that clients got because a server that held state for them was lost.",
            )?,
            draining: gauge(registry, "draining", "1 while this server sends its clients away.")?,
            handshake: histogram(
                registry,
                "handshake_duration_seconds",
                "From the upgrade request to the session.",
                &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0],
            )?,
            duration: histogram(
                registry,
                "connection_duration_seconds",
                "How long a connection lasted.",
                &[1.0, 10.0, 60.0, 600.0, 3600.0, 21_600.0, 86_400.0],
            )?,
            ping_rtt: histogram(
                registry,
                "ping_rtt_seconds",
                "From a WebSocket ping to its pong.",
                &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0],
            )?,
            received: RECEIVED.map(|(_, kind)| frames.with_label_values(&["in", kind])),
            sent: frames.with_label_values(&["out", "text"]),
            bytes_in: bytes.with_label_values(&["in"]),
            bytes_out: bytes.with_label_values(&["out"]),
            refused_requests: counter(
                registry,
                "client_requests_refused_total",
                "Requests of clients that were answered with an error.",
            )?,
            limited: counters(
                registry,
                "client_limits_reached_total",
                "Times that a client reached a limit (events: a frame was refused; flood: it was closed).",
                &["limit"],
            )?,
            replaced: spared.with_label_values(&["replaced"]),
            dropped: spared.with_label_values(&["dropped"]),
            logins: counters(
                registry,
                "logins_total",
                "Logins that were claimed, and those that were closed for others of the same id.",
                &["outcome"],
            )?,
        })
    }

    /// A frame of this kind came from a client.
    pub(crate) fn received(&self, kind: Received) {
        self.received[kind as usize].inc();
    }

    /// Something came of a login.
    pub(crate) fn login(&self, outcome: LoginOutcome) {
        let outcome = match outcome {
            LoginOutcome::Alone => "alone",
            LoginOutcome::Met => "met",
            LoginOutcome::Retried => "retried",
            LoginOutcome::Replaced => "replaced",
            LoginOutcome::Refused => "refused",
        };
        self.logins.with_label_values(&[outcome]).inc();
    }

    /// A connection was refused.
    pub(crate) fn rejected(&self, why: Rejected) {
        self.rejected.with_label_values(&[why.as_str()]).inc();
    }

    /// A client reached a limit.
    pub(crate) fn limited(&self, limit: Limited) {
        let limit = match limit {
            Limited::Events => "events",
            Limited::Flood => "flood",
            Limited::Rooms => "rooms",
            Limited::Refreshes => "refreshes",
        };
        self.limited.with_label_values(&[limit]).inc();
    }

    /// What slow clients were spared.
    pub(crate) fn spared(&self, spared: Spared) {
        if spared != Spared::default() {
            self.replaced.inc_by(spared.replaced);
            self.dropped.inc_by(spared.dropped);
        }
    }

    /// A token or a ticket was refused; `reason` is one of few.
    pub(crate) fn auth_failed(&self, reason: &str) {
        self.auth_failures.with_label_values(&[reason]).inc();
    }

    /// Keys were fetched, or not.
    pub(crate) fn jwks_fetched(&self, result: &str) {
        self.jwks_fetches.with_label_values(&[result]).inc();
    }

    /// A client wanted what it may not do.
    pub(crate) fn denied(&self, what: Denied) {
        let what = match what {
            Denied::Event => "event",
            Denied::Room => "room",
        };
        self.denied.with_label_values(&[what]).inc();
    }

    /// A connection was upgraded and its session starts.
    pub(crate) fn opened(&self, handshake: Duration) {
        self.accepted.inc();
        self.connections.inc();
        self.handshake.observe(handshake.as_secs_f64());
    }

    /// A session ended.
    pub(crate) fn closed(&self, ending: &Ending, lasted: Duration) {
        let code = match ending.code {
            None => "none".to_owned(),
            Some(code @ (1000..=1014 | 4001 | 4002 | 4010..=4015)) => code.to_string(),
            Some(_) => "other".to_owned(),
        };
        let initiator = ending.initiator.as_str();
        self.closed.with_label_values(&[code.as_str(), initiator]).inc();
        self.connections.dec();
        self.duration.observe(lasted.as_secs_f64());
    }

    /// A pong came for a ping.
    pub(crate) fn ponged(&self, after: Duration) {
        self.ping_rtt.observe(after.as_secs_f64());
    }
}

fn name(short: &str) -> String {
    format!("wsmesh_{short}")
}

fn gauge(registry: &Registry, short: &str, help: &str) -> prometheus::Result<IntGauge> {
    let metric = IntGauge::new(name(short), help)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn counter(registry: &Registry, short: &str, help: &str) -> prometheus::Result<IntCounter> {
    let metric = IntCounter::new(name(short), help)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn counters(registry: &Registry, short: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
    let metric = IntCounterVec::new(Opts::new(name(short), help), labels)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn histogram(registry: &Registry, short: &str, help: &str, buckets: &[f64]) -> prometheus::Result<Histogram> {
    let metric = Histogram::with_opts(HistogramOpts::new(name(short), help).buckets(buckets.to_vec()))?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Initiator;

    #[test]
    fn a_kind_of_frame_counts_under_its_own_label() {
        for (index, (kind, _)) in RECEIVED.iter().enumerate() {
            assert_eq!(*kind as usize, index);
        }
    }

    #[test]
    fn any_close_code_of_a_client_is_counted_under_a_bounded_label() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry).expect("registers");
        for code in 4020..4999 {
            let ending = Ending {
                code: Some(code),
                initiator: Initiator::Client,
                reason: None,
            };
            metrics.closed(&ending, Duration::from_secs(1));
        }
        assert_eq!(metrics.closed.with_label_values(&["other", "client"]).get(), 979);
    }
}
