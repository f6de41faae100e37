//! TLS records and TDS packets in words, as far as they are readable without a key (RFC 8446 section 5.1, MS-TDS 2.2.3.1).

use super::records::Head;
use crate::evidence::Escaped;

/// Length of a record's head (RFC 8446 section 5.1), in bytes.
pub(super) const RECORD_HEAD: usize = 5;
/// Length of a packet's head (MS-TDS 2.2.3.1), in bytes.
pub(super) const PACKET_HEAD: usize = 8;
/// Handshake messages named of one record at most.
const MESSAGES: usize = 8;

/// Whether a stream begins with a TLS record: its type, and the major version 3.
pub(super) fn is_record(bytes: &[u8]) -> bool {
    matches!(bytes, [0x14..=0x17, 3, ..])
}

/// Whether a stream begins with a TDS packet: a type in use, and a status.
pub(super) fn is_packet(bytes: &[u8]) -> bool {
    matches!(bytes, [0x04 | 0x12, 0 | 1, ..])
}

/// Reads a record. `is_encrypted` is set by the record that says so, for TLS 1.2, whose last handshake message cannot be read.
pub(super) fn record(bytes: &[u8], is_encrypted: &mut bool) -> Head {
    let length = usize::from(u16::from_be_bytes([bytes[3], bytes[4]]));
    let body = &bytes[RECORD_HEAD..];
    let body = &body[..body.len().min(length)];
    let words = match bytes[0] {
        0x14 => {
            *is_encrypted = true;
            "TLS: from here on encrypted (ChangeCipherSpec)".to_owned()
        }
        0x15 => match body {
            [level, number] if !*is_encrypted => {
                let level = if *level == 2 { "fatal" } else { "warning" };
                format!("TLS: alert {number}, {level}")
            }
            _ => format!("TLS: an encrypted alert of {length} bytes"),
        },
        0x16 if *is_encrypted => format!("TLS: encrypted handshake, {length} bytes"),
        0x16 => format!("TLS: {}, {length} bytes", handshake(body)),
        0x17 => format!("TLS: encrypted, {length} bytes"),
        kind => format!("no record of TLS: type {kind}"),
    };
    Head { length, words }
}

/// Reads a packet.
pub(super) fn packet(bytes: &[u8]) -> Head {
    let length = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
    let name = match bytes[0] {
        0x04 => "the server's answer".to_owned(),
        0x12 if is_record(&bytes[PACKET_HEAD..]) => {
            let inner = &bytes[PACKET_HEAD..];
            if inner.len() < RECORD_HEAD { "TLS inside".to_owned() } else { record(inner, &mut false).words }
        }
        0x12 => "PRELOGIN".to_owned(),
        kind => format!("type {kind}"),
    };
    Head { length: length.saturating_sub(PACKET_HEAD), words: format!("TDS: {name}, packet of {length} bytes") }
}

/// The handshake messages of one record (RFC 8446 section 4, RFC 5246 section 7.4).
fn handshake(mut body: &[u8]) -> String {
    let mut names = Vec::new();
    while let [kind, a, b, c, rest @ ..] = body
        && names.len() < MESSAGES
    {
        names.push(match kind {
            1 => server_name(rest).map_or("ClientHello".to_owned(), |name| format!("ClientHello for {name}")),
            2 => "ServerHello".to_owned(),
            4 => "NewSessionTicket".to_owned(),
            11 => "Certificate".to_owned(),
            12 => "ServerKeyExchange".to_owned(),
            13 => "CertificateRequest".to_owned(),
            14 => "ServerHelloDone".to_owned(),
            15 => "CertificateVerify".to_owned(),
            16 => "ClientKeyExchange".to_owned(),
            20 => "Finished".to_owned(),
            22 => "CertificateStatus".to_owned(),
            kind => format!("handshake message {kind}"),
        });
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        body = rest.get(length..).unwrap_or_default();
    }
    if names.is_empty() { "part of a handshake message".to_owned() } else { names.join(", ") }
}

/// The name that a ClientHello asks for (RFC 8446 section 4.1.2, RFC 6066 section 3).
fn server_name(hello: &[u8]) -> Option<String> {
    // Version and random; then the session id, the suites and the compressions, each with its length before it.
    let mut rest = hello.get(34..)?;
    rest = rest.get(1 + usize::from(*rest.first()?)..)?;
    rest = rest.get(2 + short(rest)?..)?;
    rest = rest.get(1 + usize::from(*rest.first()?)..)?.get(2..)?;
    while let Some(kind) = short(rest) {
        let length = short(rest.get(2..)?)?;
        let body = rest.get(4..4 + length)?;
        if kind == 0 {
            return Some(Escaped(body.get(5..)?).to_string());
        }
        rest = rest.get(4 + length..)?;
    }
    None
}

fn short(bytes: &[u8]) -> Option<usize> {
    Some(usize::from(u16::from_be_bytes([*bytes.first()?, *bytes.get(1)?])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(bytes: &[u8]) -> String {
        record(bytes, &mut false).words
    }

    #[test]
    fn records_say_what_they_hold_as_far_as_it_is_in_clear() {
        let hello = [&[0x16, 3, 3, 0, 6][..], &[2, 0, 0, 2, 3, 3]].concat();
        assert_eq!(words(&hello), "TLS: ServerHello, 6 bytes");
        assert_eq!(words(&[0x15, 3, 3, 0, 2, 2, 40]), "TLS: alert 40, fatal");
        assert_eq!(words(&[0x17, 3, 3, 1, 0]), "TLS: encrypted, 256 bytes");
        let mut is_encrypted = false;
        assert_eq!(record(&[0x14, 3, 3, 0, 1, 1], &mut is_encrypted).length, 1);
        assert_eq!(record(&[0x16, 3, 3, 0, 40, 9], &mut is_encrypted).words, "TLS: encrypted handshake, 40 bytes");
    }

    #[test]
    fn a_hello_names_whom_it_asks_for() {
        let name = b"\0\0\0\x10\0\x0e\0\0\x0blogin.xmple";
        let extensions = [&[0, name.len() as u8][..], name].concat();
        let body = [&[3, 3][..], &[7; 32], &[0], &[0, 2, 0x13, 1], &[1, 0], &extensions].concat();
        let hello = [&[0x16, 3, 1, 0, body.len() as u8 + 4, 1, 0, 0, body.len() as u8][..], &body].concat();
        assert_eq!(words(&hello), format!("TLS: ClientHello for login.xmple, {} bytes", body.len() + 4));
        for end in RECORD_HEAD..hello.len() {
            assert!(words(&hello[..end]).starts_with("TLS: "), "cut at {end}");
        }
    }

    #[test]
    fn packets_of_tds_say_what_they_carry() {
        assert_eq!(packet(&[0x12, 1, 0, 20, 0, 0, 1, 0, 0, 0]).words, "TDS: PRELOGIN, packet of 20 bytes");
        let inner = [0x12, 1, 0, 15, 0, 0, 1, 0, 0x15, 3, 3, 0, 2, 2, 40];
        assert_eq!(packet(&inner).words, "TDS: TLS: alert 40, fatal, packet of 15 bytes");
        assert_eq!(packet(&[0x04, 1, 0, 3, 0, 0, 1, 0]).length, 0);
    }
}
