//! The text of the exposition, written as the values come: at 10 000 endpoints there are 120 000 samples, and a structure
//! for each, with its labels copied, costs several times the text. It knows the format and no metric.

use std::fmt::{Display, Write};

/// The labels of a sample.
pub(super) type Labels<'a, const N: usize> = [(&'static str, &'a str); N];

/// Bytes that are set aside per endpoint at first; what is not needed is never touched.
const PER_ENDPOINT: usize = 1024;

/// The text so far.
#[derive(Default)]
pub(super) struct Page {
    text: String,
}

impl Page {
    /// An empty page with room for so many endpoints.
    pub(super) fn for_endpoints(count: usize) -> Self {
        Self { text: String::with_capacity((count + 64) * PER_ENDPOINT) }
    }

    /// Adds a family of gauges, where there is at least one.
    pub(super) fn gauges<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl Iterator<Item = (Labels<'a, N>, f64)>,
    ) {
        self.family(name, help, "gauge", values.map(|(labels, value)| (labels, Number(value))));
    }

    /// Adds a family of counters, where there is at least one.
    pub(super) fn counters<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl Iterator<Item = (Labels<'a, N>, u64)>,
    ) {
        self.family(name, help, "counter", values);
    }

    /// Adds a family of counters that are no whole numbers, where there is at least one.
    pub(super) fn decimals<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl Iterator<Item = (Labels<'a, N>, f64)>,
    ) {
        self.family(name, help, "counter", values.map(|(labels, value)| (labels, Number(value))));
    }

    /// Adds a gauge without labels.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.gauges(name, help, std::iter::once(([], value)));
    }

    /// Adds a family that was encoded elsewhere.
    pub(super) fn encoded(&mut self, encode: impl FnOnce(&mut String)) {
        encode(&mut self.text);
    }

    /// The whole text.
    pub(super) fn into_text(self) -> String {
        self.text
    }

    fn family<'a, const N: usize, V: Display>(
        &mut self,
        name: &str,
        help: &str,
        kind: &str,
        values: impl Iterator<Item = (Labels<'a, N>, V)>,
    ) {
        let mut values = values.peekable();
        if values.peek().is_none() {
            return;
        }
        self.text.push_str("# HELP ");
        self.text.push_str(name);
        self.text.push(' ');
        escape(&mut self.text, help, false);
        for part in ["\n# TYPE ", name, " ", kind, "\n"] {
            self.text.push_str(part);
        }
        values.for_each(|(labels, value)| self.sample(name, labels, &value));
    }

    fn sample<const N: usize>(&mut self, name: &str, labels: Labels<'_, N>, value: &impl Display) {
        self.text.push_str(name);
        let mut before = '{';
        for (label, value) in labels {
            self.text.push(before);
            self.text.push_str(label);
            self.text.push_str("=\"");
            escape(&mut self.text, value, true);
            self.text.push('"');
            before = ',';
        }
        self.text.push_str(if N == 0 { " " } else { "} " });
        writeln!(self.text, "{value}").expect("text takes text");
    }
}

/// A number in the shortest form that reads back as itself. Most are whole, and those print several times faster.
struct Number(f64);

impl Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        /// Every whole number up to here is exact (IEEE 754: 53 bits).
        const EXACT: f64 = 9_007_199_254_740_992.0;
        let Self(value) = *self;
        let is_minus_zero = value == 0.0 && value.is_sign_negative();
        if value.fract() == 0.0 && value.abs() <= EXACT && !is_minus_zero {
            Display::fmt(&(value as i64), f)
        } else {
            Display::fmt(&value, f)
        }
    }
}

/// Adds text with the characters escaped that end a line or a label.
fn escape(text: &mut String, raw: &str, is_quoted: bool) {
    let special = |c: char| c == '\\' || c == '\n' || (is_quoted && c == '"');
    if !raw.contains(special) {
        return text.push_str(raw);
    }
    for c in raw.chars() {
        match c {
            '\n' => text.push_str("\\n"),
            c if special(c) => text.extend(['\\', c]),
            c => text.push(c),
        }
    }
}
