//! What can be sent to a collector, and how the variables for each are called.

/// Traces, metrics or logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Traces,
    Metrics,
    Logs,
}

impl Signal {
    /// In names of variables: `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`.
    pub(crate) fn variable(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Metrics => "METRICS",
            Self::Logs => "LOGS",
        }
    }

    /// In sentences.
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }

    /// Where a collector takes it.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Traces => "/v1/traces",
            Self::Metrics => "/v1/metrics",
            Self::Logs => "/v1/logs",
        }
    }

    /// Its variables in milliseconds, which the SDK ignores if they are wrong.
    pub(crate) fn milliseconds(self) -> &'static [&'static str] {
        match self {
            Self::Traces => &["OTEL_BSP_SCHEDULE_DELAY", "OTEL_BSP_EXPORT_TIMEOUT"],
            Self::Metrics => &["OTEL_METRIC_EXPORT_INTERVAL", "OTEL_METRIC_EXPORT_TIMEOUT"],
            Self::Logs => &["OTEL_BLRP_SCHEDULE_DELAY", "OTEL_BLRP_EXPORT_TIMEOUT"],
        }
    }

    /// Its counts that must be at least 1.
    pub(crate) fn counts(self) -> &'static [&'static str] {
        match self {
            Self::Traces => &["OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"],
            Self::Metrics => &[],
            Self::Logs => &["OTEL_BLRP_MAX_QUEUE_SIZE", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE"],
        }
    }

    /// Its counts that may be 0.
    pub(crate) fn limits(self) -> &'static [&'static str] {
        match self {
            Self::Traces => &[
                "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
                "OTEL_SPAN_EVENT_COUNT_LIMIT",
                "OTEL_SPAN_LINK_COUNT_LIMIT",
            ],
            Self::Metrics | Self::Logs => &[],
        }
    }

    /// Its variables with one possible value.
    pub(crate) fn fixed(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Metrics => &[
                ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "cumulative"),
                (
                    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
                    "explicit_bucket_histogram",
                ),
            ],
            Self::Traces | Self::Logs => &[],
        }
    }
}
