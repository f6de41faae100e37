//! TDS on the wire: packets put together and the PRELOGIN options (MS-TDS 2.2.3.1 and 2.2.6.5). No sockets here.

use super::{Encryption, Prelogin, ServerVersion};
use crate::evidence::Trouble;

/// Bytes of a packet header (MS-TDS 2.2.3.1).
pub(super) const HEADER: usize = 8;
/// Packet type of PRELOGIN, and of the TLS records behind it (MS-TDS 2.2.3.1.1).
pub(super) const TYPE_PRELOGIN: u8 = 0x12;
/// Packet type of every server reply (MS-TDS 2.2.3.1.1).
pub(super) const TYPE_REPLY: u8 = 0x04;
/// Status bit of a message's last packet (MS-TDS 2.2.3.1.2).
pub(super) const END_OF_MESSAGE: u8 = 0x01;
/// Bytes of one packet with its header: the default packet size (MS-TDS 2.2.6.4, PacketSize), which holds before a login.
pub(super) const PAYLOAD_LIMIT: usize = 4096;
/// Bytes of one message with its headers: a PRELOGIN has less than 100, a flight of TLS records with its chain 3 to 6 KiB.
pub(super) const MESSAGE_LIMIT: usize = 32 * 1024;
/// The rule that a longer packet breaks.
pub(super) const PACKET_RULE: &str = "4 KiB in a TDS packet";
/// The rule that a longer message breaks.
pub(super) const MESSAGE_RULE: &str = "32 KiB of TDS message";
/// Options in one PRELOGIN: twice those that MS-TDS 2.2.6.5 knows (0x00 to 0x07).
const OPTION_LIMIT: usize = 16;
/// Bytes of one entry of the option table: token, offset, length (MS-TDS 2.2.6.5).
const ENTRY: usize = 5;
/// PL_OPTION_TOKEN values (MS-TDS 2.2.6.5).
const TOKEN_VERSION: u8 = 0x00;
const TOKEN_ENCRYPTION: u8 = 0x01;
const TERMINATOR: u8 = 0xff;

/// A PRELOGIN message that asks for encryption (MS-TDS 2.2.6.5): VERSION, ENCRYPTION on, INSTOPT, THREADID and MARS.
pub(super) const PRELOGIN: [u8; 47] = [
    0x12, 0x01, 0x00, 0x2f, 0x00, 0x00, 0x01, 0x00, // header: type, status, length 47, process, packet, window
    0x00, 0x00, 0x1a, 0x00, 0x06, // VERSION at 26, 6 bytes
    0x01, 0x00, 0x20, 0x00, 0x01, // ENCRYPTION at 32, 1 byte
    0x02, 0x00, 0x21, 0x00, 0x01, // INSTOPT at 33, 1 byte
    0x03, 0x00, 0x22, 0x00, 0x04, // THREADID at 34, 4 bytes
    0x04, 0x00, 0x26, 0x00, 0x01, // MARS at 38, 1 byte
    0xff, // end of the table
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // VERSION 0.0.0
    0x01, // ENCRYPTION: on
    0x00, // INSTOPT: the default instance
    0x00, 0x00, 0x00, 0x00, // THREADID
    0x00, // MARS: off
];

/// Reads a packet's payload length from its header.
///
/// # Errors
/// The limit or rule that the length breaks.
pub(super) fn payload_len(header: [u8; HEADER]) -> Result<usize, Trouble> {
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    match length.checked_sub(HEADER) {
        None => Err(Trouble::Malformed("a TDS packet shorter than its header")),
        Some(payload) if payload > PAYLOAD_LIMIT => Err(Trouble::TooMuch(PACKET_RULE)),
        Some(payload) => Ok(payload),
    }
}

/// A server's message, put together from its packets as bytes come in.
#[derive(Debug, Default)]
pub(super) struct Message {
    pending: Vec<u8>,
    body: Vec<u8>,
    received: usize,
}

impl Message {
    /// Takes the next bytes; returns the message's payload once it is whole.
    ///
    /// # Errors
    /// The first rule or limit that the bytes break.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<Option<Vec<u8>>, Trouble> {
        self.received += bytes.len();
        if self.received > MESSAGE_LIMIT {
            return Err(Trouble::TooMuch(MESSAGE_RULE));
        }
        self.pending.extend_from_slice(bytes);
        loop {
            if self.pending.first().is_some_and(|kind| *kind != TYPE_REPLY) {
                return Err(Trouble::Malformed("the answer is no TDS reply"));
            }
            let Some(header) = self.pending.first_chunk().copied() else { return Ok(None) };
            let end = HEADER + payload_len(header)?;
            let Some(payload) = self.pending.get(HEADER..end) else { return Ok(None) };
            self.body.extend_from_slice(payload);
            self.pending.drain(..end);
            if header[1] & END_OF_MESSAGE != 0 {
                if !self.pending.is_empty() {
                    return Err(Trouble::Malformed("more than the TDS reply that was asked for"));
                }
                return Ok(Some(std::mem::take(&mut self.body)));
            }
        }
    }
}

/// Decodes the server's PRELOGIN options.
///
/// # Errors
/// The rule that they break.
pub(super) fn decode(payload: &[u8]) -> Result<Prelogin, &'static str> {
    let (mut version, mut encryption) = (None, None);
    for number in 0..=OPTION_LIMIT {
        let at = number * ENTRY;
        match payload.get(at) {
            None => return Err("PRELOGIN options without an end"),
            Some(&TERMINATOR) => break,
            Some(_) if number == OPTION_LIMIT => return Err("more than 16 PRELOGIN options"),
            Some(&token) => {
                let value = value(payload, at)?;
                match token {
                    TOKEN_VERSION => version = Some(server_version(value)?),
                    TOKEN_ENCRYPTION => encryption = value.first().copied().map(Encryption::from),
                    _ => {}
                }
            }
        }
    }
    let version = version.ok_or("PRELOGIN without VERSION")?;
    let encryption = encryption.ok_or("PRELOGIN without ENCRYPTION")?;
    Ok(Prelogin { version, encryption })
}

