//! Connections that do nothing but stay. Mode `idle`.

use std::sync::Arc;

use crate::net::{Duty, End, Net, Turn};
use crate::run::shared::Shared;

/// One worker's part of the connections.
pub struct Stay {
    shared: Arc<Shared>,
    arrivals: Vec<(usize, u64)>,
}

impl Stay {
    /// `arrivals`: which connection is made when, ns.
    #[must_use]
    pub fn new(shared: &Arc<Shared>, arrivals: Vec<(usize, u64)>) -> Self {
        Self {
            shared: Arc::clone(shared),
            arrivals,
        }
    }
}

impl Duty for Stay {
    fn opened(&mut self, _net: &mut Net, _index: usize, _now: u64) {
        self.shared.one_is_ready();
    }

    fn text(&mut self, _net: &mut Net, _index: usize, _text: &[u8], _now: u64) {}

    fn ended(&mut self, _net: &mut Net, _index: usize, end: End, _now: u64) {
        self.shared.connection_ended(&end);
    }

    fn turn(&mut self, net: &mut Net, _now: u64) -> Turn {
        for (index, due) in self.arrivals.drain(..) {
            net.connect_at(index, due);
        }
        if self.shared.is_stopped() {
            Turn::Done
        } else {
            Turn::Wait
        }
    }
}
