//! Compression of large envelopes. A compressed envelope begins with a byte that neither JSON nor MessagePack begins
//! with. Then come the algorithm, the uncompressed length, and the sender's instance, so that a server can drop its own
//! envelopes without decompressing them.
//!
//! LZ4 costs less than the Redis and network time that it saves. An envelope that would not get smaller is left
//! unchanged.

use bytes::{BufMut, Bytes, BytesMut};

use super::entries::DecodeError;
use super::names::Instance;

/// A byte that MessagePack never uses.
const MAGIC: u8 = 0xc1;
/// The only algorithm: an LZ4 block.
const LZ4: u8 = 1;
const HEADER: usize = 2 + 4 + 8;
/// No envelope is larger; a header that claims more is hostile or broken.
const LARGEST: usize = 64 * 1024 * 1024;

/// Compresses an envelope if that makes it smaller.
pub(crate) fn compress(envelope: Bytes, sender: Instance) -> Bytes {
    let Ok(length) = u32::try_from(envelope.len()) else {
        return envelope;
    };
    let compressed = lz4_flex::block::compress(&envelope);
    if compressed.len() + HEADER >= envelope.len() || envelope.len() > LARGEST {
        return envelope;
    }
    let mut out = BytesMut::with_capacity(HEADER + compressed.len());
    out.put_u8(MAGIC);
    out.put_u8(LZ4);
    out.put_u32(length);
    out.put_u64(sender.0);
    out.put_slice(&compressed);
    out.freeze()
}

/// The sender of a compressed envelope; `None` for other bytes.
pub(crate) fn sender(bytes: &[u8]) -> Option<Instance> {
    let header = bytes.get(..HEADER).filter(|header| header[0] == MAGIC)?;
    let instance: [u8; 8] = header[6..].try_into().ok()?;
    Some(Instance(u64::from_be_bytes(instance)))
}

/// Decompresses an envelope. One that is not compressed is returned unchanged.
pub(crate) fn open(bytes: Bytes) -> Result<Bytes, DecodeError> {
    if bytes.first() != Some(&MAGIC) {
        return Ok(bytes);
    }
    let wrong = |why: &'static str| DecodeError::Compressed { why };
    let header = bytes.get(..HEADER).ok_or_else(|| wrong("it is cut off"))?;
    if header[1] != LZ4 {
        return Err(wrong("the algorithm is unknown: a newer server sent it"));
    }
    let length = u32::from_be_bytes([header[2], header[3], header[4], header[5]]) as usize;
    if length > LARGEST {
        return Err(wrong("it claims to be larger than 64 MiB"));
    }
    // LZ4 expands a byte to at most 255 bytes. A larger claim is an attack, for which no memory is allocated.
    if length > (bytes.len() - HEADER).saturating_mul(255) {
        return Err(wrong("it claims to hold more than it can"));
    }
    let out = lz4_flex::block::decompress(&bytes[HEADER..], length).map_err(|_| wrong("it is not an LZ4 block"))?;
    if out.len() == length {
        Ok(out.into())
    } else {
        Err(wrong("its length is not what it claims"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(length: usize) -> Bytes {
        "a frame that says the same again and again "
            .bytes()
            .cycle()
            .take(length)
            .collect()
    }

    #[test]
    fn a_compressed_envelope_is_restored_and_names_its_sender() {
        let small = compress(text(10_000), Instance(7));
        assert!(small.len() < 1000, "{}", small.len());
        assert_eq!(sender(&small), Some(Instance(7)));
        assert_eq!(open(small).expect("opens"), text(10_000));
    }

    #[test]
    fn an_envelope_that_would_not_get_smaller_is_left_unchanged() {
        let random: Bytes = (0..4000).map(|_| rand::random::<u8>() | 0x80).collect();
        assert_eq!(compress(random.clone(), Instance(7)), random);
        assert_eq!(open(text(100)).expect("not compressed"), text(100));
        assert_eq!(sender(&text(100)), None);
    }

    #[test]
    fn decompression_bombs_and_broken_blocks_are_rejected() {
        let good = compress(text(10_000), Instance(7));
        for (change, reason) in [
            (&[(2, 0xff)][..], "larger than 64 MiB"),
            (&[(2, 3)], "hold more than it can"),
            (&[(1, 9)], "algorithm is unknown"),
            (&[(5, 0)], ""),
        ] {
            let mut bad = good.to_vec();
            change.iter().for_each(|&(at, byte)| bad[at] = byte);
            let error = open(bad.into()).expect_err(reason).to_string();
            assert!(error.contains(reason), "{error}");
        }
        for length in 1..good.len() {
            assert!(open(good.slice(..length)).is_err(), "{length}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_restored(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
            prop_assume!(bytes.first() != Some(&MAGIC));
            let bytes = Bytes::from(bytes);
            prop_assert_eq!(open(compress(bytes.clone(), Instance(1))).expect("opens"), bytes);
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), length in any::<u32>()) {
            let mut hostile = vec![MAGIC, LZ4];
            hostile.extend(length.min(100_000).to_be_bytes());
            hostile.extend([0; 8]);
            hostile.extend(bytes);
            let _ = open(hostile.into());
        }
    }
}
