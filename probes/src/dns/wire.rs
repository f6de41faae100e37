//! DNS messages to and from bytes, under limits that no message can exceed (RFC 1035, RFC 6891).

use std::{net::IpAddr, time::Duration};

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query, ResponseCode},
    rr::{Name, RData, Record, RecordType as WireType},
};

use super::{Answer, Question, Rcode, RecordType};

/// Records read from one message at most: 32 addresses are kept of a name, and no honest answer for one comes near 512
/// records.
const MAX_RECORDS: usize = 512;
/// Links of a CNAME chain followed at most: resolvers give up earlier (Unbound after 11).
const MAX_CHAIN: usize = 16;
/// Length of the fixed header in bytes (RFC 1035 section 4.1.1).
const HEADER: usize = 12;

/// Why a message is not the answer to our question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stray {
    /// It answers something else.
    NotOurs,
    /// It is ours, but breaks the protocol or a limit.
    Broken(&'static str),
}

/// Encodes a question; `None` for a name that cannot be asked.
pub(super) fn encode(question: &Question, id: u16) -> Option<Vec<u8>> {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name_of(&question.name)?, wire_type(question.record)));
    if let Some(payload) = question.edns {
        let mut edns = Edns::new();
        edns.set_max_payload(payload).set_version(0);
        message.set_edns(edns);
    }
    message.to_vec().ok()
}

/// Decodes a message as the answer to `question`.
pub(super) fn decode(bytes: &[u8], id: u16, question: &Question) -> Result<Answer, Stray> {
    let header = bytes.get(..HEADER).ok_or(Stray::NotOurs)?;
    let field = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    if field(0) != id || header[2] & 0x80 == 0 {
        return Err(Stray::NotOurs);
    }
    let records: usize = [6, 8, 10].map(|at| usize::from(field(at))).iter().sum();
    if records > MAX_RECORDS || field(4) > 1 {
        return Err(Stray::Broken("more than 512 records or one question"));
    }
    let message = Message::from_vec(bytes).map_err(|_| Stray::Broken("the message cannot be decoded"))?;
    if !answers(&message, question) {
        return Err(Stray::NotOurs);
    }
    read(&message, question, bytes.len())
}

/// Whether the question section is ours. Some servers leave it out of an error; the id speaks for them.
fn answers(message: &Message, question: &Question) -> bool {
    match message.queries.first() {
        Some(query) => {
            name_of(&question.name).is_some_and(|name| name.to_lowercase() == query.name().to_lowercase())
                && query.query_type() == wire_type(question.record)
        }
        None => message.metadata.response_code != ResponseCode::NoError,
    }
}

fn read(message: &Message, question: &Question, length: usize) -> Result<Answer, Stray> {
    let metadata = &message.metadata;
    let (chain, end) = follow(message, question)?;
    let addresses = message.answers.iter().filter(|record| text(&record.name) == end).filter_map(address).collect();
    let records = message.answers.iter().chain(&message.authorities);
    let soa = records.into_iter().find(|record| matches!(record.data, RData::SOA(_)));
    Ok(Answer {
        rcode: rcode(metadata.response_code),
        authoritative: metadata.authoritative,
        truncated: metadata.truncation,
        recursion_available: metadata.recursion_available,
        authentic: metadata.authentic_data,
        chain,
        addresses,
        min_ttl: message.answers.iter().map(|record| Duration::from_secs(u64::from(record.ttl))).min(),
        soa_zone: soa.map(|record| text(&record.name)),
        edns_payload: message.edns.as_ref().map(Edns::max_payload),
        length,
    })
}

/// Follows the CNAMEs inside the message; returns the chain and the name it ends at.
fn follow(message: &Message, question: &Question) -> Result<(Vec<String>, String), Stray> {
    let mut chain: Vec<String> = Vec::new();
    let mut end = question.name.trim_end_matches('.').to_ascii_lowercase();
    loop {
        let target = message.answers.iter().find_map(|record| match &record.data {
            RData::CNAME(target) if text(&record.name) == end => Some(text(&target.0)),
            _ => None,
        });
        let Some(target) = target else { return Ok((chain, end)) };
        if chain.len() == MAX_CHAIN || chain.contains(&target) {
            return Err(Stray::Broken("the CNAME chain loops or has more than 16 links"));
        }
        chain.push(target.clone());
        end = target;
    }
}

fn address(record: &Record) -> Option<IpAddr> {
    match &record.data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    }
}

/// The name in lower case without the final dot.
fn text(name: &Name) -> String {
    name.to_lowercase().to_ascii().trim_end_matches('.').to_owned()
}

/// The wire form of a name that may be asked.
fn name_of(name: &str) -> Option<Name> {
    let mut parsed = Name::from_ascii(name).ok()?;
    parsed.set_fqdn(true);
    Some(parsed)
}

fn wire_type(record: RecordType) -> WireType {
    match record {
        RecordType::A => WireType::A,
        RecordType::Aaaa => WireType::AAAA,
        RecordType::Soa => WireType::SOA,
    }
}

