//! The contract's sections 3 and 4, sentence by sentence.

mod answers;
mod codes;
mod expiry;
mod schedules;
mod waiting;
