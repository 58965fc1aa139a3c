//! Compressed messages (permessage-deflate, RFC 7692), without context takeover on either side: nothing is remembered from
//! one message to the next, so a connection costs no memory for it, and a message for many is compressed once.
//!
//! Each thread has one compressor and one decompressor, made when they are used first.

use std::cell::RefCell;

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use wsmesh_adapter::Frame;

/// The end of every message, which is not sent (RFC 7692, section 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// The buffer of a decompressed message starts with at most this many bytes.
const FIRST: usize = 4 * 1024;

/// Why a message cannot be decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    /// It is not compressed data.
    Broken,
    /// It is larger than a message may be.
    TooBig,
}

/// The message that was compressed last: a frame for many connections may be written to each separately.
struct Last {
    frame: Bytes,
    compressed: Option<Bytes>,
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

/// Most bytes that a message of this size has when compressed: some messages get larger.
pub(super) fn most_compressed(message: usize) -> usize {
    message.saturating_add(message / 1000).saturating_add(64)
}

/// Compresses a frame; `None` if that does not make it smaller.
pub(super) fn compress(frame: &Frame) -> Option<Bytes> {
    CODEC.with_borrow_mut(|codec| {
        let bytes = frame.bytes();
        if let Some(last) = &codec.last
            && last.frame.as_ptr() == bytes.as_ptr()
            && last.frame.len() == bytes.len()
        {
            return last.compressed.clone();
        }
        let compress = codec
            .compress
            .get_or_insert_with(|| Compress::new(Compression::fast(), false));
        let compressed = deflate(compress, bytes).map(Bytes::from);
        codec.last = Some(Last {
            frame: bytes.clone(),
            compressed: compressed.clone(),
        });
        compressed
    })
}

/// Decompresses a message of at most `most` bytes. Memory grows with the result, never beyond that.
pub(super) fn decompress(compressed: &[u8], most: usize) -> Result<Vec<u8>, Damage> {
    CODEC.with_borrow_mut(|codec| {
        let decompress = codec.decompress.get_or_insert_with(|| Decompress::new(false));
        decompress.reset(false);
        let mut out = Vec::with_capacity(compressed.len().saturating_mul(2).min(FIRST).min(most + 1));
        inflate(decompress, compressed, &mut out, most)?;
        inflate(decompress, &TAIL, &mut out, most)?;
        Ok(out)
    })
}

fn deflate(compress: &mut Compress, bytes: &[u8]) -> Option<Vec<u8>> {
    compress.reset();
    // There is only room for a result that is smaller.
    let mut out = Vec::with_capacity(bytes.len() + TAIL.len());
    compress.compress_vec(bytes, &mut out, FlushCompress::Sync).ok()?;
    let is_done = compress.total_in() == bytes.len() as u64 && out.len() < out.capacity();
    let length = out.strip_suffix(&TAIL).filter(|_| is_done)?.len();
    out.truncate(length);
    (out.len() < bytes.len()).then_some(out)
}

fn inflate(decompress: &mut Decompress, mut input: &[u8], out: &mut Vec<u8>, most: usize) -> Result<(), Damage> {
    loop {
        if out.len() == out.capacity() {
            // One byte more than is allowed shows that it is too much.
            let room = (most + 1).saturating_sub(out.len());
            out.reserve_exact(out.len().max(FIRST).min(room));
        }
        let (taken, length) = (decompress.total_in(), out.len());
        let status = decompress
            .decompress_vec(input, out, FlushDecompress::Sync)
            .map_err(|_| Damage::Broken)?;
        if out.len() > most {
            return Err(Damage::TooBig);
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
            return Err(Damage::Broken);
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
        for compressed in [&hello[..], &stored, &last, &two] {
            assert_eq!(
                decompress(compressed, MOST).as_deref(),
                Ok(&b"Hello"[..]),
                "{compressed:x?}"
            );
        }
        assert_eq!(decompress(&[0x00], MOST).as_deref(), Ok(&b""[..]), "an empty message");
    }

    #[test]
    fn a_frame_that_does_not_get_smaller_is_not_compressed() {
        assert_eq!(compress(&Frame::new("x")), None);
        let noise: Vec<u8> = (0..5000).map(|_| rand::random()).collect();
        assert_eq!(compress(&Frame::binary(noise)), None);
        let frame = Frame::new("wsmesh ".repeat(100));
        let compressed = compress(&frame).expect("smaller");
        assert!(compressed.len() < 40, "{}", compressed.len());
        assert_eq!(
            compress(&frame).expect("again").as_ptr(),
            compressed.as_ptr(),
            "compressed once"
        );
    }

    #[test]
    fn a_decompression_bomb_is_stopped_at_the_limit() {
        let mut compress = Compress::new(Compression::best(), false);
        let zeroes = vec![0; 64 << 20];
        let bomb = deflate(&mut compress, &zeroes).expect("far smaller");
        assert!(bomb.len() < 100_000, "{}", bomb.len());
        assert_eq!(decompress(&bomb, 1000), Err(Damage::TooBig));
        assert_eq!(decompress(&bomb, zeroes.len() - 1), Err(Damage::TooBig));
        assert_eq!(decompress(&bomb, zeroes.len()).map(|out| out.len()), Ok(zeroes.len()));
    }

    #[test]
    fn invalid_compressed_data_is_rejected() {
        for broken in [&[0xff; 9][..], &[0x07], &[0x00, 0x05, 0x00, 0x00, 0x00, 0x48]] {
            assert_eq!(decompress(broken, MOST), Err(Damage::Broken), "{broken:x?}");
        }
        assert_eq!(
            decompress(&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], 5).map(|out| out.len()),
            Ok(5)
        );
    }

    proptest! {
        #[test]
        fn compressed_data_is_decompressed_to_the_same(text in "[a-e \u{e9}]{0,3000}") {
            let frame = Frame::new(text.clone());
            if let Some(compressed) = compress(&frame) {
                prop_assert!(compressed.len() < text.len());
                prop_assert_eq!(decompress(&compressed, text.len()), Ok(text.into_bytes()));
            }
        }

        #[test]
        fn any_bytes_are_read_or_rejected(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(out) = decompress(&bytes, 500) {
                prop_assert!(out.len() <= 500);
            }
        }
    }
}
