//! The contract's section 7, sentence by sentence.

mod bounds;
mod cycles;
mod interrupted;
mod results;
mod retries;
