//! What a plug says.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| plug_driver::fuzz::shelly_reply(bytes));
