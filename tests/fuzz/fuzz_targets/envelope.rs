//! Any bytes on any Redis channel: the decoder rejects or reads them, and an envelope that was read can be written and
//! read again.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wsmesh_adapter::fuzzing::envelope(bytes));
