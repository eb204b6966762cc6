//! Prometheus's text format, version 0.0.4: families of samples, each with its help and its type.

use std::fmt::{self, Write as _};

use super::histogram::Histogram;

/// A text under way.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    text: String,
}

/// What a family's samples mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Names and values that tell samples of one family apart.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

impl Exposition {
    /// Begins a family; its samples follow.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
        Family { exposition: self, name }
    }

    /// One value, of a family that has no other.
    pub(super) fn single(
        &mut self,
        name: &'static str,
        kind: Kind,
        help: &str,
        value: impl fmt::Display,
    ) {
        self.family(name, kind, help).sample(&[], value);
    }

    /// One value where there is one, and no family where there is none.
    pub(super) fn known(
        &mut self,
        name: &'static str,
        kind: Kind,
        help: &str,
        value: Option<impl fmt::Display>,
    ) {
        if let Some(value) = value {
            self.single(name, kind, help, value);
        }
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a string can't fail.
        let _ = writeln!(self.text, "{line}");
    }
}

/// A family that is being written.
#[derive(Debug)]
pub(super) struct Family<'a> {
    exposition: &'a mut Exposition,
    name: &'static str,
}

impl Family<'_> {
    /// One sample.
    pub(super) fn sample(&mut self, labels: Labels<'_>, value: impl fmt::Display) {
        let (name, labels) = (self.name, Braces(labels, None));
        self.exposition.line(format_args!("{name}{labels} {value}"));
    }

    /// A histogram's samples, in seconds.
    pub(super) fn histogram(&mut self, labels: Labels<'_>, histogram: &Histogram) {
        let (name, exposition) = (self.name, &mut self.exposition);
        for (bound_us, count) in histogram.cumulative() {
            let bound = seconds(bound_us).to_string();
            let labels = Braces(labels, Some(&bound));
            exposition.line(format_args!("{name}_bucket{labels} {count}"));
        }
        let count = histogram.count();
        exposition.line(format_args!("{name}_bucket{} {count}", Braces(labels, Some("+Inf"))));
        let labels = Braces(labels, None);
        let sum = seconds(histogram.sum_us());
        exposition.line(format_args!("{name}_sum{labels} {sum}"));
        exposition.line(format_args!("{name}_count{labels} {count}"));
    }
}

/// Microseconds as seconds, without rounding what a float need not hold.
pub(super) fn seconds(us: u64) -> Decimal {
    Decimal { units: us, digits: 6 }
}

/// Milliseconds as seconds.
pub(super) fn from_ms(ms: u64) -> Decimal {
    Decimal { units: ms, digits: 3 }
}

/// A whole number of units, of which ten to the power of `digits` make one; shown without trailing zeros.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decimal {
    units: u64,
    digits: u32,
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = 10_u64.pow(self.digits);
        write!(f, "{}", self.units / one)?;
        let (mut rest, mut width) = (self.units % one, self.digits as usize);
        if rest == 0 {
            return Ok(());
        }
        while rest % 10 == 0 {
            rest /= 10;
            width -= 1;
        }
        write!(f, ".{rest:0width$}")
    }
}

/// Labels in their braces, the bound of a histogram's range last.
struct Braces<'a>(Labels<'a>, Option<&'a str>);

impl fmt::Display for Braces<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bound = self.1.map(|bound| ("le", bound));
        let mut before = '{';
        for (name, value) in self.0.iter().copied().chain(bound) {
            write!(f, "{before}{name}=\"{}\"", Escaped(value))?;
            before = ',';
        }
        if before == ',' { f.write_char('}') } else { Ok(()) }
    }
}

/// A label's value: a backslash, a quote and a line's end are written with a backslash.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                plain => f.write_char(plain)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_its_help_its_type_and_its_samples() {
        let mut exposition = Exposition::default();
        let mut family = exposition.family("x_total", Kind::Counter, "How many.");
        family.sample(&[("a", "1"), ("b", "say \"\\\n\"")], 7);
        family.sample(&[], 8);
        exposition.known("y", Kind::Gauge, "What is not there.", None::<u64>);
        let expected = "# HELP x_total How many.\n# TYPE x_total counter\n\
                        x_total{a=\"1\",b=\"say \\\"\\\\\\n\\\"\"} 7\nx_total 8\n";
        assert_eq!(exposition.finish(), expected);
    }

    #[test]
    fn a_histogram_is_told_in_seconds_and_cumulates() {
        let mut histogram = Histogram::new(&[500, 1_000_000]);
        for us in [1, 500, 600, 2_500_000] {
            histogram.observe(us);
        }
        let mut exposition = Exposition::default();
        let mut family = exposition.family("t_seconds", Kind::Histogram, "How long.");
        family.histogram(&[("outlet", "a")], &histogram);
        let expected = "# HELP t_seconds How long.\n# TYPE t_seconds histogram\n\
                        t_seconds_bucket{outlet=\"a\",le=\"0.0005\"} 2\n\
                        t_seconds_bucket{outlet=\"a\",le=\"1\"} 3\n\
                        t_seconds_bucket{outlet=\"a\",le=\"+Inf\"} 4\n\
                        t_seconds_sum{outlet=\"a\"} 2.501101\n\
                        t_seconds_count{outlet=\"a\"} 4\n";
        assert_eq!(exposition.finish(), expected);
    }

    #[test]
    fn a_time_is_told_to_its_last_digit() {
        for (us, shown) in [(0, "0"), (1, "0.000001"), (1_000_000, "1"), (1_500_000, "1.5")] {
            assert_eq!(seconds(us).to_string(), shown);
        }
        assert_eq!(from_ms(1_763_690_000_123).to_string(), "1763690000.123");
    }
}