fn rcode(code: ResponseCode) -> Rcode {
    match u16::from(code) {
        0 => Rcode::NoError,
        1 => Rcode::FormErr,
        2 => Rcode::ServFail,
        3 => Rcode::NxDomain,
        5 => Rcode::Refused,
        other => Rcode::Other(other),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Transport;
    use super::*;
    use proptest::prelude::*;

    fn question() -> Question {
        Question::address("Login.Example".to_owned(), RecordType::A, Transport::Udp)
    }

    /// A reply to `question()` with this header tail and body.
    fn reply(flags: u16, counts: [u16; 4], body: &[u8]) -> Vec<u8> {
        let mut bytes = 7u16.to_be_bytes().to_vec();
        bytes.extend(flags.to_be_bytes());
        counts.iter().for_each(|count| bytes.extend(count.to_be_bytes()));
        bytes.extend(body);
        bytes
    }

    const ASKED: &[u8] = b"\x05login\x07example\0\0\x01\0\x01";

    fn with_answers(records: &[&[u8]]) -> Vec<u8> {
        let count = u16::try_from(records.len()).expect("a few records");
        reply(0x8180, [1, count, 0, 0], &[ASKED, &records.concat()].concat())
    }

    #[test]
    fn an_address_behind_a_chain_is_found_and_a_foreign_one_is_not() {
        let cname = b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x08\x01a\x04test\0";
        let wanted = b"\x01a\x04test\0\0\x01\0\x01\0\0\0\x0a\0\x04\x14\0\0\x01";
        let foreign = b"\x01b\x04test\0\0\x01\0\x01\0\0\0\x0a\0\x04\x14\0\0\x02";
        let answer = decode(&with_answers(&[cname, wanted, foreign]), 7, &question()).expect("well formed");
        assert_eq!(answer.chain, ["a.test"]);
        assert_eq!(answer.addresses, [IpAddr::from([20, 0, 0, 1])]);
        assert_eq!(answer.min_ttl, Some(Duration::from_secs(10)));
        assert!(answer.recursion_available && !answer.truncated);
    }

    #[test]
    fn the_payload_size_is_offered_as_asked_or_not_at_all() {
        let offer = |edns| encode(&question().offering(edns), 7).expect("the name can be asked");
        let option = |payload: u16| [&[0, 0, 41], &payload.to_be_bytes()[..], &[0; 6]].concat();
        assert_eq!(offer(None)[HEADER..], *b"\x05Login\x07Example\0\0\x01\0\x01");
        assert_eq!(offer(None)[10..12], [0, 0]);
        for payload in [512, 1232, 4096] {
            assert!(offer(Some(payload)).ends_with(&option(payload)), "{payload}");
        }
        assert_eq!(encode(&question(), 7), Some(offer(Some(super::super::EDNS_PAYLOAD))));
    }

    #[test]
    fn what_is_not_ours_is_a_stray_and_what_is_broken_says_so() {
        let rows: &[(&str, Vec<u8>, bool)] = &[
            ("shorter than a header", vec![0, 7, 0x81], false),
            ("a query", reply(0x0100, [1, 0, 0, 0], ASKED), false),
            ("another id", [&[0, 8], &reply(0x8180, [1, 0, 0, 0], ASKED)[2..]].concat(), false),
            ("another question", reply(0x8180, [1, 0, 0, 0], b"\x05other\0\0\x01\0\x01"), false),
            ("no question and no error", reply(0x8180, [0; 4], b""), false),
            ("counts beyond the end", reply(0x8180, [1, 65535, 65535, 65535], ASKED), true),
            ("a pointer to itself", reply(0x8180, [1, 0, 0, 0], b"\xc0\x0c\0\x01\0\x01"), true),
            ("a pointer forward", reply(0x8180, [1, 0, 0, 0], b"\xc0\x20\0\x01\0\x01"), true),
            ("a label beyond the end", reply(0x8180, [1, 0, 0, 0], b"\x3fabc"), true),
            ("a record beyond the end", with_answers(&[b"\xc0\x0c\0\x01\0\x01\0\0\0\x0a\xff\xff\x14"]), true),
            (
                "a CNAME to itself",
                with_answers(&[
                    b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x02\xc0\x0c",
                    b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x02\xc0\x0c",
                ]),
                true,
            ),
        ];
        for (label, bytes, broken) in rows {
            let stray = decode(bytes, 7, &question()).expect_err(label);
            assert_eq!(matches!(stray, Stray::Broken(_)), *broken, "{label}: {stray:?}");
        }
    }

    #[test]
    fn a_chain_of_a_thousand_links_is_cut() {
        let link = |n: u16| {
            let label = |n: u16| [&[5u8][..], format!("x{n:04}").as_bytes(), b"\0"].concat();
            let name = if n == 0 { b"\xc0\x0c".to_vec() } else { label(n) };
            [&name[..], b"\0\x05\0\x01\0\0\0\x3c\0\x07", &label(n + 1)].concat()
        };
        let links: Vec<Vec<u8>> = (0..400).map(link).collect();
        let links: Vec<&[u8]> = links.iter().map(Vec::as_slice).collect();
        assert!(matches!(decode(&with_answers(&links), 7, &question()), Err(Stray::Broken(_))));
    }

    #[test]
    fn an_error_without_its_question_is_an_answer() {
        let answer = decode(&reply(0x8181, [0; 4], b""), 7, &question()).expect("the id speaks for it");
        assert_eq!(answer.rcode, Rcode::FormErr);
    }

    #[test]
    fn names_that_cannot_be_asked_encode_to_nothing() {
        for name in ["a".repeat(64), format!("{}example", "abcdefg.".repeat(40)), "a..b".to_owned()] {
            let question = Question::address(name.clone(), RecordType::A, Transport::Udp);
            assert_eq!(encode(&question, 7), None, "{name}");
        }
        assert!(encode(&question(), 7).is_some_and(|bytes| bytes.starts_with(&[0, 7, 1, 0])));
    }

    proptest! {
        #[test]
        fn the_decoder_takes_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            drop(decode(&bytes, 7, &question()));
        }

        #[test]
        fn the_decoder_takes_any_body(counts in any::<[u8; 4]>(), body in proptest::collection::vec(any::<u8>(), 0..300)) {
            drop(decode(&reply(0x8180, counts.map(u16::from), &[ASKED, &body].concat()), 7, &question()));
        }
    }
}
