//! Any bytes from a client: ws-node rejects or reads them, with the same result however they are split.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ws_node::fuzzing::client_frames(bytes));
