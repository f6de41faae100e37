//! IPv4 packets as the fault box sees them: what stands in one, and how to forge another.

use std::{net::Ipv4Addr, ops::Range};

/// Flags of a TCP segment (RFC 9293 section 3.1).
pub mod flags {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement counts.
    pub const ACK: u8 = 0x10;
}

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
/// Length of an IPv4 header without options, in bytes.
const IP_HEADER: usize = 20;
/// Hop limit of every forged packet where it is made.
const HOP_LIMIT: u8 = 64;

/// The part above IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A TCP segment.
    Tcp {
        /// The sequence number.
        sequence: u32,
        /// The acknowledgement.
        acknowledged: u32,
        /// The flags, see [`flags`].
        flags: u8,
    },
    /// A UDP datagram.
    Udp,
    /// An ICMP message.
    Icmp,
    /// Another protocol, or a later fragment.
    Other,
}

/// What stands in a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Who sent it.
    pub source: Ipv4Addr,
    /// Whom it is for.
    pub destination: Ipv4Addr,
    /// The sender's port; 0 where there is none.
    pub source_port: u16,
    /// The receiver's port; 0 where there is none.
    pub destination_port: u16,
    /// Its remaining hops.
    pub hop_limit: u8,
    /// Whether it is a fragment.
    pub is_fragment: bool,
    /// Whether routers must not fragment it.
    pub dont_fragment: bool,
    /// The part above IP.
    pub kind: Kind,
    /// Where the payload of TCP or UDP stands.
    pub payload: Range<usize>,
}

impl View {
    /// Reads a packet; `None` for what is not whole IPv4.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let header = usize::from(bytes.first()? & 15) * 4;
        if bytes[0] >> 4 != 4 || header < IP_HEADER || bytes.len() < header {
            return None;
        }
        let fragment = u16_at(bytes, 6)?;
        let mut view = Self {
            source: address_at(bytes, 12)?,
            destination: address_at(bytes, 16)?,
            source_port: 0,
            destination_port: 0,
            hop_limit: bytes[8],
            is_fragment: fragment & 0x3fff != 0,
            dont_fragment: fragment & 0x4000 != 0,
            kind: Kind::Other,
            payload: bytes.len()..bytes.len(),
        };
        if fragment & 0x1fff != 0 {
            return Some(view);
        }
        let skip = match bytes[9] {
            TCP => {
                let flags = *bytes.get(header + 13)?;
                let (sequence, acknowledged) = (u32_at(bytes, header + 4)?, u32_at(bytes, header + 8)?);
                view.kind = Kind::Tcp { sequence, acknowledged, flags };
                usize::from(bytes.get(header + 12)? >> 4) * 4
            }
            UDP => {
                view.kind = Kind::Udp;
                8
            }
            ICMP => {
                view.kind = Kind::Icmp;
                return Some(view);
            }
            _ => return Some(view),
        };
        view.source_port = u16_at(bytes, header)?;
        view.destination_port = u16_at(bytes, header + 2)?;
        view.payload = (header + skip).min(bytes.len())..bytes.len();
        Some(view)
    }

    /// The sequence number after this segment.
    pub fn next_sequence(&self) -> u32 {
        match self.kind {
            Kind::Tcp { sequence, flags, .. } => {
                let phantom = u32::from(flags & flags::SYN != 0) + u32::from(flags & flags::FIN != 0);
                sequence.wrapping_add(self.payload.len() as u32).wrapping_add(phantom)
            }
            Kind::Udp | Kind::Icmp | Kind::Other => 0,
        }
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

fn address_at(bytes: &[u8], at: usize) -> Option<Ipv4Addr> {
    u32_at(bytes, at).map(Ipv4Addr::from)
}

/// One end of a flow.
pub type End = (Ipv4Addr, u16);

/// A TCP segment to forge.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// From whom it claims to be.
    pub from: End,
    /// For whom it is.
    pub to: End,
    /// The sequence number.
    pub sequence: u32,
    /// The acknowledgement.
    pub acknowledged: u32,
    /// The flags, see [`flags`].
    pub flags: u8,
    /// The data.
    pub payload: &'a [u8],
}

