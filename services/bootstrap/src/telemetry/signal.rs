//! What can be sent to a collector, and how the variables for each are called.

/// Most places of a queue, and so also of a batch: each takes memory from the start.
const MAX_ITEMS: u32 = 1_000_000;
/// Shortest time between two pushes of metrics: gathering them takes a while.
const MIN_INTERVAL_MS: u32 = 1_000;

/// Traces, metrics or logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Traces,
    Metrics,
    Logs,
}

/// A variable that is a whole number.
#[derive(Debug)]
pub(crate) struct Number {
    pub(crate) name: &'static str,
    /// `milliseconds as` or nothing.
    unit: &'static str,
    bounds: (u32, u32),
}

impl Number {
    /// A time, at least so long.
    pub(super) const fn milliseconds(name: &'static str, least: u32) -> Self {
        Self {
            name,
            unit: "milliseconds as ",
            bounds: (least, u32::MAX),
        }
    }

    const fn count(name: &'static str, least: u32, most: u32) -> Self {
        Self {
            name,
            unit: "",
            bounds: (least, most),
        }
    }

    /// What to write in place of this text, if it is wrong.
    pub(super) fn correction(&self, text: &str) -> Option<String> {
        let (least, most) = self.bounds;
        let fits = text.parse().is_ok_and(|number| (least..=most).contains(&number));
        let at_most = match most {
            u32::MAX => String::new(),
            most => format!(" and at most {most}"),
        };
        (!fits).then(|| format!("{}a whole number, at least {least}{at_most}", self.unit))
    }
}

const OF_TRACES: &[Number] = &[
    Number::milliseconds("OTEL_BSP_SCHEDULE_DELAY", 1),
    Number::milliseconds("OTEL_BSP_EXPORT_TIMEOUT", 1),
    Number::count("OTEL_BSP_MAX_QUEUE_SIZE", 1, MAX_ITEMS),
    Number::count("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 1, MAX_ITEMS),
    Number::count("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", 0, u32::MAX),
    Number::count("OTEL_SPAN_EVENT_COUNT_LIMIT", 0, u32::MAX),
    Number::count("OTEL_SPAN_LINK_COUNT_LIMIT", 0, u32::MAX),
];

const OF_METRICS: &[Number] = &[
    Number::milliseconds("OTEL_METRIC_EXPORT_INTERVAL", MIN_INTERVAL_MS),
    Number::milliseconds("OTEL_METRIC_EXPORT_TIMEOUT", 1),
];

const OF_LOGS: &[Number] = &[
    Number::milliseconds("OTEL_BLRP_SCHEDULE_DELAY", 1),
    Number::milliseconds("OTEL_BLRP_EXPORT_TIMEOUT", 1),
    Number::count("OTEL_BLRP_MAX_QUEUE_SIZE", 1, MAX_ITEMS),
    Number::count("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", 1, MAX_ITEMS),
];

impl Signal {
    pub(crate) const ALL: [Self; 3] = [Self::Traces, Self::Metrics, Self::Logs];

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

    /// The variable with the longest time of one export, which the SDK ignores.
    pub(crate) fn export_timeout(self) -> &'static str {
        match self {
            Self::Traces => "OTEL_BSP_EXPORT_TIMEOUT",
            Self::Metrics => "OTEL_METRIC_EXPORT_TIMEOUT",
            Self::Logs => "OTEL_BLRP_EXPORT_TIMEOUT",
        }
    }

    /// Its variables that are numbers. The SDK ignores them if they are wrong.
    pub(crate) fn numbers(self) -> &'static [Number] {
        match self {
            Self::Traces => OF_TRACES,
            Self::Metrics => OF_METRICS,
            Self::Logs => OF_LOGS,
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
