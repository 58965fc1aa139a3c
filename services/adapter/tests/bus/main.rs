//! What the adapter promises, on the embedded bus and on real Redis processes that the tests start themselves.

mod acl;
mod clients;
mod faults;
mod large;
mod outage;
mod servers;
mod shared;
mod support;
mod topology;
mod typed;
