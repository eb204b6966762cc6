//! Makes a failing case small: drops what it fails without, then the time that it does not need.
//!
//! Delta debugging: halves first, then smaller and smaller parts, down to single entries. A
//! smaller case counts only if it breaks the same sentence.

use super::{Broken, Case, run};

/// What is left of the time after the last thing that matters.
const MARGIN_MS: u64 = 1_000;

/// The smallest case found that breaks the same sentence, and how it does.
///
/// # Panics
/// Where the case does not fail.
#[must_use]
pub fn shrink(case: &Case) -> (Case, Box<Broken>) {
    let broken = run(case).expect_err("only a case that fails can be shrunk");
    let mut least = Least { rule: broken.rule().to_owned(), case: case.clone(), broken };
    least.cut();
    least.thin();
    least.cut();
    (least.case, least.broken)
}

struct Least {
    rule: String,
    case: Case,
    broken: Box<Broken>,
}

impl Least {
    /// Takes a smaller case if it fails alike.
    fn takes(&mut self, case: Case) -> bool {
        match run(&case) {
            Err(broken) if broken.rule() == self.rule => {
                (self.case, self.broken) = (case, broken);
                true
            }
            Ok(_) | Err(_) => false,
        }
    }

    /// Drops what comes after the failure, and puts the world in order early where that is enough.
    fn cut(&mut self) {
        let at_ms = self.broken.at_ms;
        let mut case = self.case.clone();
        case.entries.retain(|entry| entry.at_ms <= at_ms);
        case.until_ms = case.until_ms.min(at_ms + MARGIN_MS);
        self.takes(case);
        // A failure at rest needs no more time than its entries do.
        let mut case = self.case.clone();
        case.until_ms = case.entries.last().map_or(0, |entry| entry.at_ms) + MARGIN_MS;
        if case.until_ms < self.case.until_ms {
            self.takes(case);
        }
    }

    /// Drops parts of the entries, the large ones first.
    fn thin(&mut self) {
        let mut part = self.case.entries.len().div_ceil(2);
        while part > 0 {
            let mut at = 0;
            let before = self.case.entries.len();
            while at < self.case.entries.len() {
                let mut case = self.case.clone();
                case.entries.drain(at..(at + part).min(case.entries.len()));
                if !self.takes(case) {
                    at += part;
                }
            }
            // Single entries may have become needless one after the other.
            let again = part == 1 && self.case.entries.len() < before;
            part = if again { 1 } else { part / 2 };
        }
    }
}
