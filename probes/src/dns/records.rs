//! The sections of a DNS message, read record by record (RFC 1035 section 4.1): one that cannot be read spoils nothing
//! before it, and of types that nobody asked for only the length is read.

use hickory_proto::{
    rr::Name,
    serialize::binary::{BinDecodable, BinDecoder, DecodeError},
};

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

/// A place in a message. The library reads names and numbers; that it reads on behind what it cannot read is our business.
pub(super) struct Reader<'a>(BinDecoder<'a>);

impl<'a> Reader<'a> {
    /// Begins at the first byte.
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self(BinDecoder::new(message))
    }

    /// The next name, lower case without the final dot. Bytes that are no letters of a host name are escaped: a
    /// backslash and three octal digits.
    pub(super) fn name(&mut self) -> Result<String, Flaw> {
        Ok(normal(&Name::read(&mut self.0)?))
    }

    /// The next two bytes as a number.
    pub(super) fn number(&mut self) -> Result<u16, Flaw> {
        Ok(self.0.read_u16()?.unverified(/* any number is one */))
    }

    /// The next record.
    pub(super) fn record(&mut self) -> Result<Record<'a>, Flaw> {
        let owner = self.name()?;
        let (kind, class) = (self.number()?, self.number()?);
        let ttl = self.0.read_u32()?.unverified(/* any number is one */);
        let length = self.number()?;
        let at = self.0.index();
        Ok(Record { owner, kind, class, ttl, data: self.take(length)?, at })
    }

    /// The next EDNS option: its code and its data (RFC 6891 section 6.1.2).
    pub(super) fn option(&mut self) -> Result<(u16, &'a [u8]), Flaw> {
        let (code, length) = (self.number()?, self.number()?);
        Ok((code, self.take(length)?))
    }

    fn take(&mut self, count: u16) -> Result<&'a [u8], Flaw> {
        Ok(self.0.read_slice(usize::from(count))?.unverified(/* whoever reads the data judges it */))
    }
}

impl Record<'_> {
    /// The data as a name, which may point back into the message.
    pub(super) fn target(&self, message: &[u8]) -> Result<String, Flaw> {
        // A message has 65535 bytes at most, and the data stands inside.
        let at = u16::try_from(self.at).map_err(|_| Flaw::Cut)?;
        Reader(BinDecoder::new(message).clone(at)).name()
    }
}

impl From<DecodeError> for Flaw {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::InsufficientBytes => Self::Cut,
            _ => Self::Name,
        }
    }
}

/// A name in lower case without the final dot.
pub(super) fn normal(name: &Name) -> String {
    name.to_lowercase().to_ascii().trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_through_pointers_and_strange_bytes_are_escaped() {
        let message = b"\x03Web\x07Example\0\x01a\xc0\x04\x04a.\\\xff\0";
        let mut reader = Reader::new(message);
        let names = [reader.name(), reader.name(), reader.name()];
        assert_eq!(names, [Ok("web.example".into()), Ok("a.example".into()), Ok("a\\.\\\\\\377".into())]);
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
            assert_eq!(Reader::new(&message).name(), Err(Flaw::Name), "{label}");
        }
        let mut two = Reader::new(b"\x01a\0\xc0\0\xc0\x03");
        let names = [two.name(), two.name(), two.name()];
        assert_eq!(names, [Ok("a".into()), Ok("a".into()), Ok("a".into())], "a pointer to a pointer");
    }

    #[test]
    fn a_record_ends_where_its_length_says() {
        let message = b"\0\0\x10\0\x01\0\0\x01\x02\0\x02ab\0";
        let mut reader = Reader::new(message);
        let record = reader.record().expect("whole");
        assert_eq!((record.kind, record.class, record.ttl, record.data), (16, 1, 258, b"ab".as_slice()));
        assert_eq!(Reader::new(&message[..12]).record(), Err(Flaw::Cut));
    }
}
