//! Bytes as a data file writes them: text, digits, repetitions, and well-formed messages of each protocol that are then
//! changed, so that a row shows only what is wrong about it.

use std::time::Duration;

use serde::Deserialize;

use crate::sim::{ntp, tds};

/// What bytes are made from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    /// What the peer read last.
    pub(super) heard: &'a [u8],
    /// The peer's own port, which stands for `{port}` in texts.
    pub(super) port: u16,
    /// The wall clock, since the Unix epoch.
    pub(super) now: Duration,
}

/// Bytes.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Bytes {
    /// A text.
    Text(String),
    /// Parts one behind another.
    Parts(Vec<Bytes>),
    /// What is made.
    Made(Box<Made>),
}

/// What is made.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Made {
    /// Hexadecimal digits; blanks between them count for nothing.
    Hex(Hex),
    /// The same a number of times.
    Times(usize, Bytes),
    /// Other bytes, changed.
    Changed(Changed),
    /// A message with its length in two bytes before it.
    Framed(Bytes),
    /// An answer to the DNS question that was heard.
    Dns(Dns),
    /// An answer to the NTP request that was heard, by a time server in this mood.
    Ntp(ntp::Mood),
    /// The options of a PRELOGIN answer with this encryption (MS-TDS 2.2.6.5).
    Prelogin(u8),
    /// A TDS packet of the server's around these bytes (MS-TDS 2.2.3.1).
    Packet(Bytes),
}

/// Hexadecimal digits.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Hex(Vec<u8>);

impl TryFrom<String> for Hex {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits: String = text.split_whitespace().collect();
        let rule = || format!("hex ({text}) must be pairs of hexadecimal digits");
        let pairs = digits.as_bytes().chunks(2);
        let byte = |pair: &[u8]| {
            let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
            u8::from_str_radix(pair, 16).ok()
        };
        pairs.map(|pair| byte(pair).ok_or_else(rule)).collect::<Result<_, _>>().map(Self)
    }
}

/// Bytes that differ from others.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Changed {
    /// Those.
    of: Bytes,
    /// Places at which other bytes stand.
    #[serde(default)]
    set: Vec<(usize, Hex)>,
    /// How many remain.
    #[serde(default)]
    cut: Option<usize>,
}

/// An answer to a DNS question; what is not said is as it should be (RFC 1035 section 4.1).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct Dns {
    /// The response code.
    code: u8,
    /// The two bytes of flags, without the code.
    flags: Option<Hex>,
    /// Whether the question is another one.
    other_question: bool,
    /// Whether there is no question.
    no_question: bool,
    /// Records of the answer section, each behind a pointer to the asked name: type, and the data in digits.
    records: Option<Vec<(u16, Hex)>>,
    /// What stands in the place of all records, as it is.
    raw: Option<Bytes>,
    /// The four counts of the header.
    counts: Option<[u16; 4]>,
}

impl Bytes {
    /// The bytes.
    pub(super) fn make(&self, context: Context<'_>) -> Vec<u8> {
        match self {
            Self::Text(text) => text.replace("{port}", &context.port.to_string()).into_bytes(),
            Self::Parts(parts) => parts.iter().flat_map(|part| part.make(context)).collect(),
            Self::Made(made) => made.make(context),
        }
    }
}

impl Made {
    fn make(&self, context: Context<'_>) -> Vec<u8> {
        match self {
            Self::Hex(hex) => hex.0.clone(),
            Self::Times(count, bytes) => bytes.make(context).repeat(*count),
            Self::Changed(changed) => changed.make(context),
            Self::Framed(bytes) => {
                let message = bytes.make(context);
                let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
                [&length.to_be_bytes()[..], &message].concat()
            }
            Self::Dns(answer) => answer.make(context).unwrap_or_default(),
            Self::Ntp(mood) => ntp::answer(context.heard, mood, context.now).unwrap_or_default(),
            Self::Prelogin(encryption) => tds::prelogin_options(*encryption),
            Self::Packet(bytes) => tds::packet(tds::TABULAR, &bytes.make(context)),
        }
    }
}

impl Changed {
    fn make(&self, context: Context<'_>) -> Vec<u8> {
        let mut bytes = self.of.make(context);
        for (at, Hex(change)) in &self.set {
            bytes.resize(bytes.len().max(at + change.len()), 0);
            bytes[*at..at + change.len()].copy_from_slice(change);
        }
        bytes.truncate(self.cut.unwrap_or(bytes.len()));
        bytes
    }
}