fn value(payload: &[u8], entry: usize) -> Result<&[u8], &'static str> {
    let Some(&[_, offset_high, offset_low, len_high, len_low]) = payload.get(entry..entry + ENTRY) else {
        return Err("PRELOGIN options without an end");
    };
    let offset = usize::from(u16::from_be_bytes([offset_high, offset_low]));
    let len = usize::from(u16::from_be_bytes([len_high, len_low]));
    payload.get(offset..offset + len).ok_or("a PRELOGIN option points beyond the message")
}

fn server_version(value: &[u8]) -> Result<ServerVersion, &'static str> {
    match value {
        &[major, minor, high, low, _, _] => Ok(ServerVersion { major, minor, build: u16::from_be_bytes([high, low]) }),
        _ => Err("PRELOGIN VERSION must have 6 bytes"),
    }
}

impl From<u8> for Encryption {
    fn from(value: u8) -> Self {
        match value {
            0 => Self::Off,
            1 => Self::On,
            2 => Self::NotSupported,
            3 => Self::Required,
            other => Self::Other(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prelogin(options: &[(u8, u16, u16)], data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (token, offset, len) in options {
            bytes.push(*token);
            bytes.extend(offset.to_be_bytes());
            bytes.extend(len.to_be_bytes());
        }
        bytes.push(TERMINATOR);
        bytes.extend_from_slice(data);
        bytes
    }

    fn packet(status: u8, payload: &[u8]) -> Vec<u8> {
        let len = u16::try_from(HEADER + payload.len()).expect("test packets are short");
        let mut bytes = vec![TYPE_REPLY, status];
        bytes.extend(len.to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn the_question_is_a_well_formed_prelogin() {
        assert_eq!(usize::from(u16::from_be_bytes([PRELOGIN[2], PRELOGIN[3]])), PRELOGIN.len());
        let decoded = decode(&PRELOGIN[HEADER..]).expect("our own message is well formed");
        assert_eq!(
            decoded,
            Prelogin { version: ServerVersion { major: 0, minor: 0, build: 0 }, encryption: Encryption::On }
        );
    }

    #[test]
    fn options_are_read_and_broken_ones_named() {
        let good = prelogin(&[(0, 11, 6), (1, 17, 1)], &[12, 0, 0x07, 0xd0, 0, 0, 3]);
        let many = vec![(4, 0, 1); 17];
        let rows: &[(Vec<u8>, Result<Prelogin, &str>)] = &[
            (
                good.clone(),
                Ok(Prelogin {
                    version: ServerVersion { major: 12, minor: 0, build: 2000 },
                    encryption: Encryption::Required,
                }),
            ),
            (vec![4, 0, 0, 0, 1], Err("PRELOGIN options without an end")),
            (vec![4, 0, 0, 0, 1, 4, 0], Err("PRELOGIN options without an end")),
            (prelogin(&[(0, 11, 600), (1, 17, 1)], &[0; 7]), Err("a PRELOGIN option points beyond the message")),
            (prelogin(&[(0, 0xffff, 0xffff)], &[]), Err("a PRELOGIN option points beyond the message")),
            (prelogin(&[(0, 6, 5)], &[0; 7]), Err("PRELOGIN VERSION must have 6 bytes")),
            (prelogin(&[(1, 6, 1)], &[1]), Err("PRELOGIN without VERSION")),
            (prelogin(&[(0, 6, 6)], &[0; 6]), Err("PRELOGIN without ENCRYPTION")),
            (prelogin(&[(0, 11, 6), (1, 17, 0)], &[0; 6]), Err("PRELOGIN without ENCRYPTION")),
            (prelogin(&many, &[]), Err("more than 16 PRELOGIN options")),
            (Vec::new(), Err("PRELOGIN options without an end")),
        ];
        for (bytes, expected) in rows {
            assert_eq!(decode(bytes), *expected, "{bytes:x?}");
        }
    }

    #[test]
    fn a_message_may_come_in_many_packets_and_single_bytes() {
        let mut message = Message::default();
        let bytes = [packet(0, b"abc"), packet(0, b""), packet(END_OF_MESSAGE, b"def")].concat();
        let (last, first) = bytes.split_last().expect("three packets are not empty");
        for byte in first {
            assert_eq!(message.take(&[*byte]), Ok(None));
        }
        assert_eq!(message.take(&[*last]), Ok(Some(b"abcdef".to_vec())));
    }

    proptest! {
        #[test]
        fn the_decoder_is_total(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(prelogin) = decode(&bytes) {
                prop_assert!(bytes.contains(&TERMINATOR) && bytes.contains(&prelogin.version.major));
            }
        }

        #[test]
        fn a_message_never_holds_more_than_its_limit(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..5000), 0..20),
            reply: bool,
        ) {
            let mut message = Message::default();
            for mut chunk in chunks {
                if reply && !chunk.is_empty() {
                    chunk[0] = TYPE_REPLY;
                }
                let result = message.take(&chunk);
                prop_assert!(message.pending.len() + message.body.len() <= MESSAGE_LIMIT + chunk.len());
                match result {
                    Ok(None) => {}
                    Ok(Some(body)) => prop_assert!(body.len() <= MESSAGE_LIMIT),
                    Err(_) => break,
                }
            }
        }
    }
}
