//! How long things take: the long run with the adapter's default settings, the short one in a few seconds.

use std::time::Duration;

use crate::plan::Plan;

/// A time span of a fault script, in both runs.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// Seconds in the long run.
    pub long: f64,
    /// Seconds in the short run.
    pub short: f64,
}

/// A span of a fault script: seconds in the long run, seconds in the short one.
pub const fn span(long: f64, short: f64) -> Span {
    Span { long, short }
}

/// How fast a run goes.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Whether it is the short run.
    pub short: bool,
    /// Messages a second, of all servers together.
    pub rate: u32,
    /// Whether to use the adapter's default settings even in the short run.
    pub default_settings: bool,
}

impl Pace {
    /// The pace of a scenario; the plan says how much load, unless `rate` does.
    pub fn new(plan: &Plan, short: bool, rate: Option<u32>) -> Self {
        let (long_rate, short_rate) = plan.rate;
        Self {
            short,
            rate: rate.unwrap_or(if short { short_rate } else { long_rate }),
            default_settings: plan.default_settings,
        }
    }

    /// The length of a span of a script.
    pub fn of(self, span: Span) -> Duration {
        Duration::from_secs_f64(if self.short { span.short } else { span.long })
    }

    fn setting(self, default_s: f64, short_s: f64) -> Duration {
        let short = self.short && !self.default_settings;
        Duration::from_secs_f64(if short { short_s } else { default_s })
    }

    /// How often servers probe their nodes: the adapter's default in the long run.
    pub fn probe(self) -> Duration {
        self.setting(1.0, 0.2)
    }

    /// The promised window: the adapter's default in the long run.
    pub fn window(self) -> Duration {
        self.setting(6.0, 2.0)
    }

    /// Longest wait for an answer: long enough for a node's end to be noticed and a request to be sent again.
    pub fn request(self) -> Duration {
        self.setting(12.0, 6.0)
    }

    /// Load before the first fault.
    pub fn lead_in(self) -> Duration {
        self.of(span(5.0, 1.0))
    }

    /// Load after the last fault.
    pub fn tail(self) -> Duration {
        self.of(span(10.0, 2.5))
    }

    /// When nothing arrived for this long, nothing will. Longer than it takes to notice that a node is silent and to ask again
    /// after a missing answer.
    pub fn quiet(self) -> Duration {
        self.of(span(5.0, 1.5))
            .max(4 * self.probe() + Duration::from_millis(2500))
    }

    /// A message is owed only if sender and receiver live this long after it.
    pub fn horizon(self) -> Duration {
        self.of(span(20.0, 7.0))
    }

    /// The time around a cut-off in which it has effects: until it is noticed, and until everything works again.
    pub fn slack(self) -> Duration {
        4 * self.probe() + Duration::from_secs(3)
    }
}
