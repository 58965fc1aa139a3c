//! Frames of a client. They must be masked; the mask here is zero, which is legal (RFC 6455 asks for an unpredictable one
//! only to protect proxies from scripts in browsers) and leaves the payload as it is. Servers unmask it nevertheless.

use super::server_frame::{CLOSE, PONG, TEXT};

const MASK: [u8; 4] = [0; 4];

/// Appends a text frame whose payload is these parts, one after the other.
pub fn text(out: &mut Vec<u8>, parts: &[&[u8]]) {
    frame(out, TEXT, parts);
}

/// Appends the answer to a ping.
pub fn pong(out: &mut Vec<u8>, payload: &[u8]) {
    frame(out, PONG, &[payload]);
}

/// Appends a close frame with this code and no reason.
pub fn close(out: &mut Vec<u8>, code: u16) {
    frame(out, CLOSE, &[&code.to_be_bytes()]);
}

fn frame(out: &mut Vec<u8>, opcode: u8, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    out.push(0x80 | opcode);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => out.push(0x80 | short),
        (_, Ok(medium)) => {
            out.push(0x80 | 126);
            out.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_become_one_masked_frame() {
        let mut out = Vec::new();
        text(&mut out, &[b"ab", b"c"]);
        assert_eq!(out, b"\x81\x83\0\0\0\0abc");
    }

    #[test]
    fn longer_payloads_have_longer_lengths() {
        for (length, head) in [
            (125, &[0x81, 0x80 | 125][..]),
            (126, &[0x81, 0xFE, 0, 126]),
            (65_536, &[0x81, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let mut out = Vec::new();
            text(&mut out, &[&vec![b'x'; length]]);
            assert_eq!(&out[..head.len()], head);
            assert_eq!(out.len(), head.len() + 4 + length);
        }
    }
}
