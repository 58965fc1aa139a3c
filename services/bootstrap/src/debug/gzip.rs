//! A gzip file that is written over a long time: its head, then as many empty blocks as are needed, then all of its content.
//!
//! The empty blocks say nothing to a reader. Whoever sends them learns from them that nobody reads any more.

use std::io::{self, Write};

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};

/// The head of a file, without name and time (RFC 1952).
pub(super) const HEAD: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// A block that holds nothing (RFC 1951, 3.2.4), and is not the last one.
pub(super) const EMPTY_BLOCK: &[u8] = &[0, 0, 0, 0xff, 0xff];

/// The content, and the end of the file.
pub(super) fn rest(content: &[u8]) -> io::Result<Vec<u8>> {
    let mut crc = Crc::new();
    crc.update(content);
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content)?;
    let mut rest = encoder.finish()?;
    rest.extend(crc.sum().to_le_bytes());
    rest.extend(crc.amount().to_le_bytes());
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn empty_blocks_change_nothing_of_the_content() {
        for blocks in [0, 1, 60] {
            let content = b"what it holds".repeat(100);
            let file = [HEAD, &EMPTY_BLOCK.repeat(blocks), &rest(&content).expect("written")].concat();
            let mut read = Vec::new();
            let mut decoder = GzDecoder::new(&file[..]);
            decoder.read_to_end(&mut read).expect("one file");
            assert!(read == content && decoder.into_inner().is_empty(), "{blocks}");
        }
    }
}
