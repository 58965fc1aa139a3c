//! The log of each process, a record per event of a message, and how the judge reads it: 20 bytes a record, little-endian.
//!
//! A process that is killed loses at most the records since the last flush; records that must not be lost are flushed at once.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use parking_lot::{Mutex, MutexGuard};

use crate::clock::now_us;

const SIZE: usize = 20;

/// The server itself, in place of a client's number.
pub(crate) const SERVER: u16 = u16::MAX;

/// What happened to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The adapter accepted it and owes the delivery. The time is when it was handed over.
    Accepted,
    /// The adapter refused it, with this kind of error.
    Refused(Refusal),
    /// It arrived at this client of the process, or at [`SERVER`].
    Received(u16),
    /// A request is about to be sent.
    Asked,
    /// It was answered.
    Answered,
    /// It ended with an error that says why.
    Failed,
    /// It ended because nobody answered in time.
    TimedOut,
    /// A request is being handled.
    Handled,
}

/// Why a message was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No node could take it.
    NoNode,
    /// The server that it was for is not known: nothing was sent.
    Nobody,
}

/// One line of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    /// What happened.
    pub event: Event,
    /// To which message.
    pub key: u64,
    /// When, in microseconds of the monotonic clock.
    pub at_us: u64,
}

impl Record {
    fn encode(self) -> [u8; SIZE] {
        let (tag, detail) = match self.event {
            Event::Accepted => (1, 0),
            Event::Refused(Refusal::NoNode) => (2, 0),
            Event::Refused(Refusal::Nobody) => (2, 1),
            Event::Received(client) => (3, client),
            Event::Asked => (4, 0),
            Event::Answered => (5, 0),
            Event::Failed => (6, 0),
            Event::TimedOut => (7, 0),
            Event::Handled => (8, 0),
        };
        let mut bytes = [0; SIZE];
        bytes[0] = tag;
        bytes[2..4].copy_from_slice(&u16::to_le_bytes(detail));
        bytes[4..12].copy_from_slice(&self.key.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.at_us.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; SIZE]) -> Option<Self> {
        let [tag, _, d0, d1, k0, k1, k2, k3, k4, k5, k6, k7, time @ ..] = *bytes;
        let detail = u16::from_le_bytes([d0, d1]);
        let event = match (tag, detail) {
            (1, _) => Event::Accepted,
            (2, 0) => Event::Refused(Refusal::NoNode),
            (2, _) => Event::Refused(Refusal::Nobody),
            (3, client) => Event::Received(client),
            (4, _) => Event::Asked,
            (5, _) => Event::Answered,
            (6, _) => Event::Failed,
            (7, _) => Event::TimedOut,
            (8, _) => Event::Handled,
            _ => return None,
        };
        Some(Self {
            event,
            key: u64::from_le_bytes([k0, k1, k2, k3, k4, k5, k6, k7]),
            at_us: u64::from_le_bytes(time),
        })
    }
}

/// The log of a process.
#[derive(Debug)]
pub(crate) struct Log {
    file: Mutex<BufWriter<File>>,
}

impl Log {
    /// Creates one.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let file = Mutex::new(BufWriter::with_capacity(1 << 20, File::create(path)?));
        Ok(Self { file })
    }

    fn lock(&self) -> MutexGuard<'_, BufWriter<File>> {
        self.file.lock()
    }

    /// Records an event that happens now.
    pub(crate) fn note(&self, event: Event, key: u64) {
        self.note_at(event, key, now_us());
    }

    /// Records an event of that time.
    pub(crate) fn note_at(&self, event: Event, key: u64, at_us: u64) {
        let record = Record { event, key, at_us };
        // A full disk ends the run: an incomplete count is worse than none.
        self.lock().write_all(&record.encode()).expect("the log can be written");
    }

    /// Writes everything to the system, where it survives this process.
    pub(crate) fn flush(&self) {
        self.lock().flush().expect("the log can be written");
    }
}

/// Reads a log. An incomplete last record is left out.
///
/// # Errors
/// When the file cannot be read, or contains something else.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<Record>> {
    let bytes = std::fs::read(path)?;
    let (records, _cut_off) = bytes.as_chunks::<SIZE>();
    let decode = |bytes| Record::decode(bytes).ok_or_else(|| anyhow::anyhow!("{}: not a valid record", path.display()));
    records.iter().map(decode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_back_and_an_incomplete_one_is_left_out() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log");
        let events = [
            Event::Accepted,
            Event::Refused(Refusal::NoNode),
            Event::Refused(Refusal::Nobody),
            Event::Received(7),
            Event::Received(SERVER),
            Event::Asked,
            Event::Answered,
            Event::Failed,
            Event::TimedOut,
            Event::Handled,
        ];
        let log = Log::create(&path).expect("created");
        for (key, event) in events.into_iter().enumerate() {
            log.note_at(event, key as u64, 9);
        }
        log.flush();
        let mut bytes = std::fs::read(&path).expect("readable");
        bytes.extend([3, 0, 0]);
        std::fs::write(&path, bytes).expect("writable");
        let found: Vec<Event> = read(&path)
            .expect("records")
            .iter()
            .map(|record| record.event)
            .collect();
        assert_eq!(found, events);
    }
}
