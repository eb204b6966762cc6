//! What the fuzz targets in `fuzz/` call, and the tests with what the fuzzer kept.
//!
//! Each panics where what it says does not hold.

pub use crate::config::fuzz::configuration;
pub use crate::node::fuzz::{inputs, records};

#[cfg(test)]
mod tests {
    fn kept(target: &str, body: fn(&[u8])) {
        let folder = format!("{}/../fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap()).collect();
        assert!(files.len() > 10, "{} inputs of {target}", files.len());
        files.iter().for_each(|file| body(&std::fs::read(file.path()).unwrap()));
    }

    #[test]
    fn what_the_fuzzer_kept_of_configurations_holds() {
        kept("configuration", super::configuration);
    }

    #[test]
    fn what_the_fuzzer_kept_of_stored_records_holds() {
        kept("records", super::records);
    }

    #[test]
    fn what_the_fuzzer_kept_of_a_nodes_inputs_holds() {
        kept("inputs", super::inputs);
    }
}
