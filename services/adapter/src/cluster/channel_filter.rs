//! A compact set of channels: a server sends the set of its subscriptions when it asks others for messages that it
//! missed.
//!
//! A Bloom filter: it may claim to contain a channel that it does not (about one in a hundred, which costs a needless
//! copy), but never the reverse. The hash is part of the wire format.

use serde::{Deserialize, Serialize};

use crate::wire::stable_hash;

/// Bits per channel. With seven hashes, about one in a hundred claims is false.
const BITS_PER_CHANNEL: usize = 10;
const HASHES: u64 = 7;

/// The channels of one server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ChannelFilter {
    words: Vec<u64>,
}

impl ChannelFilter {
    pub(crate) fn new<T: AsRef<str>>(channels: &[T]) -> Self {
        let words = (channels.len() * BITS_PER_CHANNEL).div_ceil(64).max(1);
        let mut filter = Self { words: vec![0; words] };
        for channel in channels {
            for bit in filter.bits(channel.as_ref()) {
                filter.words[bit / 64] |= 1 << (bit % 64);
            }
        }
        filter
    }

    /// Whether the set may contain a channel. `false` is certain.
    pub(crate) fn contains(&self, channel: &str) -> bool {
        !self.words.is_empty()
            && self
                .bits(channel)
                .all(|bit| self.words[bit / 64] & 1 << (bit % 64) != 0)
    }

    /// Double hashing (Kirsch and Mitzenmacher): two hashes are combined into any number of them.
    fn bits(&self, channel: &str) -> impl Iterator<Item = usize> + use<> {
        let count = self.words.len() as u64 * 64;
        let hash = |seed| stable_hash(seed, [channel.as_bytes()]);
        let (first, second) = (hash(0), hash(1) | 1);
        (0..HASHES).map(move |n| (first.wrapping_add(n.wrapping_mul(second)) % count) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_channel_is_missed_and_few_are_claimed_wrongly() {
        let channels: Vec<String> = (0..10_000).map(|n| format!("wsmesh:client:{n}")).collect();
        let filter = ChannelFilter::new(&channels);
        assert!(channels.iter().all(|channel| filter.contains(channel)));
        let wrong = (0..10_000).filter(|n| filter.contains(&format!("wsmesh:room:chat:{n}")));
        let wrong = wrong.count();
        assert!(wrong < 200, "{wrong} of 10,000");
    }

    #[test]
    fn an_empty_set_and_a_hostile_one_contain_nothing() {
        assert!(!ChannelFilter::new::<&str>(&[]).contains("x"));
        assert!(!ChannelFilter { words: vec![] }.contains("x"));
    }

    #[test]
    fn hashes_are_the_same_in_every_version() {
        assert_eq!(ChannelFilter::new(&["wsmesh:servers"]).words, [0x8012004001002400]);
    }
}
