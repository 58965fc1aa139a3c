//! The life of a server: the driver that owns every task, the clock, membership, and the topology in use.

pub(crate) mod clock;
pub(crate) mod driver;
pub(crate) mod endpoints;
pub(crate) mod lapses;
pub(crate) mod membership;
pub(crate) mod topology;
