//! The life of a server: the driver that owns every task, the clock, beacons, membership, and the topology in use.

pub(crate) mod driver;

pub(crate) mod clock;
pub(crate) mod parts;

pub(crate) mod beacons;
pub(crate) mod gauges;
pub(crate) mod membership;

pub(crate) mod endpoints;
pub(crate) mod examiner;
pub(crate) mod first_nodes;
mod identity;
pub(crate) mod inquiries;
pub(crate) mod node_view;
pub(crate) mod preflights;
pub(crate) mod topology;
