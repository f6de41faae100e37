//! DNS messages to and from bytes, under limits that no message can exceed (RFC 1035, RFC 6891).

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query},
    rr::{Name, RecordType as WireType},
};

use super::{
    Answer, DeadEnd, Question, Rcode, RecordType, Unreadable,
    extended_error::ExtendedError,
    records::{Flaw, Reader, Record},
};

/// Records read from one message at most: 32 addresses are kept of a name, and no honest answer for one comes near 512
/// records.
const MAX_RECORDS: u16 = 512;
/// Links of a CNAME chain followed at most. The C library follows what one message holds; resolvers give up long before
/// (Unbound after 11).
pub(super) const MAX_CHAIN: usize = 64;
/// Class IN (RFC 1035 section 3.2.4).
const IN: u16 = 1;
/// Record types (RFC 1035 section 3.2.2, RFC 3596, RFC 6891).
const A: u16 = 1;
const CNAME: u16 = 5;
const SOA: u16 = 6;
const PTR: u16 = 12;
const AAAA: u16 = 28;
const OPT: u16 = 41;
/// The EDNS option that explains an error (RFC 8914 section 2).
const EXTENDED_ERROR: u16 = 15;

/// Why a message is not the answer to our question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stray {
    /// It answers something else.
    NotOurs,
    /// It carries our id, but breaks the protocol or a limit.
    Broken(Unreadable),
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

/// The wire form of a name that may be asked.
fn name_of(name: &str) -> Option<Name> {
    let mut parsed = Name::from_ascii(name).ok()?;
    parsed.set_fqdn(true);
    Some(parsed)
}

/// Decodes a message as the answer to `question`. What says by its header that it was cut is an answer however it ends:
/// nothing behind the header counts then (RFC 2181 section 9).
pub(super) fn decode(bytes: &[u8], id: u16, question: &Question) -> Result<Answer, Stray> {
    let mut reader = Reader::new(bytes);
    let head = Head::read(&mut reader).map_err(|_| Stray::NotOurs)?;
    if head.id != id || !head.is_answer() {
        return Err(Stray::NotOurs);
    }
    let broken = |what, is_cut| Stray::Broken(Unreadable { what, is_cut, length: bytes.len() });
    if head.questions > 1 || head.answers > MAX_RECORDS {
        return Err(broken("it announces more than 512 records or one question", false));
    }
    if !is_ours(&mut reader, &head, question).map_err(|flaw| broken(flaw.words(), flaw == Flaw::Cut))? {
        return Err(Stray::NotOurs);
    }
    let mut found = Found { wants_hosts: question.record == RecordType::Ptr, ..Found::default() };
    match found.answers(&mut reader, &head, bytes) {
        Err(flaw) if !head.is_truncated() => return Err(broken(flaw.words(), flaw == Flaw::Cut)),
        Err(_) => {}
        Ok(()) => found.rest(&mut reader, &head),
    }
    Ok(found.into_answer(&head, question, bytes.len()))
}

impl Flaw {
    fn words(self) -> &'static str {
        match self {
            Self::Cut => "it ends in the midst of what it announces",
            Self::Name => "it holds a name that is none",
            Self::Data => "it holds an address that is none",
        }
    }
}

/// The fixed header.
struct Head {
    id: u16,
    flags: u16,
    questions: u16,
    answers: u16,
    authorities: u16,
    additionals: u16,
}

impl Head {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Flaw> {
        let mut next = || reader.number();
        let (id, flags, questions) = (next()?, next()?, next()?);
        Ok(Self { id, flags, questions, answers: next()?, authorities: next()?, additionals: next()? })
    }

    fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    fn is_answer(&self) -> bool {
        self.has(0x8000)
    }

    fn is_truncated(&self) -> bool {
        self.has(0x0200)
    }
}

