//! What the adapter promises, on the embedded bus and on real Redis processes that the tests start themselves.

mod clients;
mod faults;
mod servers;
mod support;
mod topology;
