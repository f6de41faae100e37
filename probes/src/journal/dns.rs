//! DNS messages and NTP packets in words.

use hickory_proto::{
    op::{Message, MessageType},
    rr::Record,
};

use crate::evidence::Escaped;

/// Records shown of one answer at most.
const RECORDS: usize = 8;

/// A DNS message: what is asked, or what is answered, with its records on lines of their own.
pub(super) fn message(bytes: &[u8]) -> Vec<String> {
    let Ok(message) = Message::from_vec(bytes) else {
        return vec![format!("{} bytes that are no DNS message", bytes.len())];
    };
    let query = message.queries.first();
    let asked = query.map_or("nothing".to_owned(), |query| {
        format!("{} {}", Escaped(query.name.to_ascii().as_bytes()), query.query_type)
    });
    let (id, edns) = (message.metadata.id, edns(&message));
    if message.metadata.message_type == MessageType::Query {
        return vec![format!("DNS question {asked}, id {id}{edns}")];
    }
    let code = format!("{:?}", message.metadata.response_code).to_uppercase();
    let cut = if message.metadata.truncation { ", cut (TC)" } else { "" };
    let records = match message.answers.len() {
        1 => "1 record".to_owned(),
        count => format!("{count} records"),
    };
    let mut lines = vec![format!("DNS answer {code} to {asked}, id {id}, {records}{cut}{edns}")];
    lines.extend(message.answers.iter().take(RECORDS).map(record));
    if message.answers.is_empty() {
        lines.extend(message.authorities.iter().take(RECORDS).map(record));
    }
    let more = message.answers.len().saturating_sub(RECORDS);
    lines.extend((more > 0).then(|| format!("and {more} more records")));
    lines
}

fn edns(message: &Message) -> String {
    message.edns.as_ref().map(|edns| format!(", EDNS {} bytes", edns.max_payload())).unwrap_or_default()
}

fn record(record: &Record) -> String {
    let text = format!("{} {} {} {}", record.name.to_ascii(), record.ttl, record.record_type(), record.data);
    Escaped(text.as_bytes()).to_string()
}

/// An NTP packet (RFC 5905 section 7.3).
pub(super) fn packet(bytes: &[u8]) -> Vec<String> {
    let [first, stratum, ..] = bytes else { return vec![format!("{} bytes that are no NTP packet", bytes.len())] };
    let (leap, version) = (first >> 6, first >> 3 & 7);
    vec![match first & 7 {
        _ if bytes.len() < 48 => format!("{} bytes that are no NTP packet", bytes.len()),
        3 => format!("NTP question, version {version}"),
        4 => format!("NTP answer, version {version}, stratum {stratum}, leap {leap}"),
        mode => format!("NTP packet of mode {mode}, version {version}"),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_and_its_answer_are_told_apart_and_shown() {
        let mut question = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x05login\x07example\0\0\x01\0\x01".to_vec();
        assert_eq!(message(&question), ["DNS question login.example. A, id 7"]);
        question[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1]);
        question.extend(b"\xc0\x0c\0\x01\0\x01\0\0\0\x1e\0\x04\x14\0\0\x01");
        let lines = message(&question);
        assert_eq!(lines[0], "DNS answer NOERROR to login.example. A, id 7, 1 record");
        assert_eq!(lines[1], "login.example. 30 A 20.0.0.1");
        assert_eq!(message(b"HTTP/1.1"), ["8 bytes that are no DNS message"]);
    }

    #[test]
    fn nothing_in_a_message_steers_the_terminal() {
        let mut bytes = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x05\x1b[2Jx\x07example\0\0\x01\0\x01".to_vec();
        for kind in [0x01, 0x81] {
            bytes[2] = kind;
            assert!(!message(&bytes).concat().contains(|c: char| c.is_control()));
        }
    }

    #[test]
    fn a_packet_says_which_side_sent_it() {
        let mut bytes = [0; 48];
        bytes[0] = 0x23;
        assert_eq!(packet(&bytes), ["NTP question, version 4"]);
        bytes[..2].copy_from_slice(&[0x24, 2]);
        assert_eq!(packet(&bytes), ["NTP answer, version 4, stratum 2, leap 0"]);
        assert_eq!(packet(&bytes[..4]), ["4 bytes that are no NTP packet"]);
    }
}
