//! What came on any other topic of a node.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// A byte of a message may become so many in memory,
const BYTES_A_BYTE: usize = 256;
/// beside reasons, words and what else has a size of its own.
const BYTES_ANYHOW: usize = 64 * 1024;

fuzz_target!(|bytes: &[u8]| {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let read = edge_protocol::codec::decode_event(bytes).is_ok();
    let used = MEMORY.peak_usage() - before;
    let most = BYTES_ANYHOW + BYTES_A_BYTE * bytes.len();
    assert!(used <= most, "{used} bytes for a message of {}, read: {read}", bytes.len());
    edge_protocol::fuzz::presence(bytes);
});
