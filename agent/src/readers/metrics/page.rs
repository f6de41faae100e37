//! The text of the exposition, written as the values come: at 10 000 endpoints there are 120 000 samples, and a structure
//! for each, with its labels copied, costs several times the text. It knows the format and no metric.

use std::fmt::Write;

use itoa::Buffer;

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
        self.family(name, help, "gauge", values.map(|(labels, value)| (labels, Number::of(value))));
    }

    /// Adds a family of counters, where there is at least one.
    pub(super) fn counters<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl Iterator<Item = (Labels<'a, N>, u64)>,
    ) {
        self.family(name, help, "counter", values.map(|(labels, count)| (labels, Number::Count(count))));
    }

    /// Adds a family of counters that are no whole numbers, where there is at least one.
    pub(super) fn decimals<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl Iterator<Item = (Labels<'a, N>, f64)>,
    ) {
        self.family(name, help, "counter", values.map(|(labels, value)| (labels, Number::of(value))));
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

    fn family<'a, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        kind: &str,
        values: impl Iterator<Item = (Labels<'a, N>, Number)>,
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
        values.for_each(|(labels, value)| self.sample(name, labels, value));
    }

    fn sample<const N: usize>(&mut self, name: &str, labels: Labels<'_, N>, value: Number) {
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
        value.write(&mut self.text);
        self.text.push('\n');
    }
}

/// A value, by how it is written fastest: most are whole numbers, and a number with a fraction costs twenty times as much.
enum Number {
    Count(u64),
    Whole(i64),
    Fraction(f64),
}

impl Number {
    fn of(value: f64) -> Self {
        /// Every whole number up to here is exact (IEEE 754: 53 bits).
        const EXACT: f64 = 9_007_199_254_740_992.0;
        let is_minus_zero = value == 0.0 && value.is_sign_negative();
        if value.fract() == 0.0 && value.abs() <= EXACT && !is_minus_zero {
            Self::Whole(value as i64)
        } else {
            Self::Fraction(value)
        }
    }

    /// Writes it in the shortest form that reads back as itself.
    fn write(&self, text: &mut String) {
        match self {
            Self::Count(count) => text.push_str(Buffer::new().format(*count)),
            Self::Whole(whole) => text.push_str(Buffer::new().format(*whole)),
            Self::Fraction(value) if value.is_nan() => text.push_str("NaN"),
            Self::Fraction(value) => write!(text, "{value}").expect("text takes text"),
        }
    }
}

/// Adds text with the characters escaped that end a line or a label.
fn escape(text: &mut String, raw: &str, is_quoted: bool) {
    let special = |c: char| c == '\\' || c == '\n' || (is_quoted && c == '"');
    // Looks at every byte, as that is done many at a time: nearly no text has one. None of them is part of a longer character.
    let any = raw.bytes().fold(false, |any, byte| any | (byte == b'\\') | (byte == b'\n') | (byte == b'"'));
    if !any {
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
