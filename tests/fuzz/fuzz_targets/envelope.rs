//! Any bytes on any Redis channel: the decoder refuses them or reads them, and what it reads can be written and read again.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wsmesh_adapter::fuzzing::envelope(bytes));
