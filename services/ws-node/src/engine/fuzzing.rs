//! What fuzzers call: `tests/fuzz`, and a property test here that needs no fuzzer. Not part of the interface.

use super::decoder::{Accepts, Decoder, Incoming, Violation};

const ACCEPTS: Accepts = Accepts {
    max_message: 1000,
    binary: true,
    deflate: true,
};

/// Reads bytes as what a client sends: in one piece, byte by byte, and in pieces as long as the first byte says.
///
/// # Panics
/// When it makes a difference how they are cut, which is a bug.
pub fn client_frames(bytes: &[u8]) {
    let Some((length, bytes)) = bytes.split_first() else {
        return;
    };
    let whole = read(bytes, usize::MAX);
    for length in [1, 1 + usize::from(*length)] {
        assert_eq!(read(bytes, length), whole, "in pieces of {length}");
    }
}

/// What a decoder made of bytes.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    messages: Vec<Incoming>,
    replies: Vec<u8>,
    violation: Option<Violation>,
}

fn read(bytes: &[u8], length: usize) -> Read {
    let mut decoder = Decoder::new(ACCEPTS);
    let mut read = Read {
        messages: Vec::new(),
        replies: Vec::new(),
        violation: None,
    };
    for mut input in bytes.chunks(length) {
        loop {
            match decoder.next(&mut input, &mut read.replies) {
                Ok(Some(incoming)) => read.messages.push(incoming),
                Ok(None) => break assert!(input.is_empty(), "nothing is left over"),
                Err(violation) => {
                    read.violation = Some(violation);
                    return read;
                }
            }
        }
    }
    read
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame that is nearly right: what random bytes hardly ever are.
    fn frame() -> impl Strategy<Value = Vec<u8>> {
        let payload = prop::collection::vec(any::<u8>(), 0..140);
        (any::<u8>(), any::<[u8; 4]>(), payload, 0..20_u8).prop_map(|(first, mask, payload, odd)| {
            let first = if odd == 0 { first } else { first & 0x8f };
            let mut bytes = match payload.len() {
                length @ ..126 => vec![first, 0x80 | length as u8],
                length => vec![first, 0x80 | 126, 0, length as u8],
            };
            bytes.extend(mask);
            bytes.extend(
                payload
                    .iter()
                    .zip(mask.iter().cycle())
                    .map(|(byte, mask)| byte & 0x7f ^ mask),
            );
            bytes
        })
    }

    proptest! {
        #[test]
        fn the_decoder_reads_the_same_however_the_bytes_are_cut(length: u8, frames in prop::collection::vec(frame(), 1..12)) {
            client_frames(&[vec![length], frames.concat()].concat());
        }
    }
}
