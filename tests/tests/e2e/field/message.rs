//! DNS messages byte by byte (RFC 1035 section 4), so that a scripted server can send what no library would.

use std::net::IpAddr;

/// The bit that says answer, with recursion desired and available.
const ANSWER: u16 = 0x8180;
/// The record type of EDNS (RFC 6891).
const OPT: u16 = 41;
/// A pointer to the name that was asked: it always stands behind the header of 12 bytes.
const ASKED: [u8; 2] = [0xc0, 0x0c];

/// What a server was asked.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    id: [u8; 2],
    section: Vec<u8>,
    /// The name, lower case, without the last dot.
    pub(crate) name: String,
    /// The type that is asked for: 1 is A, 28 AAAA.
    pub(crate) kind: u16,
    /// Whether the question has an additional record, which is EDNS.
    pub(crate) has_edns: bool,
    /// Whether it came over TCP.
    pub(crate) over_tcp: bool,
}

impl Question {
    /// Reads a message; `None` where it is cut.
    pub(crate) fn read(message: &[u8], over_tcp: bool) -> Option<Self> {
        let mut labels = Vec::new();
        let mut at = 12;
        loop {
            let length = usize::from(*message.get(at)?);
            at += 1;
            if length == 0 {
                break;
            }
            labels.push(String::from_utf8_lossy(message.get(at..at + length)?).to_lowercase());
            at += length;
        }
        let kind = u16::from_be_bytes(message.get(at..at + 2)?.try_into().ok()?);
        let id = message.get(..2)?.try_into().ok()?;
        let section = message.get(12..at + 4)?.to_vec();
        Some(Self { id, section, name: labels.join("."), kind, has_edns: message.get(10..12)? != [0, 0], over_tcp })
    }
}

/// An answer under construction.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    question: Question,
    /// The second word of the header.
    pub(crate) flags: u16,
    /// The answer section.
    pub(crate) answers: Vec<Vec<u8>>,
    /// The authority section.
    pub(crate) authority: Vec<Vec<u8>>,
    /// The additional section; OPT stands in it where the question had one.
    pub(crate) additional: Vec<Vec<u8>>,
}

impl Reply {
    /// An empty answer without error.
    pub(crate) fn to(question: &Question) -> Self {
        let opt = question.has_edns.then(|| record(&[0], OPT, 0, &[]));
        Self {
            question: question.clone(),
            flags: ANSWER,
            answers: Vec::new(),
            authority: Vec::new(),
            additional: opt.into_iter().collect(),
        }
    }

    /// With this response code: 1 FORMERR, 2 SERVFAIL, 3 NXDOMAIN, 4 NOTIMP, 5 REFUSED.
    pub(crate) fn code(mut self, code: u16) -> Self {
        self.flags |= code;
        self
    }

    /// Without EDNS, whatever was asked.
    pub(crate) fn without_edns(mut self) -> Self {
        self.additional.clear();
        self
    }

    /// With an address of the name that was asked, if its family was asked for.
    pub(crate) fn address(self, address: &str) -> Self {
        match address.parse().expect("an address") {
            IpAddr::V4(ip) if self.question.kind == 1 => self.with(1, &ip.octets()),
            IpAddr::V6(ip) if self.question.kind == 28 => self.with(28, &ip.octets()),
            _ => self,
        }
    }

    /// With a record of the name that was asked.
    pub(crate) fn with(self, kind: u16, data: &[u8]) -> Self {
        self.with_named(&ASKED, kind, data)
    }

    /// With a record of another name.
    pub(crate) fn with_named(mut self, name: &[u8], kind: u16, data: &[u8]) -> Self {
        self.answers.push(record(name, kind, 60, data));
        self
    }

    /// The message.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let sections = [&self.answers, &self.authority, &self.additional];
        let mut message = self.question.id.to_vec();
        message.extend(self.flags.to_be_bytes());
        message.extend(1_u16.to_be_bytes());
        for section in sections {
            message.extend(u16::try_from(section.len()).expect("a handful of records").to_be_bytes());
        }
        message.extend(&self.question.section);
        message.extend(sections.into_iter().flatten().flatten());
        message
    }
}

/// A name as labels.
pub(crate) fn labels(name: &str) -> Vec<u8> {
    let label = |text: &str| [&[u8::try_from(text.len()).expect("a label")], text.as_bytes()].concat();
    name.split('.').filter(|text| !text.is_empty()).flat_map(label).chain([0]).collect()
}

/// A record of class IN. For OPT the class is the size that the server takes: 1232 bytes.
pub(crate) fn record(name: &[u8], kind: u16, lifetime: u32, data: &[u8]) -> Vec<u8> {
    let class: u16 = if kind == OPT { 1232 } else { 1 };
    let length = u16::try_from(data.len()).expect("a short record");
    let mut record = name.to_vec();
    record.extend(kind.to_be_bytes());
    record.extend(class.to_be_bytes());
    record.extend(lifetime.to_be_bytes());
    record.extend(length.to_be_bytes());
    record.extend(data);
    record
}
