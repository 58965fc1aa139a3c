//! Any bytes of a client: ws-node refuses them or reads them, and it is the same however they are cut.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ws_node::fuzzing::client_frames(bytes));
