//! What an operator wrote.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| edge_agent::fuzz::configuration(bytes));
