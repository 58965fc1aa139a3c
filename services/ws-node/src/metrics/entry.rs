//! Metrics of clients on their way in: rejected upgrades, authentication, tickets.

use prometheus::{
    IntCounterVec, IntGauge, Registry, register_int_counter_vec_with_registry, register_int_gauge_with_registry,
};

/// Why a connection was rejected before the upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejected {
    /// The handshake breaks RFC 6455, or the client id is not valid.
    BadRequest,
    /// The token is missing or wrong.
    Unauthorized,
    /// A page of this origin may not connect.
    Origin,
    /// The connect hook does not let this client in.
    Forbidden,
    /// The connect hook did not say whether this client may connect.
    Hook,
    /// This server is shutting down.
    Draining,
    /// This server cannot tell yet which clients may connect.
    NotReady,
    /// This server has reached its limit of clients.
    Full,
    /// Its address has reached its limit of connections.
    Crowded,
    /// Too many connections came at once.
    Rushed,
    /// Too many clients of its address failed to authenticate.
    Failing,
    /// Another connection took its slot before it had sent its request.
    GaveWay,
}

impl Rejected {
    const ALL: [Self; 12] = [
        Self::BadRequest,
        Self::Unauthorized,
        Self::Origin,
        Self::Forbidden,
        Self::Hook,
        Self::Draining,
        Self::NotReady,
        Self::Full,
        Self::Crowded,
        Self::Rushed,
        Self::Failing,
        Self::GaveWay,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::Unauthorized => "unauthorized",
            Self::Origin => "origin",
            Self::Forbidden => "forbidden",
            Self::Hook => "hook",
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

/// Handles of the metrics; clones count the same ones.
#[derive(Debug, Clone)]
pub(crate) struct EntryMetrics {
    rejected: IntCounterVec,
    auth_failures: IntCounterVec,
    jwks_fetches: IntCounterVec,
    pub(crate) tickets: IntGauge,
    pub(crate) unauthenticated: IntGauge,
}

impl EntryMetrics {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            rejected: register_int_counter_vec_with_registry!(
                "wsmesh_connections_rejected_total",
                "Connections that were rejected before the upgrade.",
                &["reason"],
                registry
            )?,
            auth_failures: register_int_counter_vec_with_registry!(
                "wsmesh_auth_failures_total",
                "Tokens and tickets that were rejected, before or in a connection, by reason.",
                &["reason"],
                registry
            )?,
            jwks_fetches: register_int_counter_vec_with_registry!(
                "wsmesh_jwks_fetches_total",
                "Fetches of the keys that tokens are verified with.",
                &["result"],
                registry
            )?,
            tickets: register_int_gauge_with_registry!(
                "wsmesh_tickets",
                "One-time tickets that were issued here and not used yet.",
                registry
            )?,
            unauthenticated: register_int_gauge_with_registry!(
                "wsmesh_unauthenticated_connections",
                "Connections that wait for the first message, which authenticates the client.",
                registry
            )?,
        };
        metrics.begin();
        Ok(metrics)
    }

    /// A rate needs a series that was there before.
    fn begin(&self) {
        for why in Rejected::ALL {
            self.rejected.with_label_values(&[why.as_str()]);
        }
        for reason in ["no_token", "bad_token", "expired", "bad_ticket"] {
            self.auth_failures.with_label_values(&[reason]);
        }
        for result in ["ok", "failed"] {
            self.jwks_fetches.with_label_values(&[result]);
        }
    }

    /// A connection was rejected.
    pub(crate) fn rejected(&self, why: Rejected) {
        self.rejected.with_label_values(&[why.as_str()]).inc();
    }

    /// A token or a ticket was rejected; `reason` is from a bounded set.
    pub(crate) fn auth_failed(&self, reason: &str) {
        self.auth_failures.with_label_values(&[reason]).inc();
    }

    /// Keys were fetched, or not.
    pub(crate) fn jwks_fetched(&self, result: &str) {
        self.jwks_fetches.with_label_values(&[result]).inc();
    }
}
