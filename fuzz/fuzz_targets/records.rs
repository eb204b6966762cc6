//! What a start finds on disk.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| edge_agent::fuzz::records(bytes));
