//! The node with the shortest round trip, with hysteresis: the current node is kept until another one is clearly better
//! for a while. So two equal nodes do not alternate, and the order of messages is kept for as long as possible.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::select::{Mask, indexes};

/// How much better another node must be: its round trip is at most this share of the current one's, and shorter by at
/// least this time.
const BETTER: (f64, Duration) = (0.8, Duration::from_micros(200));
/// How often in a row it must be better.
const TIMES: u32 = 3;

/// The current node, and the node that may replace it.
#[derive(Debug, Default)]
pub(crate) struct Fastest {
    /// The current node's index plus 1; 0 for none.
    current: AtomicUsize,
    challenger: Mutex<Option<(usize, u32)>>,
}

impl Fastest {
    /// Picks one of the usable nodes: the current one if possible, else the one with the shortest round trip.
    pub(crate) fn pick(&self, usable: Mask, rtt: impl Fn(usize) -> Option<Duration>) -> Option<usize> {
        let current = self.current.load(Ordering::Relaxed);
        if current > 0 && usable & 1 << (current - 1) != 0 {
            return Some(current - 1);
        }
        shortest(usable, rtt)
    }

    /// Compares the round trips again. Call it about once per probe interval.
    pub(crate) fn judge(&self, usable: Mask, rtt: impl Fn(usize) -> Option<Duration>) {
        let mut challenger = self.challenger.lock();
        let Some(best) = shortest(usable, &rtt) else { return };
        let current = self.current.load(Ordering::Relaxed);
        let kept = current > 0 && usable & 1 << (current - 1) != 0;
        if kept && !clearly_better(rtt(best), rtt(current - 1)) {
            *challenger = None;
            return;
        }
        let times = match *challenger {
            Some((index, times)) if index == best => times + 1,
            _ => 1,
        };
        *challenger = Some((best, times));
        if !kept || times >= TIMES {
            self.current.store(best + 1, Ordering::Relaxed);
            *challenger = None;
        }
    }
}

fn shortest(usable: Mask, rtt: impl Fn(usize) -> Option<Duration>) -> Option<usize> {
    indexes(usable).min_by_key(|&index| rtt(index).unwrap_or(Duration::MAX))
}

fn clearly_better(best: Option<Duration>, current: Option<Duration>) -> bool {
    let (Some(best), Some(current)) = (best, current) else {
        return best.is_some();
    };
    best <= current.mul_f64(BETTER.0) && best + BETTER.1 <= current
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(of: [u64; 3]) -> impl Fn(usize) -> Option<Duration> {
        move |index| Some(Duration::from_micros(of[index] * 100))
    }

    #[test]
    fn the_shortest_round_trip_wins_and_stays_until_another_is_clearly_better_for_a_while() {
        let fastest = Fastest::default();
        assert_eq!(
            fastest.pick(0b111, ms([30, 10, 20])),
            Some(1),
            "before the first comparison"
        );
        fastest.judge(0b111, ms([30, 10, 20]));
        fastest.judge(0b111, ms([9, 10, 20]));
        fastest.judge(0b111, ms([9, 10, 20]));
        fastest.judge(0b111, ms([9, 10, 20]));
        assert_eq!(fastest.pick(0b111, ms([9, 10, 20])), Some(1), "not clearly better");
        fastest.judge(0b111, ms([5, 10, 20]));
        fastest.judge(0b111, ms([5, 10, 20]));
        assert_eq!(fastest.pick(0b111, ms([5, 10, 20])), Some(1), "not for long enough");
        fastest.judge(0b111, ms([5, 10, 20]));
        assert_eq!(fastest.pick(0b111, ms([5, 10, 20])), Some(0));
    }

    #[test]
    fn a_node_that_becomes_unusable_is_replaced_at_once() {
        let fastest = Fastest::default();
        fastest.judge(0b111, ms([30, 10, 20]));
        assert_eq!(fastest.pick(0b101, ms([30, 10, 20])), Some(2));
        fastest.judge(0b101, ms([30, 10, 20]));
        assert_eq!(
            fastest.pick(0b111, ms([30, 10, 20])),
            Some(2),
            "kept: the other is not clearly better for long"
        );
        assert_eq!(fastest.pick(0, ms([1, 1, 1])), None);
    }
}