impl Segment<'_> {
    /// The packet. One that opens a connection announces 1400 bytes per segment.
    pub fn packet(&self) -> Vec<u8> {
        let options: &[u8] = if self.flags & flags::SYN == 0 { &[] } else { &[2, 4, 0x05, 0x78] };
        let mut body = Vec::new();
        body.extend(self.from.1.to_be_bytes());
        body.extend(self.to.1.to_be_bytes());
        body.extend(self.sequence.to_be_bytes());
        body.extend(self.acknowledged.to_be_bytes());
        body.extend([((20 + options.len() as u8) / 4) << 4, self.flags, 0xff, 0xff, 0, 0, 0, 0]);
        body.extend(options);
        body.extend(self.payload);
        ip(self.from.0, self.to.0, TCP, &body)
    }
}

/// Forges a UDP datagram.
pub fn datagram(from: End, to: End, payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(from.1.to_be_bytes());
    body.extend(to.1.to_be_bytes());
    body.extend(((payload.len() + 8) as u16).to_be_bytes());
    body.extend([0, 0]);
    body.extend(payload);
    ip(from.0, to.0, UDP, &body)
}

/// Forges an ICMP error about a packet (RFC 792). `rest` is the second word of the header, the MTU for 3/4.
pub fn icmp_error(from: Ipv4Addr, (kind, code): (u8, u8), rest: u32, about: &[u8]) -> Option<Vec<u8>> {
    let to = View::of(about)?.source;
    let mut body = vec![kind, code, 0, 0];
    body.extend(rest.to_be_bytes());
    // As much of the packet as fits 576 bytes (RFC 1812 section 4.3.2.3).
    body.extend(&about[..about.len().min(548)]);
    Some(ip(from, to, ICMP, &body))
}

fn ip(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, HOP_LIMIT, protocol, 0, 0];
    packet[2..4].copy_from_slice(&((IP_HEADER + body.len()) as u16).to_be_bytes());
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(body);
    refresh(&mut packet);
    packet
}

/// Sets the hop limit.
pub fn set_hop_limit(packet: &mut [u8], hops: u8) {
    packet[8] = hops;
    refresh_header(packet);
}

/// Sets the source.
pub fn set_source(packet: &mut [u8], source: Ipv4Addr) {
    packet[12..16].copy_from_slice(&source.octets());
    refresh(packet);
}

/// Sets the destination.
pub fn set_destination(packet: &mut [u8], destination: Ipv4Addr) {
    packet[16..20].copy_from_slice(&destination.octets());
    refresh(packet);
}

/// Shifts the sequence number and the acknowledgement of a TCP segment.
pub fn shift(packet: &mut [u8], sequence: u32, acknowledged: u32) {
    let header = usize::from(packet[0] & 15) * 4;
    for (at, by) in [(header + 4, sequence), (header + 8, acknowledged)] {
        if let Some(value) = u32_at(packet, at) {
            packet[at..at + 4].copy_from_slice(&value.wrapping_add(by).to_be_bytes());
        }
    }
    refresh(packet);
}

/// Makes every checksum right again.
pub fn refresh(packet: &mut [u8]) {
    refresh_header(packet);
    let header = usize::from(packet[0] & 15) * 4;
    let at = match packet[9] {
        TCP => header + 16,
        UDP => header + 6,
        ICMP => header + 2,
        _ => return,
    };
    let is_fragment = u16_at(packet, 6).is_some_and(|bits| bits & 0x3fff != 0);
    if is_fragment || packet.len() < at + 2 {
        return;
    }
    packet[at..at + 2].copy_from_slice(&[0, 0]);
    let length = (packet.len() - header) as u32;
    let pseudo = if packet[9] == ICMP { 0 } else { sum(&packet[12..20]) + u32::from(packet[9]) + length };
    let checksum = match fold(pseudo + sum(&packet[header..])) {
        0 if packet[9] == UDP => u16::MAX,
        checksum => checksum,
    };
    packet[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
}

fn refresh_header(packet: &mut [u8]) {
    packet[10..12].copy_from_slice(&[0, 0]);
    let header = (usize::from(packet[0] & 15) * 4).min(packet.len());
    let checksum = fold(sum(&packet[..header]));
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
}

fn sum(bytes: &[u8]) -> u32 {
    bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0))).sum()
}

