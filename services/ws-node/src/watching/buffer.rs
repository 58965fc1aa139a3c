//! What was seen of a watched client and is not sent yet: bounded, so that a busy client costs no more than a quiet one. What does
//! not fit is counted.

use jiff::Timestamp;
use wsmesh_protocol::watching::{Details, Sighting, SightingKind};

/// Most messages between two batches. With five batches a second, these are 500 messages a second.
pub(super) const MOST_TRAFFIC: usize = 100;
/// So many more places are left to what happens seldom: connections and rooms. A flood of messages must not hide it.
const MOST: usize = MOST_TRAFFIC + 50;
/// Most bytes between two batches.
const MOST_BYTES: usize = 32 * 1024;
/// So many of these bytes are left to what happens seldom.
const RESERVE_BYTES: usize = 8 * 1024;
/// What a sighting takes besides its texts.
const FIXED_BYTES: usize = 96;

/// What was seen since the last batch.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    sightings: Vec<Sighting>,
    bytes: usize,
    lost: u64,
    seen: u64,
    last_ms: i64,
    is_closed: bool,
}

/// How often something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Often {
    /// With each message.
    Traffic,
    /// With each connection or room.
    Seldom,
}

/// A batch.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Batch {
    pub(super) sightings: Vec<Sighting>,
    pub(super) lost: u64,
    /// How much was seen so far.
    pub(super) seen: u64,
    /// About how large it is.
    pub(super) bytes: usize,
}

impl Buffer {
    /// Adds what was seen now, if there is room: only then it is looked at.
    pub(super) fn add(&mut self, often: Often, look: impl FnOnce() -> (SightingKind, Details)) {
        if self.is_closed {
            return;
        }
        self.seen += 1;
        let (most, most_bytes) = match often {
            Often::Traffic => (MOST_TRAFFIC, MOST_BYTES - RESERVE_BYTES),
            Often::Seldom => (MOST, MOST_BYTES),
        };
        if self.sightings.len() >= most || self.bytes >= most_bytes {
            self.lost += 1;
            return;
        }
        let (kind, details) = look();
        let bytes = size(&details);
        if self.bytes + bytes > most_bytes {
            self.lost += 1;
            return;
        }
        self.bytes += bytes;
        // A clock that is set back does not change the order.
        self.last_ms = self.last_ms.max(Timestamp::now().as_millisecond());
        self.sightings.push(Sighting {
            kind,
            at_ms: self.last_ms,
            details,
        });
    }

    /// Takes out what waits, if that is something.
    pub(super) fn take(&mut self) -> Option<Batch> {
        (!self.sightings.is_empty() || self.lost > 0).then(|| Batch {
            sightings: std::mem::take(&mut self.sightings),
            lost: std::mem::take(&mut self.lost),
            seen: self.seen,
            bytes: std::mem::take(&mut self.bytes),
        })
    }

    /// Counts what could not be sent.
    pub(super) fn lose(&mut self, sightings: u64) {
        self.lost += sightings;
    }

    /// The watch has ended: nothing is kept from now on.
    pub(super) fn close(&mut self) {
        *self = Self {
            is_closed: true,
            ..Self::default()
        };
    }
}

/// About how many bytes a sighting takes.
fn size(details: &Details) -> usize {
    let texts = [
        &details.connection,
        &details.node,
        &details.what,
        &details.event,
        &details.callback_id,
        &details.request_id,
        &details.namespace,
        &details.room_id,
        &details.reason,
        &details.payload,
    ];
    let texts = texts.iter().filter_map(|text| text.as_ref());
    FIXED_BYTES + texts.map(|text| text.len() + 16).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(payload: usize) -> (SightingKind, Details) {
        let details = Details {
            payload: Some("x".repeat(payload)),
            ..Details::default()
        };
        (SightingKind::In, details)
    }

    #[test]
    fn what_does_not_fit_is_counted_and_not_even_looked_at() {
        let (mut buffer, mut looked) = (Buffer::default(), 0);
        for _ in 0..10_000 {
            buffer.add(Often::Traffic, || {
                looked += 1;
                message(1)
            });
        }
        let batch = buffer.take().expect("something");
        assert_eq!(
            (batch.sightings.len(), batch.lost, looked),
            (MOST_TRAFFIC, 9_900, MOST_TRAFFIC)
        );
        assert_eq!(batch.seen, 10_000);
        assert_eq!(buffer.take(), None);
    }

    #[test]
    fn large_messages_are_bounded_by_their_bytes() {
        let mut buffer = Buffer::default();
        (0..100).for_each(|_| buffer.add(Often::Traffic, || message(4096)));
        let batch = buffer.take().expect("something");
        assert!(batch.bytes <= MOST_BYTES, "{}", batch.bytes);
        assert_eq!(batch.sightings.len() as u64 + batch.lost, 100);
        assert!(batch.lost > 0);
    }

    #[test]
    fn a_flood_of_messages_does_not_hide_the_end_of_the_connection() {
        for payload in [1, 4096] {
            let mut buffer = Buffer::default();
            (0..1000).for_each(|_| buffer.add(Often::Traffic, || message(payload)));
            buffer.add(Often::Seldom, || (SightingKind::Closed, Details::default()));
            let batch = buffer.take().expect("something");
            assert_eq!(batch.sightings.last().map(|last| last.kind), Some(SightingKind::Closed));
        }
    }

    #[test]
    fn after_the_end_of_a_watch_nothing_is_kept() {
        let mut buffer = Buffer::default();
        buffer.add(Often::Traffic, || message(1));
        buffer.close();
        buffer.add(Often::Seldom, || message(1));
        assert_eq!(buffer.take(), None);
    }
}
