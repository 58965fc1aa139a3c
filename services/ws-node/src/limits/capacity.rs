//! Divides the files that this server may have open, so that they never run out: rejecting a connection and answering a probe
//! need one, too.

use wsmesh_bootstrap::ops;

use super::settings::Limits;

/// Most connections that have not upgraded yet, if there are enough files. More wait in the kernel's queue.
const HANDSHAKES: usize = 4096;

/// Files that belong neither to clients nor to the ops port: Redis nodes, listeners, keys, the log.
const OTHERS: usize = 96;

/// Files that the runtime of a shard has open.
const PER_SHARD: usize = 4;

/// How many connections there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Capacity {
    /// Before their upgrade.
    pub(crate) handshakes: usize,
    /// After it.
    pub(crate) connections: usize,
    /// Whether that is fewer than the setting says.
    pub(crate) is_short: bool,
}

impl Capacity {
    /// `calls`: most calls to backends at once, each of which has a connection.
    pub(crate) fn of(limits: &Limits, shards: usize, calls: usize) -> Self {
        let files = limits.open_files;
        let handshakes = (files / 8).clamp(2, HANDSHAKES);
        // With few files, not everything is expected to be full at once.
        let others = OTHERS + PER_SHARD * shards + ops::CONNECTIONS;
        let others = others.saturating_add(calls).min(files / 2);
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

    /// Logs what to do if there may be fewer connections than these settings say.
    pub(crate) fn warn_if_short(&self, limits: &Limits) {
        if self.is_short {
            tracing::warn!(
                open_files = limits.open_files,
                max_connections = self.connections,
                "there are files for fewer than --max-connections={}: raise the hard limit of open files (ulimit -Hn, \
                 LimitNOFILE= of systemd), or write the lower number",
                limits.connections
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capacity(open_files: usize, connections: usize) -> Capacity {
        let limits = Limits {
            open_files,
            connections,
            ..Limits::default()
        };
        Capacity::of(&limits, 2, 0)
    }

    #[test]
    fn with_enough_files_there_are_as_many_connections_as_configured() {
        let capacity = capacity(1 << 20, 50_000);
        assert_eq!(
            (capacity.handshakes, capacity.connections, capacity.is_short),
            (4096, 50_000, false)
        );
    }

    #[test]
    fn with_fewer_files_there_are_fewer_connections_than_files() {
        for (files, least) in [(20_000, 17_000), (1024, 600), (256, 90), (64, 20)] {
            for wanted in [50_000, 0] {
                let capacity = capacity(files, wanted);
                assert!((least..files).contains(&capacity.connections), "{files}: {capacity:?}");
                assert!(
                    capacity.connections + capacity.handshakes < files,
                    "{files}: {capacity:?}"
                );
                assert_eq!(capacity.is_short, wanted > 0);
            }
        }
    }

    #[test]
    fn calls_to_backends_have_files_of_their_own() {
        let limits = Limits {
            open_files: 20_000,
            ..Limits::default()
        };
        let without = Capacity::of(&limits, 2, 0).connections;
        assert_eq!(Capacity::of(&limits, 2, 3 * 256).connections, without - 3 * 256);
        assert!(
            Capacity::of(&limits, 2, usize::MAX).connections > 5_000,
            "half of all files at most"
        );
    }

    #[test]
    fn without_any_limit_nothing_overflows() {
        assert!(capacity(usize::MAX, 0).connections > 1 << 40);
    }
}