fn fold(mut sum: u32) -> u16 {
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// The server name in the ClientHello that a segment begins, also inside a TDS packet (RFC 8446 section 4.1.2, RFC 6066).
pub fn server_name(payload: &[u8]) -> Option<&str> {
    let record = if payload.first() == Some(&0x12) { payload.get(8..)? } else { payload };
    if record.first() != Some(&0x16) || record.get(5) != Some(&1) {
        return None;
    }
    let mut at = 5 + 4 + 2 + 32;
    at += 1 + usize::from(*record.get(at)?);
    at += 2 + usize::from(u16_at(record, at)?);
    at += 1 + usize::from(*record.get(at)?);
    at += 2;
    loop {
        let (kind, length) = (u16_at(record, at)?, usize::from(u16_at(record, at + 2)?));
        if kind == 0 {
            let name = usize::from(u16_at(record, at + 7)?);
            return std::str::from_utf8(record.get(at + 9..at + 9 + name)?).ok();
        }
        at += 4 + length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: End = (Ipv4Addr::new(10, 53, 1, 4), 40000);
    const B: End = (Ipv4Addr::new(198, 18, 1, 1), 443);

    fn is_right(packet: &[u8]) -> bool {
        let mut copy = packet.to_vec();
        refresh(&mut copy);
        copy == packet && fold(sum(&packet[..20])) == 0
    }

    #[test]
    fn what_is_forged_reads_back() {
        let data = Segment { from: A, to: B, sequence: 7, acknowledged: 9, flags: flags::ACK, payload: b"hello" };
        let packet = data.packet();
        let view = View::of(&packet).expect("whole");
        assert_eq!((view.source, view.source_port, view.destination, view.destination_port), (A.0, A.1, B.0, B.1));
        assert_eq!(view.kind, Kind::Tcp { sequence: 7, acknowledged: 9, flags: flags::ACK });
        assert_eq!((&packet[view.payload.clone()], view.next_sequence()), (&b"hello"[..], 12));
        assert!(is_right(&packet));
        let packet = datagram(A, B, b"odd");
        let view = View::of(&packet).expect("whole");
        assert_eq!((view.kind, &packet[view.payload]), (Kind::Udp, &b"odd"[..]));
        assert!(is_right(&packet));
    }

    #[test]
    fn a_known_header_has_its_known_checksum() {
        let mut header = [0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0, 0, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7];
        refresh_header(&mut header);
        assert_eq!(header[10..12], [0xb8, 0x61]);
    }

    #[test]
    fn rewriting_keeps_checksums_right() {
        let mut packet = Segment { from: A, to: B, sequence: 1, acknowledged: 2, flags: 2, payload: b"" }.packet();
        set_hop_limit(&mut packet, 3);
        set_source(&mut packet, B.0);
        shift(&mut packet, 5, u32::MAX);
        assert!(is_right(&packet));
        let view = View::of(&packet).expect("whole");
        assert_eq!((view.source, view.hop_limit, view.next_sequence()), (B.0, 3, 7));
    }

    #[test]
    fn an_error_quotes_what_it_is_about() {
        let about = datagram(A, B, &[0; 900]);
        let error = icmp_error(Ipv4Addr::new(198, 51, 100, 3), (3, 4), 1400, &about).expect("whole");
        let view = View::of(&error).expect("whole");
        assert_eq!((view.destination, view.kind, error.len()), (A.0, Kind::Icmp, 576));
        assert_eq!(
            (&error[20..22], &error[24..28], &error[28..576]),
            (&[3, 4][..], &[0, 0, 5, 120][..], &about[..548])
        );
    }

    #[test]
    fn nothing_makes_the_reader_panic() {
        let whole = Segment { from: A, to: B, sequence: 1, acknowledged: 2, flags: 2, payload: b"abc" }.packet();
        for length in 0..whole.len() {
            assert!(View::of(&whole[..length]).is_none_or(|view| view.payload.end <= length));
            assert_eq!(server_name(&whole[..length]), None);
        }
        assert_eq!((View::of(&[0x60; 40]), server_name(&[0x16; 300])), (None, None));
    }

    #[test]
    fn the_server_name_is_found() {
        let mut hello = vec![0x16, 3, 1, 0, 0, 1, 0, 0, 0, 3, 3];
        hello.extend([7; 32]);
        hello.extend([0, 0, 2, 0x13, 1, 1, 0, 0, 21]);
        hello.extend([0, 0x2b, 0, 3, 2, 3, 4]);
        hello.extend([0, 0, 0, 10, 0, 8, 0, 0, 5]);
        hello.extend(b"a.lab");
        assert_eq!(server_name(&hello), Some("a.lab"));
        let in_tds = [&[0x12, 1, 0, 0, 0, 0, 0, 0][..], &hello].concat();
        assert_eq!(server_name(&in_tds), Some("a.lab"));
    }
}