/// Whether the question section is ours. Some servers leave it out of an error, or of an answer that they cut to the
/// header; the id speaks for them.
fn is_ours(reader: &mut Reader<'_>, head: &Head, question: &Question) -> Result<bool, Flaw> {
    if head.questions == 0 {
        return Ok(head.flags & 0xf != 0 || head.is_truncated());
    }
    let (name, kind, _) = (reader.name()?, reader.number()?, reader.number()?);
    Ok(name == normal(&question.name) && kind == u16::from(wire_type(question.record)))
}

/// What the sections hold that concerns us.
#[derive(Default)]
struct Found {
    /// Owner and address.
    addresses: Vec<(String, IpAddr)>,
    /// Owner and target.
    aliases: Vec<(String, String)>,
    /// Whether hosts were asked for.
    wants_hosts: bool,
    /// Owner and host.
    hosts: Vec<(String, String)>,
    least_ttl: Option<u32>,
    soa_zone: Option<String>,
    edns_payload: Option<u16>,
    /// The upper bits of the response code (RFC 6891 section 6.1.3).
    upper_rcode: u16,
    extended_errors: Vec<ExtendedError>,
    oddity: Option<&'static str>,
}

impl Found {
    fn answers(&mut self, reader: &mut Reader<'_>, head: &Head, message: &[u8]) -> Result<(), Flaw> {
        for _ in 0..head.answers {
            let record = reader.record()?;
            self.least_ttl = Some(self.least_ttl.map_or(record.ttl, |least| least.min(record.ttl)));
            match record.kind {
                A | AAAA if record.class == IN => {
                    self.addresses.push((record.owner.clone(), address(&record).ok_or(Flaw::Data)?));
                }
                CNAME if record.class == IN => self.aliases.push((record.owner.clone(), record.target(message)?)),
                PTR if record.class == IN && self.wants_hosts => {
                    self.hosts.push((record.owner.clone(), record.target(message)?))
                }
                SOA => self.soa_zone = self.soa_zone.take().or(Some(record.owner)),
                _ => {}
            }
        }
        Ok(())
    }

    /// The authority and the additional section; what cannot be read there takes nothing from the answer.
    fn rest(&mut self, reader: &mut Reader<'_>, head: &Head) {
        for _ in 0..head.authorities {
            match reader.record() {
                Ok(record) if record.kind == SOA => self.soa_zone = self.soa_zone.take().or(Some(record.owner)),
                Ok(_) => {}
                Err(_) => return self.oddity = Some("its authority section cannot be read"),
            }
        }
        for _ in 0..head.additionals {
            match reader.record() {
                Ok(record) if record.kind == OPT => self.option_record(&record),
                Ok(_) => {}
                Err(_) => return self.oddity = Some("its additional section cannot be read"),
            }
        }
    }

    fn option_record(&mut self, record: &Record<'_>) {
        if self.edns_payload.is_some() {
            self.oddity = Some("it has more than one OPT record (RFC 6891 section 6.1.1)");
            return;
        }
        self.edns_payload = Some(record.class);
        let [upper, ..] = record.ttl.to_be_bytes();
        self.upper_rcode = u16::from(upper) << 4;
        let mut options = Reader::new(record.data);
        while let Ok((code, data)) = options.option() {
            if code == EXTENDED_ERROR {
                self.extended_errors.extend(ExtendedError::read(data));
            }
        }
    }

    fn into_answer(self, head: &Head, question: &Question, length: usize) -> Answer {
        let (chain, dead_end) = self.follow(normal(&question.name));
        let asked = normal(&question.name);
        let end = chain.last().unwrap_or(&asked);
        let addresses = self.addresses.iter().filter(|(owner, _)| owner == end && dead_end.is_none());
        let hosts = self.hosts.iter().filter(|(owner, _)| owner == end && dead_end.is_none());
        Answer {
            rcode: rcode(self.upper_rcode | head.flags & 0xf),
            authoritative: head.has(0x0400),
            truncated: head.is_truncated(),
            recursion_available: head.has(0x0080),
            authentic: head.has(0x0020),
            addresses: addresses.map(|(_, address)| *address).collect(),
            hosts: hosts.map(|(_, host)| host.clone()).collect(),
            chain,
            dead_end,
            min_ttl: self.least_ttl.map(|seconds| Duration::from_secs(u64::from(seconds))),
            soa_zone: self.soa_zone,
            edns_payload: self.edns_payload,
            extended_errors: self.extended_errors,
            oddity: self.oddity,
            length,
        }
    }

