//! Divides the files that this server may have open, so that they never run out: refusing a connection and answering a probe
//! take one, too.

use wsmesh_bootstrap::ops;

use super::settings::Limits;

/// Connections that have not upgraded yet, where there are files enough. Beyond that, new ones wait in the kernel's queue.
const HANDSHAKES: usize = 4096;

/// Files that are neither connections of clients nor of the ops port: those of Redis nodes, listeners, keys, the log.
const OTHERS: usize = 96;

/// What the runtime of a shard has open.
const PER_SHARD: usize = 4;

/// How many connections there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// Before their upgrade.
    pub(crate) handshakes: usize,
    /// After it.
    pub(crate) connections: usize,
    /// Whether that is less than the setting says.
    pub(crate) is_short: bool,
}

impl Room {
    pub(crate) fn of(limits: &Limits, shards: usize) -> Self {
        let files = limits.open_files;
        let handshakes = (files / 8).clamp(2, HANDSHAKES);
        // Where there are few files at all, the ops port is not expected to be full as well.
        let others = (OTHERS + PER_SHARD * shards + ops::CONNECTIONS).min(files / 2);
        let left = files.saturating_sub(others + handshakes).max(1);
        let wanted = match limits.connections {
            0 => usize::MAX,
            wanted => wanted,
        };
        Self {
            handshakes,
            connections: wanted.min(left),
            is_short: limits.connections > left,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(open_files: usize, connections: usize) -> Room {
        let limits = Limits {
            open_files,
            connections,
            ..Limits::default()
        };
        Room::of(&limits, 2)
    }

    #[test]
    fn with_files_enough_there_are_as_many_connections_as_are_set() {
        let room = room(1 << 20, 50_000);
        assert_eq!(
            (room.handshakes, room.connections, room.is_short),
            (4096, 50_000, false)
        );
    }

    #[test]
    fn with_fewer_files_there_are_fewer_connections_and_never_more_than_files() {
        for (files, least) in [(20_000, 17_000), (1024, 600), (256, 90), (64, 20)] {
            for wanted in [50_000, 0] {
                let room = room(files, wanted);
                assert!((least..files).contains(&room.connections), "{files}: {room:?}");
                assert!(room.connections + room.handshakes < files, "{files}: {room:?}");
                assert_eq!(room.is_short, wanted > 0);
            }
        }
    }

    #[test]
    fn without_any_limit_nothing_overflows() {
        assert!(room(usize::MAX, 0).connections > 1 << 40);
    }
}
