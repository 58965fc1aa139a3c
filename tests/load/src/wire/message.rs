//! The text of a measured message, `PUBLISHER.SEQUENCE.SENT_NS.xxx…`, and how it is found in a push without parsing JSON.

use std::io::Write;

use memchr::memmem::Finder;

/// The publisher of a message, its sequence number, and when it was due, in ns of this process's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Index of the publisher.
    pub publisher: u32,
    /// Counts the publisher's messages from 0.
    pub sequence: u64,
    /// When it was sent, or at a fixed rate, when it should have been.
    pub sent_ns: u64,
}

impl Stamp {
    /// Writes the stamp into `text`, padded to `size` bytes; longer only if the stamp itself is.
    pub fn write(&self, text: &mut Vec<u8>, size: usize) {
        text.clear();
        // Writing to a Vec cannot fail.
        let _ = write!(text, "{}.{}.{}.", self.publisher, self.sequence, self.sent_ns);
        if text.len() < size {
            text.resize(size, b'x');
        }
    }

    /// Reads a stamp at the beginning of `text`.
    #[inline]
    #[must_use]
    pub fn read(text: &[u8]) -> Option<Self> {
        let (publisher, rest) = number(text)?;
        let (sequence, rest) = number(rest)?;
        let (sent_ns, _) = number(rest)?;
        Some(Self {
            publisher: u32::try_from(publisher).ok()?,
            sequence,
            sent_ns,
        })
    }
}

/// Digits up to a full stop.
#[inline]
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (index, &byte) in text.iter().enumerate().take(21) {
        match byte {
            b'0'..=b'9' => value = value.wrapping_mul(10).wrapping_add(u64::from(byte - b'0')),
            b'.' if index > 0 => return Some((value, &text[index + 1..])),
            _ => return None,
        }
    }
    None
}

/// Finds stamps in pushes. It remembers where the last one was: servers write the same push in the same way.
#[derive(Debug)]
pub struct StampFinder {
    key: Finder<'static>,
    at: usize,
}

const PUSH: &[u8] = br#"{"event":"say""#;
const KEY: &[u8] = br#""msg":""#;

impl Default for StampFinder {
    fn default() -> Self {
        Self {
            key: Finder::new(KEY),
            at: 0,
        }
    }
}

impl StampFinder {
    /// The stamp in a push of the event `say`; `None` if the text is something else, or has another layout.
    #[inline]
    pub fn find(&mut self, text: &[u8]) -> Option<Stamp> {
        if !text.starts_with(PUSH) {
            return None;
        }
        if text.get(self.at..self.at + KEY.len()) != Some(KEY) {
            self.at = self.key.find(text)?;
        }
        Stamp::read(&text[self.at + KEY.len()..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp {
        publisher: 7,
        sequence: 1_234,
        sent_ns: 98_765_432_100,
    };

    #[test]
    fn a_stamp_is_read_as_it_was_written_and_fills_the_size() {
        let mut text = Vec::new();
        STAMP.write(&mut text, 64);
        assert_eq!(text.len(), 64);
        assert_eq!(Stamp::read(&text), Some(STAMP));
        STAMP.write(&mut text, 0);
        assert_eq!(text, b"7.1234.98765432100.");
    }

    #[test]
    fn what_is_no_stamp_is_none() {
        for bad in [
            "",
            "joined",
            "1.2",
            "1.2.3",
            "1..3.",
            ".1.2.",
            "1.2.x.",
            "111111111111111111111111.1.1.",
        ] {
            assert_eq!(Stamp::read(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn stamps_are_found_wherever_the_server_puts_the_message() {
        let mut finder = StampFinder::default();
        for push in [
            r#"{"event":"say","payload":{"action":"toRoom","msg":"7.1234.98765432100.xx"}}"#,
            r#"{"event":"say","payload":{"action":"toPlayer","msg":"7.1234.98765432100.xx"}}"#,
            r#"{"event":"say","payload":{"msg":"7.1234.98765432100.xx"}}"#,
        ] {
            assert_eq!(finder.find(push.as_bytes()), Some(STAMP));
        }
        assert_eq!(finder.find(br#"{"payload":{"msg":"joined"},"callbackId":"j"}"#), None);
    }
}
