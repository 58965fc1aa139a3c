//! What a server did in the time between two questions: differences of its counters, as rates per second.

use std::collections::BTreeMap;
use std::iter::Sum;

use serde::Serialize;
use utoipa::ToSchema;
use wsmesh_adapter::{Counters, Namespace, Room};

/// What happened per second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rates {
    /// Frames from clients.
    #[serde(serialize_with = "short")]
    pub(crate) messages_in: f64,
    /// Frames to clients.
    #[serde(serialize_with = "short")]
    pub(crate) messages_out: f64,
    /// Bytes of frames from clients.
    #[serde(serialize_with = "short")]
    pub(crate) bytes_in: f64,
    /// Bytes of frames to clients.
    #[serde(serialize_with = "short")]
    pub(crate) bytes_out: f64,
    /// Messages published to other servers.
    #[serde(serialize_with = "short")]
    pub(crate) publishes: f64,
    /// Connections that were upgraded.
    #[serde(serialize_with = "short")]
    pub(crate) connects: f64,
    /// Connections that ended.
    #[serde(serialize_with = "short")]
    pub(crate) disconnects: f64,
}

impl Sum for Rates {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |a, b| Self {
            messages_in: a.messages_in + b.messages_in,
            messages_out: a.messages_out + b.messages_out,
            bytes_in: a.bytes_in + b.bytes_in,
            bytes_out: a.bytes_out + b.bytes_out,
            publishes: a.publishes + b.publishes,
            connects: a.connects + b.connects,
            disconnects: a.disconnects + b.disconnects,
        })
    }
}

/// What a server did per second. A server has none before its second answer, and none after a restart until then.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Measured {
    pub(crate) rates: Rates,
    /// How many messages arrived with which lag: see [`Counters::lag`].
    pub(crate) lag: Vec<u64>,
    /// By close code.
    pub(crate) closes: BTreeMap<u16, f64>,
    /// By error code.
    pub(crate) errors: BTreeMap<String, f64>,
    /// Messages by namespace; none: all that are not counted by themselves.
    pub(crate) namespaces: BTreeMap<Option<Namespace>, f64>,
    /// Messages to the busiest rooms.
    pub(crate) rooms: BTreeMap<Room, f64>,
}

/// How long messages took from publishing to receiving, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub(crate) struct LagMs {
    #[serde(serialize_with = "exact")]
    pub(crate) p50: f64,
    #[serde(serialize_with = "exact")]
    pub(crate) p99: f64,
}

impl LagMs {
    /// Of these counts; none if no message arrived. Within a place, messages are taken to be spread evenly. Those in the last
    /// place took longer than its bound, which is what is said of them.
    pub(crate) fn of(lag: &[u64]) -> Option<Self> {
        let all: u64 = lag.iter().sum();
        let percentile = |part: f64| {
            let (rank, mut below) = (part * all as f64, 0);
            for (place, count) in lag.iter().enumerate() {
                let reached = (below + count) as f64;
                if *count > 0 && reached >= rank {
                    let shortest = place.checked_sub(1).and_then(Counters::lag_bound_ms).unwrap_or(0.0);
                    let longest = Counters::lag_bound_ms(place).unwrap_or(shortest);
                    return shortest + (longest - shortest) * (rank - below as f64) / *count as f64;
                }
                below += count;
            }
            0.0
        };
        (all > 0).then(|| Self {
            p50: percentile(0.5),
            p99: percentile(0.99),
        })
    }
}

/// One digit after the point.
pub(super) fn short<S: serde::Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(round(*value, 10.0))
}

/// Three digits after the point.
fn exact<S: serde::Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(round(*value, 1000.0))
}

/// To a fraction of one.
pub(crate) fn round(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}

#[cfg(test)]
mod tests {
    use wsmesh_adapter::LAG_BUCKETS;

    use super::*;

    fn lag(counts: &[(usize, u64)]) -> Option<LagMs> {
        let mut lag = vec![0; LAG_BUCKETS];
        counts.iter().for_each(|(place, count)| lag[*place] = *count);
        LagMs::of(&lag)
    }

    #[test]
    fn no_messages_have_no_lag() {
        assert_eq!(lag(&[]), None);
        assert_eq!(LagMs::of(&[]), None, "a server of an older version");
    }

    #[test]
    fn percentiles_lie_between_the_bounds_of_their_place() {
        let found = lag(&[(1, 98), (4, 2)]).expect("messages");
        assert!((0.05..=0.1).contains(&found.p50), "{found:?}");
        assert!((0.4..=0.8).contains(&found.p99), "{found:?}");
        assert!((found.p99 - 0.6).abs() < 0.001, "{found:?}");
    }

    #[test]
    fn a_lag_beyond_the_last_bound_is_said_to_be_that_bound() {
        let last = Counters::lag_bound_ms(LAG_BUCKETS - 2).expect("a bound");
        assert_eq!(lag(&[(LAG_BUCKETS - 1, 5)]), Some(LagMs { p50: last, p99: last }));
    }

    #[test]
    fn a_counter_vector_that_is_longer_than_this_version_knows_is_no_danger() {
        assert!(LagMs::of(&vec![1; LAG_BUCKETS + 10]).is_some());
    }
}