/// Length of a DNS header in bytes.
const HEADER: usize = 12;
/// An address record's data: the peer of every other kind, too.
const ADDRESS: [u8; 4] = [20, 0, 0, 1];

impl Dns {
    /// The answer; none where no question was heard.
    fn make(&self, context: Context<'_>) -> Option<Vec<u8>> {
        let id = context.heard.get(..2)?;
        let mut question = asked(context.heard)?.to_vec();
        if self.other_question {
            question[1] ^= 0x01;
        }
        if self.no_question {
            question.clear();
        }
        let flags = self.flags.as_ref().and_then(|hex| hex.0.first_chunk().copied()).unwrap_or([0x81, 0x80]);
        let (count, body) = match (&self.raw, &self.records) {
            (Some(raw), _) => (1, raw.make(context)),
            (None, Some(records)) => {
                (records.len(), records.iter().flat_map(|(kind, hex)| record(*kind, &hex.0)).collect())
            }
            (None, None) if self.code == 0 => (1, record(1, &ADDRESS)),
            (None, None) => (0, Vec::new()),
        };
        let count = u16::try_from(count).unwrap_or(u16::MAX);
        let counts = self.counts.unwrap_or([u16::from(!self.no_question), count, 0, 0]);
        let counts: Vec<u8> = counts.iter().flat_map(|count| count.to_be_bytes()).collect();
        Some([id, &[flags[0], flags[1] | self.code], &counts, &question, &body].concat())
    }
}

/// The question section of a question: one name, type and class.
fn asked(message: &[u8]) -> Option<&[u8]> {
    let mut end = HEADER;
    loop {
        let length = usize::from(*message.get(end)?);
        end += 1 + length;
        if length == 0 {
            return message.get(HEADER..end + 4);
        }
    }
}

/// A record of the asked name that may be kept for half a minute.
fn record(kind: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap_or(u16::MAX);
    let [kind, class] = [kind, 1].map(u16::to_be_bytes);
    [&[0xc0, 0x0c][..], &kind, &class, &30u32.to_be_bytes(), &length.to_be_bytes(), data].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(text: &str, heard: &[u8]) -> Vec<u8> {
        let bytes: Bytes = serde_json::from_str(text).expect(text);
        bytes.make(Context { heard, port: 8080, now: Duration::from_secs(1_800_000_000) })
    }

    #[test]
    fn texts_digits_and_repetitions_are_put_together() {
        assert_eq!(made(r#"["a{port}", {"hex": "00 ff"}, {"times": [2, "xy"]}]"#, b""), b"a8080\x00\xffxyxy");
        assert_eq!(made(r#"{"changed": {"of": "abcdef", "set": [[1, "5858"]], "cut": 4}}"#, b""), b"aXXd");
        assert_eq!(made(r#"{"framed": "abc"}"#, b""), b"\x00\x03abc");
        assert_eq!(made(r#"{"packet": "abc"}"#, b""), b"\x04\x01\x00\x0b\x00\x00\x01\x00abc");
        assert!(serde_json::from_str::<Bytes>(r#"{"hex": "0"}"#).is_err());
    }

    #[test]
    fn an_answer_repeats_id_and_question_and_holds_an_address() {
        let question = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\x01\x01a\0\0\x01\0\x01\0\0\x29\x04\xd0\0\0\0\0\0\0";
        let answer = made(r#"{"dns": {}}"#, question);
        assert_eq!(answer[..HEADER], *b"\x12\x34\x81\x80\0\x01\0\x01\0\0\0\0");
        assert_eq!(answer[HEADER..], *b"\x01a\0\0\x01\0\x01\xc0\x0c\0\x01\0\x01\0\0\0\x1e\0\x04\x14\0\0\x01");
        let refused = made(r#"{"dns": {"code": 5, "other-question": true}}"#, question);
        assert_eq!(refused[..], *b"\x12\x34\x81\x85\0\x01\0\0\0\0\0\0\x01\x60\0\0\x01\0\x01");
        assert_eq!(made(r#"{"dns": {}}"#, b"\x12\x34"), b"");
    }
}
