//! The order to examine an address that may become a node: queued here at once, carried out and answered by a task of the
//! driver. When too many wait, the next one is rejected.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::answers::WayBack;
use crate::wire::{Missing, Payload};

/// The request by which servers order it; answered by the adapter itself.
pub(crate) const PREFLIGHT: &str = "wsmesh.preflight";

/// The most orders that wait.
const WAITING: usize = 8;

/// The order, as it travels.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Candidate {
    /// The URL, as for [`Adapter::add_node`](crate::Adapter::add_node).
    pub(crate) url: String,
}

/// An order that waits to be carried out.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) candidate: Candidate,
    pub(crate) way_back: Arc<WayBack>,
}

/// The orders that wait.
pub(crate) type Orders = mpsc::Receiver<Order>;

/// Takes orders.
#[derive(Debug)]
pub(crate) struct PreflightOrders(mpsc::Sender<Order>);

/// The queue of orders.
pub(crate) fn orders() -> (PreflightOrders, Orders) {
    let (sender, orders) = mpsc::channel(WAITING);
    (PreflightOrders(sender), orders)
}

impl PreflightOrders {
    /// Queues an order, or answers at once why not.
    pub(crate) fn accept(&self, way_back: WayBack, payload: &Payload) {
        let way_back = Arc::new(way_back);
        let Ok(candidate) = payload.parse() else {
            return way_back.answer_later(Err(Missing::Unhandled));
        };
        let order = Order { candidate, way_back };
        if let Err(rejected) = self.0.try_send(order) {
            let order = rejected.into_inner();
            order.way_back.answer_later(Err(Missing::Overloaded));
        }
    }
}
