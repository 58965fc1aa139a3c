//! Any text from a client: reading it as a message never panics.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _refused_or_not = wsmesh_protocol::frame::parse(text);
});