    /// Follows the CNAMEs inside the message; returns the chain, and why it leads nowhere if it does. A circle is shown up
    /// to the name that comes a second time.
    fn follow(&self, asked: String) -> (Vec<String>, Option<DeadEnd>) {
        let (mut chain, mut end): (Vec<String>, _) = (Vec::new(), asked.clone());
        while let Some((_, target)) = self.aliases.iter().find(|(owner, _)| *owner == end) {
            let is_known = *target == asked || chain.contains(target);
            chain.push(target.clone());
            if is_known {
                return (chain, Some(DeadEnd::Circle));
            }
            if chain.len() == MAX_CHAIN {
                return (chain, Some(DeadEnd::TooLong));
            }
            end.clone_from(target);
        }
        (chain, None)
    }
}

fn address(record: &Record<'_>) -> Option<IpAddr> {
    match record.kind {
        A => <[u8; 4]>::try_from(record.data).ok().map(|bytes| Ipv4Addr::from(bytes).into()),
        _ => <[u8; 16]>::try_from(record.data).ok().map(|bytes| Ipv6Addr::from(bytes).into()),
    }
}

/// The name in lower case without the final dot.
fn normal(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

fn wire_type(record: RecordType) -> WireType {
    match record {
        RecordType::A => WireType::A,
        RecordType::Aaaa => WireType::AAAA,
        RecordType::Soa => WireType::SOA,
        RecordType::Ptr => WireType::PTR,
    }
}

fn rcode(code: u16) -> Rcode {
    match code {
        0 => Rcode::NoError,
        1 => Rcode::FormErr,
        2 => Rcode::ServFail,
        3 => Rcode::NxDomain,
        4 => Rcode::NotImp,
        5 => Rcode::Refused,
        16 => Rcode::BadVers,
        other => Rcode::Other(other),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Transport;
    use super::*;
    use proptest::prelude::*;

    /// Length of the fixed header in bytes (RFC 1035 section 4.1.1).
    const HEADER: usize = 12;

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
    fn the_hosts_of_an_address_are_read_where_they_are_asked_for_and_through_a_delegation() {
        let question = Question::pointer([192, 0, 2, 17].into(), Transport::Udp);
        let asked = encode(&question.clone().offering(None), 7).expect("the name can be asked").split_off(HEADER);
        let cname = b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x08\x01a\x04test\0".as_slice();
        let host = b"\x01a\x04test\0\0\x0c\0\x01\0\0\0\x0a\0\x0b\x04Edge\x04test\0".as_slice();
        let foreign = b"\x01b\x04test\0\0\x0c\0\x01\0\0\0\x0a\0\x0b\x04evil\x04test\0".as_slice();
        let message = |asked: &[u8]| reply(0x8180, [1, 3, 0, 0], &[asked, cname, host, foreign].concat());
        let answer = decode(&message(&asked), 7, &question).expect("well formed");
        assert_eq!((answer.hosts, answer.addresses), (vec!["edge.test".to_owned()], Vec::new()));
        let other = decode(&message(ASKED), 7, &self::question()).expect("well formed");
        assert_eq!(other.hosts, Vec::<String>::new(), "nobody asked for them");
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
            ("an address of five bytes", with_answers(&[b"\xc0\x0c\0\x01\0\x01\0\0\0\x0a\0\x05\x14\0\0\x01\0"]), true),
        ];
        for (label, bytes, broken) in rows {
            let stray = decode(bytes, 7, &question()).expect_err(label);
            assert_eq!(matches!(stray, Stray::Broken(_)), *broken, "{label}: {stray:?}");
        }
    }

    /// The chain of a message that holds so many links, and an address at its end.
    fn chained(links: u16) -> Answer {
        let label = |n: u16| [&[5u8][..], format!("x{n:04}").as_bytes(), b"\0"].concat();
        let link = |n: u16| {
            let name = if n == 0 { b"\xc0\x0c".to_vec() } else { label(n) };
            [&name[..], b"\0\x05\0\x01\0\0\0\x3c\0\x07", &label(n + 1)].concat()
        };
        let end = [&label(links)[..], b"\0\x01\0\x01\0\0\0\x3c\0\x04\x14\0\0\x01"].concat();
        let records: Vec<Vec<u8>> = (0..links).map(link).chain([end]).collect();
        let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        let mut message = reply(0x8180, [1, links + 1, 0, 0], ASKED);
        message.extend(records.concat());
        decode(&message, 7, &question()).expect("well formed")
    }

    #[test]
    fn a_long_chain_is_followed_and_one_beyond_all_bounds_is_cut() {
        let long = chained(20);
        assert_eq!((long.chain.len(), long.dead_end, long.addresses.len()), (20, None, 1));
        let endless = chained(400);
        assert_eq!((endless.chain.len(), endless.dead_end), (MAX_CHAIN, Some(DeadEnd::TooLong)));
        assert!(endless.addresses.is_empty() && endless.chain_in_words().ends_with("and 44 more"));
    }

    #[test]
    fn a_circle_leads_nowhere_wherever_it_begins() {
        let to_itself = b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x02\xc0\x0c".as_slice();
        let to_a = b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x03\x01a\0".as_slice();
        let a_to_a = b"\x01a\0\0\x05\0\x01\0\0\0\x3c\0\x03\x01a\0".as_slice();
        for (records, chain) in [(vec![to_itself], vec!["login.example"]), (vec![to_a, a_to_a], vec!["a", "a"])] {
            let answer = decode(&with_answers(&records), 7, &question()).expect("well formed");
            assert_eq!(
                (answer.chain, answer.dead_end),
                (chain.iter().map(|n| (*n).to_owned()).collect(), Some(DeadEnd::Circle))
            );
        }
    }

    #[test]
    fn a_cut_answer_is_one_whatever_follows_its_header() {
        let address = b"\xc0\x0c\0\x01\0\x01\0\0\0\x0a\0\x04\x14\0\0\x01";
        for (label, bytes, addresses) in [
            ("the header alone", reply(0x8380, [0; 4], b""), 0),
            ("in the midst of a record", reply(0x8380, [1, 9, 0, 1], &[ASKED, address, &address[..4]].concat()), 1),
            ("counts beyond the end", reply(0x8380, [1, 500, 0, 0], ASKED), 0),
        ] {
            let answer = decode(&bytes, 7, &question()).expect(label);
            assert_eq!((answer.truncated, answer.addresses.len()), (true, addresses), "{label}");
        }
        let foreign = reply(0x8380, [1, 0, 0, 0], b"\x05other\0\0\x01\0\x01");
        assert_eq!(decode(&foreign, 7, &question()).err(), Some(Stray::NotOurs));
    }

    #[test]
    fn records_that_nobody_asked_for_may_hold_anything() {
        let strange = b"\xc0\x0c\0\x2e\0\x01\0\0\0\x0a\0\x03\xff\xff\xff".as_slice();
        let address = b"\xc0\x0c\0\x01\0\x01\0\0\0\x0a\0\x04\x14\0\0\x01".as_slice();
        let answer = decode(&with_answers(&[strange, address]), 7, &question()).expect("well formed");
        assert_eq!((answer.addresses.len(), answer.oddity), (1, None));
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
