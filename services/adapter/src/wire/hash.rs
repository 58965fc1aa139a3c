//! The hash for values that all servers must compute alike: the node of a message, and sets of channels that travel.
//!
//! FNV-1a, then the finaliser of MurmurHash3: without that, the last bytes hardly reach the high bits. The same in every
//! process and version, which the standard library's hashers do not promise. Not for keys that an attacker may choose.

use std::hash::Hasher;

use fnv::FnvHasher;

/// FNV's offset basis: what an unseeded hash starts from.
const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;

/// Hashes the parts as one text. Different seeds give independent hashes; 0 is plain FNV-1a.
#[inline]
pub(crate) fn stable_hash<const N: usize>(seed: u64, parts: [&[u8]; N]) -> u64 {
    let mut fnv = FnvHasher::with_key(OFFSET_BASIS ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    for part in parts {
        fnv.write(part);
    }
    let mut hash = fnv.finish();
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_hash_like_one_text_and_seeds_make_a_difference() {
        assert_eq!(stable_hash(0, [b"ab", b"c"]), stable_hash(0, [b"abc"]));
        assert_ne!(stable_hash(0, [b"abc"]), stable_hash(1, [b"abc"]));
    }

    #[test]
    fn hashes_are_the_same_in_every_version() {
        assert_eq!(stable_hash(0, [b"room:1", b"\0", b"redis-0"]), 0x26dd_5aca_2027_5c59);
    }
}
