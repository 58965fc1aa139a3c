//! Tests of what the adapter promises, on the embedded bus and on real Redis processes that the tests start.

mod acl;
mod clients;
mod clusters;
mod contexts;
mod costs;
mod deadlines;
mod events;
mod facts;
mod faults;
mod first_nodes;
mod identity;
mod keys;
mod large;
mod orders;
mod outage;
mod passwords;
mod preflight;
mod reach;
mod requests;
mod servers;
mod shared;
mod starts;
mod support;
mod topology;
mod typed;
mod visitors;
