//! Any bytes as the query, headers, token and claims of a stranger, and as a set of keys: nobody is let in, nothing panics.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ws_node::fuzzing::credentials(bytes));
