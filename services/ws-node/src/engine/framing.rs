//! Encodes the frames of the server (RFC 6455, section 5.2): final, unmasked, never fragmented.

/// What a server frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Opcode {
    Text = 0x1,
    Binary = 0x2,
    Close = 0x8,
    Ping = 0x9,
    Pong = 0xa,
}

const FINAL: u8 = 0x80;

/// Set on the first frame of a compressed message (RFC 7692, section 6).
pub(super) const COMPRESSED: u8 = 0x40;

/// Appends a frame's header: 2, 4 or 10 bytes.
pub(crate) fn put_header(out: &mut Vec<u8>, opcode: Opcode, length: usize) {
    out.push(FINAL | opcode as u8);
    if length < 126 {
        out.push(length as u8);
    } else if let Ok(short) = u16::try_from(length) {
        out.push(126);
        out.extend_from_slice(&short.to_be_bytes());
    } else {
        out.push(127);
        out.extend_from_slice(&(length as u64).to_be_bytes());
    }
}

/// As [`put_header`], of a compressed message.
pub(super) fn put_compressed_header(out: &mut Vec<u8>, opcode: Opcode, length: usize) {
    let start = out.len();
    put_header(out, opcode, length);
    out[start] |= COMPRESSED;
}

/// A close frame. The reason is cut to what a control frame can carry: 123 bytes, at a character's end.
pub(crate) fn close_frame(code: u16, reason: &str) -> Vec<u8> {
    let mut end = reason.len().min(123);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let mut out = Vec::with_capacity(4 + end);
    put_header(&mut out, Opcode::Close, 2 + end);
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(&reason.as_bytes()[..end]);
    out
}

/// A ping frame without payload.
pub(crate) const PING: [u8; 2] = [FINAL | Opcode::Ping as u8, 0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_takes_the_shortest_form_of_its_length() {
        let header = |length| {
            let mut out = Vec::new();
            put_header(&mut out, Opcode::Text, length);
            out
        };
        assert_eq!(header(0), [0x81, 0]);
        assert_eq!(header(125), [0x81, 125]);
        assert_eq!(header(126), [0x81, 126, 0, 126]);
        assert_eq!(header(65_535), [0x81, 126, 0xff, 0xff]);
        assert_eq!(header(65_536), [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn a_long_close_reason_is_cut_at_a_character() {
        let frame = close_frame(4010, &"é".repeat(100));
        assert_eq!(frame[..4], [0x88, 124, 0x0f, 0xaa]);
        assert_eq!(std::str::from_utf8(&frame[4..]), Ok("é".repeat(61).as_str()));
    }
}
