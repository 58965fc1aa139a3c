//! Which messages of clients begin a trace. It is decided before there is a span, so a message that begins none costs nothing.
//!
//! Requests are left to the sampler: they are recorded in any case, because they may fail or be slow. So is what continues a trace of
//! its sender.

use std::sync::atomic::{AtomicU64, Ordering};

/// The attribute of the spans that a chosen message begins with: the sampler takes them without deciding again.
pub(super) const MESSAGE: &str = "wsmesh.message";

/// The share in this process, as bits: all of them until it is known, because who makes the spans may have a sampler of its own.
static SHARE: AtomicU64 = AtomicU64::new(1_f64.to_bits());

/// Whether a client's message that is no request, and continues no trace, is to begin one. Its span has the attribute
/// `wsmesh.message` = `true` then; otherwise it is to have none. Decided by chance, in the share of `OTEL_TRACES_SAMPLER`.
pub fn begins_trace() -> bool {
    Beginnings {
        share: f64::from_bits(SHARE.load(Ordering::Relaxed)),
    }
    .chosen()
}

/// The share of the messages that begin a trace.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beginnings {
    share: f64,
}

impl Beginnings {
    /// As the sampler that these variables name decides about a trace that begins; `sampler` reports what is wrong with them.
    pub(super) fn read<'a>(variable: impl Fn(&str) -> Option<&'a str>) -> Self {
        let name = variable("OTEL_TRACES_SAMPLER").unwrap_or_default();
        let ratio = || variable("OTEL_TRACES_SAMPLER_ARG").and_then(|ratio| ratio.parse().ok());
        let share = match name.strip_prefix("parentbased_").unwrap_or(name) {
            "always_off" => 0.0,
            "traceidratio" => ratio().unwrap_or(1.0),
            _ => 1.0,
        };
        Self { share }
    }

    /// From now on it is so in this process.
    pub(super) fn install(self) {
        SHARE.store(self.share.to_bits(), Ordering::Relaxed);
    }

    fn chosen(self) -> bool {
        self.share >= 1.0 || (self.share > 0.0 && rand::random::<f64>() < self.share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_begin_traces_in_the_share_of_the_sampler() {
        for (sampler, ratio, least, most) in [
            (Some("parentbased_traceidratio"), Some("0"), 0, 0),
            // Eight standard deviations.
            (Some("parentbased_traceidratio"), Some("0.5"), 1_747, 2_253),
            (Some("traceidratio"), Some("0.5"), 1_747, 2_253),
            (Some("parentbased_traceidratio"), Some("1"), 4_000, 4_000),
            (Some("parentbased_traceidratio"), None, 4_000, 4_000),
            (None, None, 4_000, 4_000),
            (Some("always_on"), None, 4_000, 4_000),
            (Some("parentbased_always_off"), None, 0, 0),
            (Some("always_off"), None, 0, 0),
        ] {
            let beginnings = Beginnings::read(|name| match name {
                "OTEL_TRACES_SAMPLER" => sampler,
                "OTEL_TRACES_SAMPLER_ARG" => ratio,
                _ => None,
            });
            let chosen = (0..4_000).filter(|_| beginnings.chosen()).count();
            assert!((least..=most).contains(&chosen), "{sampler:?} {ratio:?}: {chosen}");
        }
    }
}
