//! Compressed messages (permessage-deflate, RFC 7692), without context takeover on either side: nothing is remembered from
//! one message to the next, so a connection costs no memory for it, and a message for many is compressed once.
//!
//! Each thread has one compressor and one decompressor, made when they are used first.

use std::cell::RefCell;

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use wsmesh_adapter::Frame;

/// What ends every message, and is left out on the wire (RFC 7692, section 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// A decompressed message begins with room for so many bytes, at most.
const FIRST: usize = 4 * 1024;

/// Why a message cannot be decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It is no compressed data.
    Broken,
    /// It is larger than a message may be.
    TooBig,
}

/// The message that was compressed last. A frame for many connections that is written to each by itself comes many times.
struct Last {
    frame: Bytes,
    packed: Option<Bytes>,
}

#[derive(Default)]
struct Codec {
    compress: Option<Compress>,
    decompress: Option<Decompress>,
    last: Option<Last>,
}

thread_local! {
    static CODEC: RefCell<Codec> = RefCell::default();
}

/// Most bytes of a compressed message of so many: what cannot be compressed gets larger.
pub(super) fn most_compressed(message: usize) -> usize {
    message.saturating_add(message / 1000).saturating_add(64)
}

/// Compresses a frame; `None` if that does not make it smaller.
pub(super) fn pack(frame: &Frame) -> Option<Bytes> {
    CODEC.with_borrow_mut(|codec| {
        let bytes = frame.bytes();
        if let Some(last) = &codec.last
            && last.frame.as_ptr() == bytes.as_ptr()
            && last.frame.len() == bytes.len()
        {
            return last.packed.clone();
        }
        let compress = codec
            .compress
            .get_or_insert_with(|| Compress::new(Compression::fast(), false));
        let packed = deflate(compress, bytes).map(Bytes::from);
        codec.last = Some(Last {
            frame: bytes.clone(),
            packed: packed.clone(),
        });
        packed
    })
}

/// Decompresses a message of at most `most` bytes. Memory grows with what comes out, never beyond that.
pub(super) fn unpack(packed: &[u8], most: usize) -> Result<Vec<u8>, Trouble> {
    CODEC.with_borrow_mut(|codec| {
        let decompress = codec.decompress.get_or_insert_with(|| Decompress::new(false));
        decompress.reset(false);
        let mut out = Vec::with_capacity(packed.len().saturating_mul(2).min(FIRST).min(most + 1));
        inflate(decompress, packed, &mut out, most)?;
        inflate(decompress, &TAIL, &mut out, most)?;
        Ok(out)
    })
}

fn deflate(compress: &mut Compress, bytes: &[u8]) -> Option<Vec<u8>> {
    compress.reset();
    // No room for anything that is not smaller.
    let mut out = Vec::with_capacity(bytes.len() + TAIL.len());
    compress.compress_vec(bytes, &mut out, FlushCompress::Sync).ok()?;
    let is_done = compress.total_in() == bytes.len() as u64 && out.len() < out.capacity();
    let length = out.strip_suffix(&TAIL).filter(|_| is_done)?.len();
    out.truncate(length);
    (out.len() < bytes.len()).then_some(out)
}

fn inflate(decompress: &mut Decompress, mut input: &[u8], out: &mut Vec<u8>, most: usize) -> Result<(), Trouble> {
    loop {
        if out.len() == out.capacity() {
            // One byte more than may be shows that it is too much.
            let room = (most + 1).saturating_sub(out.len());
            out.reserve_exact(out.len().max(FIRST).min(room));
        }
        let (taken, length) = (decompress.total_in(), out.len());
        let status = decompress
            .decompress_vec(input, out, FlushDecompress::Sync)
            .map_err(|_| Trouble::Broken)?;
        if out.len() > most {
            return Err(Trouble::TooBig);
        }
        let taken = (decompress.total_in() - taken) as usize;
        input = &input[taken..];
        if status == Status::StreamEnd {
            // A block that says it is the last one may be followed by others (section 7.2.3.4).
            decompress.reset(false);
        }
        let is_full = out.len() == out.capacity();
        if input.is_empty() && !is_full {
            return Ok(());
        }
        if taken == 0 && out.len() == length && !is_full {
            return Err(Trouble::Broken);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MOST: usize = 1 << 20;

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        // Section 7.2.3: one block, a stored block, BFINAL, two blocks.
        let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        let stored = [0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00];
        let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
        let two = [
            0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
        ];
        for packed in [&hello[..], &stored, &last, &two] {
            assert_eq!(unpack(packed, MOST).as_deref(), Ok(&b"Hello"[..]), "{packed:x?}");
        }
        assert_eq!(unpack(&[0x00], MOST).as_deref(), Ok(&b""[..]), "an empty message");
    }

    #[test]
    fn what_does_not_get_smaller_is_not_compressed() {
        assert_eq!(pack(&Frame::new("x")), None);
        let noise: Vec<u8> = (0..5000).map(|_| rand::random()).collect();
        assert_eq!(pack(&Frame::binary(noise)), None);
        let frame = Frame::new("wsmesh ".repeat(100));
        let packed = pack(&frame).expect("smaller");
        assert!(packed.len() < 40, "{}", packed.len());
        assert_eq!(
            pack(&frame).expect("again").as_ptr(),
            packed.as_ptr(),
            "compressed once"
        );
    }

    #[test]
    fn a_bomb_ends_at_the_limit() {
        let mut compress = Compress::new(Compression::best(), false);
        let zeroes = vec![0; 64 << 20];
        let bomb = deflate(&mut compress, &zeroes).expect("far smaller");
        assert!(bomb.len() < 100_000, "{}", bomb.len());
        assert_eq!(unpack(&bomb, 1000), Err(Trouble::TooBig));
        assert_eq!(unpack(&bomb, zeroes.len() - 1), Err(Trouble::TooBig));
        assert_eq!(unpack(&bomb, zeroes.len()).map(|out| out.len()), Ok(zeroes.len()));
    }

    #[test]
    fn what_is_no_compressed_data_is_refused() {
        for broken in [&[0xff; 9][..], &[0x07], &[0x00, 0x05, 0x00, 0x00, 0x00, 0x48]] {
            assert_eq!(unpack(broken, MOST), Err(Trouble::Broken), "{broken:x?}");
        }
        assert_eq!(
            unpack(&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], 5).map(|out| out.len()),
            Ok(5)
        );
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(text in "[a-e \u{e9}]{0,3000}") {
            let frame = Frame::new(text.clone());
            if let Some(packed) = pack(&frame) {
                prop_assert!(packed.len() < text.len());
                prop_assert_eq!(unpack(&packed, text.len()), Ok(text.into_bytes()));
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(out) = unpack(&bytes, 500) {
                prop_assert!(out.len() <= 500);
            }
        }
    }
}
