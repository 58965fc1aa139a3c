//! Any bytes as the query, headers, token and claims of an unknown client, and as a key set: nobody is authenticated,
//! nothing panics.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ws_node::fuzzing::credentials(bytes));
