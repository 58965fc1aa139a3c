//! Writes the maps of an envelope in either encoding. Raw values are copied unchanged.

use std::io::Write;

use bytes::Bytes;

use super::payload::Encoding;

/// A map that is being written. Writing to memory cannot fail, so no method here does.
#[derive(Debug)]
pub(crate) struct Writer {
    out: Vec<u8>,
    encoding: Encoding,
}

impl Writer {
    pub(crate) fn new(encoding: Encoding, capacity: usize) -> Self {
        Self {
            out: Vec::with_capacity(capacity),
            encoding,
        }
    }

    pub(crate) fn finish(self) -> Bytes {
        self.out.into()
    }

    /// Begins a map with exactly this number of entries.
    pub(crate) fn begin_map(&mut self, entries: u32) {
        match self.encoding {
            Encoding::Json => self.out.push(b'{'),
            Encoding::Msgpack => _ = rmp::encode::write_map_len(&mut self.out, entries),
        }
    }

    pub(crate) fn end_map(&mut self) {
        if self.encoding == Encoding::Json {
            self.out.push(b'}');
        }
    }

    pub(crate) fn key(&mut self, key: &str) {
        if self.encoding == Encoding::Json && self.out.last() != Some(&b'{') {
            self.out.push(b',');
        }
        self.text(key);
        if self.encoding == Encoding::Json {
            self.out.push(b':');
        }
    }

    pub(crate) fn text(&mut self, text: &str) {
        match self.encoding {
            Encoding::Json => _ = serde_json::to_writer(&mut self.out, text),
            Encoding::Msgpack => _ = rmp::encode::write_str(&mut self.out, text),
        }
    }

    pub(crate) fn texts<'a>(&mut self, texts: impl ExactSizeIterator<Item = &'a str>) {
        match self.encoding {
            Encoding::Json => self.out.push(b'['),
            Encoding::Msgpack => _ = rmp::encode::write_array_len(&mut self.out, texts.len() as u32),
        }
        for (position, text) in texts.enumerate() {
            if self.encoding == Encoding::Json && position > 0 {
                self.out.push(b',');
            }
            self.text(text);
        }
        if self.encoding == Encoding::Json {
            self.out.push(b']');
        }
    }

    pub(crate) fn number(&mut self, number: u64) {
        match self.encoding {
            Encoding::Json => _ = write!(self.out, "{number}"),
            Encoding::Msgpack => _ = rmp::encode::write_uint(&mut self.out, number),
        }
    }

    pub(crate) fn truth(&mut self) {
        match self.encoding {
            Encoding::Json => self.out.extend_from_slice(b"true"),
            Encoding::Msgpack => self.out.push(0xc3),
        }
    }

    /// Entries that are already in this writer's encoding, without the delimiters of their map.
    pub(crate) fn raw_fields(&mut self, fields: &[u8]) {
        if self.encoding == Encoding::Json && !fields.trim_ascii().is_empty() {
            self.out.push(b',');
        }
        self.out.extend_from_slice(fields);
    }

    /// A value that is already in this writer's encoding.
    pub(crate) fn raw(&mut self, value: &[u8]) {
        self.out.extend_from_slice(value);
    }
}
