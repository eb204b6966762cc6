//! What the Tasmota driver promises, in figures: each promise against every firmware, with and
//! without rules in the build. `PLUG_TRIALS=10000 cargo test -p plug-driver --test figures --
//! --nocapture` prints those of `docs/plugs.md`; without the variable there are fewer trials.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

// Said so that clippy takes them for test code, where `unwrap` is allowed.
#[cfg(test)]
mod bench;
#[cfg(test)]
mod deadlines;
#[cfg(test)]
mod flash;
#[cfg(test)]
mod lies;
#[cfg(test)]
mod settings;
