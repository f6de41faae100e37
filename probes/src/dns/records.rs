//! The sections of a DNS message, read record by record (RFC 1035 section 4.1): one that cannot be read spoils nothing
//! before it, and of types that nobody asked for only the length is read.

/// The longest name on the wire in bytes, with its final zero (RFC 1035 section 2.3.4).
const LONGEST_NAME: usize = 255;

/// Why the rest of a message cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// It ends before what it announces.
    Cut,
    /// A name is no name: a pointer that does not lead back, a label of an unknown kind, or more than 255 bytes.
    Name,
    /// An address has not the length of one.
    Data,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    /// Whose it is, lower case without the final dot.
    pub(super) owner: String,
    /// The type.
    pub(super) kind: u16,
    /// The class; of an OPT record the payload size.
    pub(super) class: u16,
    /// The time to live in seconds; of an OPT record the upper bits of the response code and flags.
    pub(super) ttl: u32,
    /// The data.
    pub(super) data: &'a [u8],
    /// Where the data begins in the message.
    at: usize,
}

/// A place in a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Begins at this place.
    pub(super) fn at(message: &'a [u8], at: usize) -> Self {
        Self { message, at }
    }

    /// The next name, lower case without the final dot. Bytes that are no letters of a host name are escaped as in RFC
    /// 1035 section 5.1.
    pub(super) fn name(&mut self) -> Result<String, Flaw> {
        let (text, end) = name(self.message, self.at)?;
        self.at = end;
        Ok(text)
    }

    /// The next two bytes as a number.
    pub(super) fn number(&mut self) -> Result<u16, Flaw> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// The next record.
    pub(super) fn record(&mut self) -> Result<Record<'a>, Flaw> {
        let owner = self.name()?;
        let (kind, class) = (self.number()?, self.number()?);
        let ttl = u32::from(self.number()?) << 16 | u32::from(self.number()?);
        let length = self.number()?;
        let at = self.at;
        Ok(Record { owner, kind, class, ttl, data: self.take(usize::from(length))?, at })
    }

    /// The next EDNS option: its code and its data (RFC 6891 section 6.1.2).
    pub(super) fn option(&mut self) -> Result<(u16, &'a [u8]), Flaw> {
        let (code, length) = (self.number()?, self.number()?);
        Ok((code, self.take(usize::from(length))?))
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Flaw> {
        let bytes = self.message.get(self.at..self.at + count).ok_or(Flaw::Cut)?;
        self.at += count;
        Ok(bytes)
    }
}

impl Record<'_> {
    /// The data as a name, which may point back into the message.
    pub(super) fn target(&self, message: &[u8]) -> Result<String, Flaw> {
        name(message, self.at).map(|(text, _)| text)
    }
}

/// The name at this place, and where it ends. Every pointer leads further back than the one before, so that it ends.
fn name(message: &[u8], start: usize) -> Result<(String, usize), Flaw> {
    let (mut text, mut length, mut at, mut back, mut end) = (String::new(), 1, start, start, None);
    loop {
        let size = usize::from(*message.get(at).ok_or(Flaw::Cut)?);
        match size >> 6 {
            0 if size == 0 => return Ok((text, end.unwrap_or(at + 1))),
            0 => {
                let label = message.get(at + 1..=at + size).ok_or(Flaw::Cut)?;
                length += 1 + size;
                if length > LONGEST_NAME {
                    return Err(Flaw::Name);
                }
                append(&mut text, label);
                at += 1 + size;
            }
            3 => {
                let low = usize::from(*message.get(at + 1).ok_or(Flaw::Cut)?);
                end.get_or_insert(at + 2);
                at = (size & 0x3f) << 8 | low;
                if at >= back {
                    return Err(Flaw::Name);
                }
                back = at;
            }
            _ => return Err(Flaw::Name),
        }
    }
}

fn append(text: &mut String, label: &[u8]) {
    if !text.is_empty() {
        text.push('.');
    }
    for byte in label {
        match byte {
            b'.' | b'\\' => text.extend(['\\', char::from(*byte)]),
            0x21..=0x7e => text.push(char::from(byte.to_ascii_lowercase())),
            other => text.push_str(&format!("\\{other:03}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_through_pointers_and_strange_bytes_are_escaped() {
        let message = b"\x03Web\x07Example\0\x01a\xc0\x04\x04a.\\\xff\0";
        let mut reader = Reader::at(message, 0);
        let names = [reader.name(), reader.name(), reader.name()];
        assert_eq!(names, [Ok("web.example".into()), Ok("a.example".into()), Ok("a\\.\\\\\\255".into())]);
        assert_eq!(reader.name(), Err(Flaw::Cut));
    }

    #[test]
    fn pointers_that_do_not_lead_back_and_names_that_are_too_long_are_none() {
        for (label, message) in [
            ("to itself", b"\xc0\0".to_vec()),
            ("forward", b"\xc0\x02\0".to_vec()),
            ("back into the same name", b"\x01a\xc0\0".to_vec()),
            ("an unknown kind of label", b"\x41a\0".to_vec()),
            ("256 bytes", [&[b"\x3f".as_slice(), &[b'a'; 63]].concat().repeat(4), b"\0".as_slice()].concat()),
        ] {
            assert_eq!(Reader::at(&message, 0).name(), Err(Flaw::Name), "{label}");
        }
        let two = b"\x01a\0\xc0\0\xc0\x03";
        assert_eq!(Reader::at(two, 5).name(), Ok("a".into()), "a pointer to a pointer");
    }

    #[test]
    fn a_record_ends_where_its_length_says() {
        let message = b"\0\0\x10\0\x01\0\0\x01\x02\0\x02ab\0";
        let mut reader = Reader::at(message, 0);
        let record = reader.record().expect("whole");
        assert_eq!((record.kind, record.class, record.ttl, record.data), (16, 1, 258, b"ab".as_slice()));
        assert_eq!(Reader::at(&message[..12], 0).record(), Err(Flaw::Cut));
    }
}
