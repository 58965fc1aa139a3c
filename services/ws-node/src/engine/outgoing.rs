//! What becomes of the frames for a watched connection, and who is told. Other connections cost one look at a flag.

use std::time::Duration;

use wsmesh_adapter::{Frame, Spared};

/// Is told what becomes of the frames for a watched connection. The shard is in use meanwhile: nothing here may send.
pub(crate) trait Onlooker {
    /// Frames for this connection were written, wait, or are left out.
    fn outgoing(&self, what: Outgoing<'_>);
}

/// What became of frames.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Outgoing<'a> {
    /// A frame was handed to the stream, after it had waited this long.
    Written(&'a Frame, Duration),
    /// The stream takes no more for now, and this many bytes wait.
    Blocked(u64),
    /// Frames were replaced or dropped, because delivery rules allow that.
    Spared(Spared),
    /// This many frames are dropped: the client reads too slowly and is closed.
    Cleared(u64),
}
