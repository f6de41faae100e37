//! DNS messages that no healthy server sends, byte by byte (RFC 1035 section 4).

use hickory_proto::op::Message;

use super::mood::{Breakage, EdnsRefusal};

/// Length of the header in bytes.
const HEADER: usize = 12;
/// FORMERR and NOTIMP (RFC 1035 section 4.1.1).
const FORMERR: u8 = 1;
/// Not implemented.
const NOTIMP: u8 = 4;

/// The answer of a server that cannot bear EDNS; `None` for silence.
pub(super) fn edns_refused(refusal: EdnsRefusal, asked: &Message) -> Option<Vec<u8>> {
    let mut plain = asked.clone();
    plain.edns = None;
    let mut bytes = plain.to_vec().ok()?;
    let rcode = match refusal {
        EdnsRefusal::Silence => return None,
        EdnsRefusal::FormErr | EdnsRefusal::BareFormErr => FORMERR,
        EdnsRefusal::NotImp => NOTIMP,
    };
    // QR set, RA set, and the code; RD stays as it was asked.
    bytes[2] |= 0x80;
    bytes[3] = 0x80 | rcode;
    if refusal == EdnsRefusal::BareFormErr {
        bytes.truncate(HEADER);
        bytes[4..HEADER].fill(0);
    }
    Some(bytes)
}

/// Breaks a good answer.
pub(super) fn made(mut bytes: Vec<u8>, how: Breakage) -> Vec<u8> {
    match how {
        Breakage::WrongId => bytes[0] ^= 0xff,
        // The first letter of the first label changes.
        Breakage::WrongQuestion => bytes[HEADER + 1] = if bytes[HEADER + 1] == b'q' { b'z' } else { b'q' },
        Breakage::Short => bytes.truncate(HEADER + 5),
        Breakage::PointerLoop => {
            let question = question_end(&bytes);
            bytes.truncate(question);
            bytes[6..HEADER].copy_from_slice(&[0, 1, 0, 0, 0, 0]);
            // The owner is a pointer to itself.
            let own = u16::try_from(question).unwrap_or_default() | 0xc000;
            bytes.extend(own.to_be_bytes());
            bytes.extend([0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 198, 18, 0, 1]);
        }
        Breakage::Counts => bytes[6..8].copy_from_slice(&[0xff, 0xff]),
        Breakage::Garbage => {
            let id = [bytes[0], bytes[1]];
            bytes = [&id[..], &[0x80; 40]].concat();
        }
        Breakage::NotAnAnswer => bytes[2] &= 0x7f,
    }
    bytes
}

/// Where the question section ends.
fn question_end(bytes: &[u8]) -> usize {
    let name = bytes[HEADER..].iter().position(|byte| *byte == 0).unwrap_or_default();
    HEADER + name + 5
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A question for `ab.c`, A, with its header.
    fn question() -> Vec<u8> {
        let mut bytes = vec![1, 2, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0];
        bytes.extend(b"\x02ab\x01c\x00\x00\x01\x00\x01");
        bytes
    }

    #[test]
    fn every_breakage_is_another_message() {
        let good = question();
        assert_eq!(question_end(&good), good.len());
        for how in [
            Breakage::WrongId,
            Breakage::WrongQuestion,
            Breakage::Short,
            Breakage::PointerLoop,
            Breakage::Counts,
            Breakage::Garbage,
            Breakage::NotAnAnswer,
        ] {
            assert_ne!(made(good.clone(), how), good, "{how:?}");
        }
        let looped = made(good.clone(), Breakage::PointerLoop);
        assert_eq!(looped[good.len()..good.len() + 2], [0xc0, 22]);
    }
}
