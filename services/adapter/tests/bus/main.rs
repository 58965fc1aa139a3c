//! What the adapter promises, on the embedded bus and on real Redis processes that the tests start themselves.

mod contract;
mod faults;
mod support;
