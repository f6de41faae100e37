//! IP packets as the fault box sees them: what stands in one, and how to forge another. Of IPv6's extension headers only
//! the fragment header is read, because a guest and the lab's servers send no other.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Range,
};

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
/// The fragment header of IPv6 (RFC 8200 section 4.5).
const FRAGMENT: u8 = 44;
const ICMP6: u8 = 58;
/// Length of an IPv4 header without options, in bytes.
const IP_HEADER: usize = 20;
/// Length of an IPv6 header, in bytes.
const IP6_HEADER: usize = 40;
/// Length of IPv6's fragment header, in bytes.
const FRAGMENT_HEADER: usize = 8;
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
    /// An ICMP or ICMPv6 message.
    Icmp,
    /// Another protocol, or a later fragment.
    Other,
}

/// What stands in a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Who sent it.
    pub source: IpAddr,
    /// Whom it is for.
    pub destination: IpAddr,
    /// The sender's port; 0 where there is none.
    pub source_port: u16,
    /// The receiver's port; 0 where there is none.
    pub destination_port: u16,
    /// Its remaining hops.
    pub hop_limit: u8,
    /// Whether it is a fragment.
    pub is_fragment: bool,
    /// Whether routers must not fragment it; of IPv6 they never may.
    pub dont_fragment: bool,
    /// The part above IP.
    pub kind: Kind,
    /// Where the payload of TCP or UDP stands.
    pub payload: Range<usize>,
}

impl View {
    /// Reads a packet; `None` for what is not whole IP.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let head = Head::of(bytes)?;
        let mut view = Self {
            source: head.source,
            destination: head.destination,
            source_port: 0,
            destination_port: 0,
            hop_limit: bytes[hop_limit_at(bytes)],
            is_fragment: head.is_fragment,
            dont_fragment: head.dont_fragment,
            kind: Kind::Other,
            payload: bytes.len()..bytes.len(),
        };
        if head.is_later {
            return Some(view);
        }
        let header = head.length;
        let skip = match head.protocol {
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
            ICMP | ICMP6 => {
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

fn v4_at(bytes: &[u8], at: usize) -> Option<IpAddr> {
    u32_at(bytes, at).map(|bits| Ipv4Addr::from(bits).into())
}

fn v6_at(bytes: &[u8], at: usize) -> Option<IpAddr> {
    bytes.get(at..at + 16)?.try_into().ok().map(|bits: [u8; 16]| Ipv6Addr::from(bits).into())
}

/// The header of either version, as far as the box is concerned.
struct Head {
    source: IpAddr,
    destination: IpAddr,
    /// What stands above IP.
    protocol: u8,
    /// Where that begins.
    length: usize,
    is_fragment: bool,
    /// Whether it is a fragment, and not the first.
    is_later: bool,
    dont_fragment: bool,
}

impl Head {
    fn of(bytes: &[u8]) -> Option<Self> {
        match bytes.first()? >> 4 {
            4 => Self::v4(bytes),
            6 => Self::v6(bytes),
            _ => None,
        }
    }

    fn v4(bytes: &[u8]) -> Option<Self> {
        let length = usize::from(bytes.first()? & 15) * 4;
        if length < IP_HEADER || bytes.len() < length {
            return None;
        }
        let fragment = u16_at(bytes, 6)?;
        Some(Self {
            source: v4_at(bytes, 12)?,
            destination: v4_at(bytes, 16)?,
            protocol: bytes[9],
            length,
            is_fragment: fragment & 0x3fff != 0,
            is_later: fragment & 0x1fff != 0,
            dont_fragment: fragment & 0x4000 != 0,
        })
    }

    fn v6(bytes: &[u8]) -> Option<Self> {
        let head = Self {
            source: v6_at(bytes, 8)?,
            destination: v6_at(bytes, 24)?,
            protocol: bytes[6],
            length: IP6_HEADER,
            is_fragment: false,
            is_later: false,
            dont_fragment: true,
        };
        if head.protocol != FRAGMENT {
            return Some(head);
        }
        let fragment = u16_at(bytes, IP6_HEADER + 2)?;
        let (protocol, length) = (*bytes.get(IP6_HEADER)?, IP6_HEADER + FRAGMENT_HEADER);
        (bytes.len() >= length).then_some(Self {
            protocol,
            length,
            is_fragment: true,
            is_later: fragment & 0xfff8 != 0,
            ..head
        })
    }
}

fn hop_limit_at(packet: &[u8]) -> usize {
    if packet[0] >> 4 == 4 { 8 } else { 7 }
}

/// One end of a flow.
pub type End = (IpAddr, u16);

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

/// Forges an ICMP error about a packet (RFC 792), or an ICMPv6 error about one of IPv6 (RFC 4443). `rest` is the second word
/// of the header, the MTU for 3/4 and, of ICMPv6, for 2/0.
pub fn icmp_error(from: IpAddr, (kind, code): (u8, u8), rest: u32, about: &[u8]) -> Option<Vec<u8>> {
    let to = View::of(about)?.source;
    let mut body = vec![kind, code, 0, 0];
    body.extend(rest.to_be_bytes());
    // As much of the packet as fits 576 bytes (RFC 1812 section 4.3.2.3), or 1280 (RFC 4443 section 2.4).
    let (protocol, most) = if to.is_ipv4() { (ICMP, 548) } else { (ICMP6, 1232) };
    body.extend(&about[..about.len().min(most)]);
    Some(ip(from, to, protocol, &body))
}

fn ip(from: IpAddr, to: IpAddr, protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, HOP_LIMIT, protocol, 0, 0];
            packet[2..4].copy_from_slice(&((IP_HEADER + body.len()) as u16).to_be_bytes());
            packet.extend(from.octets());
            packet.extend(to.octets());
            packet
        }
        (from, to) => {
            let mut packet = vec![0x60, 0, 0, 0, 0, 0, protocol, HOP_LIMIT];
            packet[4..6].copy_from_slice(&(body.len() as u16).to_be_bytes());
            packet.extend(in_v6(from).octets());
            packet.extend(in_v6(to).octets());
            packet
        }
    };
    packet.extend(body);
    refresh(&mut packet);
    packet
}

/// An address in IPv6's writing; one of IPv4 is mapped (RFC 4291 section 2.5.5.2).
pub(super) fn in_v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

/// The remaining hops.
pub fn hop_limit(packet: &[u8]) -> u8 {
    packet[hop_limit_at(packet)]
}

/// Sets the hop limit.
pub fn set_hop_limit(packet: &mut [u8], hops: u8) {
    packet[hop_limit_at(packet)] = hops;
    refresh_header(packet);
}

/// Sets the source; one of the other version leaves the packet as it is.
pub fn set_source(packet: &mut [u8], source: IpAddr) {
    set_address(packet, source, (12, 8));
}

/// Sets the destination; one of the other version leaves the packet as it is.
pub fn set_destination(packet: &mut [u8], destination: IpAddr) {
    set_address(packet, destination, (16, 24));
}

fn set_address(packet: &mut [u8], address: IpAddr, (in_v4, in_v6): (usize, usize)) {
    match (address, packet[0] >> 4) {
        (IpAddr::V4(v4), 4) => packet[in_v4..in_v4 + 4].copy_from_slice(&v4.octets()),
        (IpAddr::V6(v6), 6) => packet[in_v6..in_v6 + 16].copy_from_slice(&v6.octets()),
        (IpAddr::V4(_) | IpAddr::V6(_), _) => return,
    }
    refresh(packet);
}

/// Shifts the sequence number and the acknowledgement of a TCP segment.
pub fn shift(packet: &mut [u8], sequence: u32, acknowledged: u32) {
    let Some(header) = Head::of(packet).map(|head| head.length) else { return };
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
    let Some(Head { protocol, length: header, is_fragment, .. }) = Head::of(packet) else { return };
    let at = match protocol {
        TCP => header + 16,
        UDP => header + 6,
        ICMP | ICMP6 => header + 2,
        _ => return,
    };
    if is_fragment || packet.len() < at + 2 {
        return;
    }
    packet[at..at + 2].copy_from_slice(&[0, 0]);
    let addresses = if packet[0] >> 4 == 4 { 12..20 } else { 8..40 };
    // ICMP alone knows no pseudo-header; ICMPv6 has it.
    let pseudo = match protocol {
        ICMP => 0,
        protocol => sum(&packet[addresses]) + u32::from(protocol) + (packet.len() - header) as u32,
    };
    let checksum = match fold(pseudo + sum(&packet[header..])) {
        0 if protocol == UDP => u16::MAX,
        checksum => checksum,
    };
    packet[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
}

/// Makes the checksum of the header right; IPv6 has none.
fn refresh_header(packet: &mut [u8]) {
    if packet[0] >> 4 != 4 {
        return;
    }
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

    const A: End = (IpAddr::V4(Ipv4Addr::new(10, 53, 1, 4)), 40000);
    const B: End = (IpAddr::V4(Ipv4Addr::new(198, 18, 1, 1)), 443);
    const A6: End = (IpAddr::V6(Ipv6Addr::new(0xfd00, 0x53, 1, 0, 0, 0, 0, 4)), 40000);
    const B6: End = (IpAddr::V6(Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 7)), 443);

    fn is_right(packet: &[u8]) -> bool {
        let mut copy = packet.to_vec();
        refresh(&mut copy);
        copy == packet && (packet[0] >> 4 == 6 || fold(sum(&packet[..20])) == 0)
    }

    #[test]
    fn what_is_forged_reads_back_in_both_versions() {
        for (a, b) in [(A, B), (A6, B6)] {
            let data = Segment { from: a, to: b, sequence: 7, acknowledged: 9, flags: flags::ACK, payload: b"hello" };
            let packet = data.packet();
            let view = View::of(&packet).expect("whole");
            assert_eq!((view.source, view.source_port, view.destination, view.destination_port), (a.0, a.1, b.0, b.1));
            assert_eq!(view.kind, Kind::Tcp { sequence: 7, acknowledged: 9, flags: flags::ACK });
            assert_eq!((&packet[view.payload.clone()], view.next_sequence()), (&b"hello"[..], 12));
            assert!(is_right(&packet));
            let packet = datagram(a, b, b"odd");
            let view = View::of(&packet).expect("whole");
            assert_eq!((view.kind, &packet[view.payload]), (Kind::Udp, &b"odd"[..]));
            assert!(is_right(&packet));
        }
    }

    #[test]
    fn an_icmpv6_message_has_its_known_checksum() {
        // An echo request from ::1 to ::1 with the identifier 1, the sequence number 1 and no data (RFC 4443 section 4.1).
        let mut packet = vec![0x60, 0, 0, 0, 0, 8, 58, 64];
        packet.extend(Ipv6Addr::LOCALHOST.octets());
        packet.extend(Ipv6Addr::LOCALHOST.octets());
        packet.extend([128, 0, 0, 0, 0, 1, 0, 1]);
        refresh(&mut packet);
        assert_eq!(packet[42..44], [0x7f, 0xb9]);
    }

    #[test]
    fn a_later_fragment_of_ipv6_shows_no_ports() {
        let mut packet = vec![0x60, 0, 0, 0, 0, 16, FRAGMENT, 64];
        packet.extend([0; 32]);
        packet.extend([UDP, 0, 0, 8, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8]);
        let view = View::of(&packet).expect("whole");
        assert_eq!((view.is_fragment, view.kind, view.source_port), (true, Kind::Other, 0));
        packet[43] = 1;
        let view = View::of(&packet).expect("whole");
        assert_eq!((view.is_fragment, view.kind, view.source_port), (true, Kind::Udp, 0x0102));
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
        let error = icmp_error([198, 51, 100, 3].into(), (3, 4), 1400, &about).expect("whole");
        let view = View::of(&error).expect("whole");
        assert_eq!((view.destination, view.kind, error.len()), (A.0, Kind::Icmp, 576));
        assert_eq!(
            (&error[20..22], &error[24..28], &error[28..576]),
            (&[3, 4][..], &[0, 0, 5, 120][..], &about[..548])
        );
        let about = datagram(A6, B6, &[0; 1400]);
        let error = icmp_error(B6.0, (2, 0), 1300, &about).expect("whole");
        let view = View::of(&error).expect("whole");
        assert_eq!((view.destination, view.kind, error.len()), (A6.0, Kind::Icmp, 1280));
        assert_eq!((&error[40..42], &error[44..48]), (&[2, 0][..], &[0, 0, 5, 20][..]));
        assert!(is_right(&error));
    }

    #[test]
    fn nothing_makes_the_reader_panic() {
        for (from, to) in [(A, B), (A6, B6)] {
            let whole = Segment { from, to, sequence: 1, acknowledged: 2, flags: 2, payload: b"abc" }.packet();
            for length in 0..whole.len() {
                assert!(View::of(&whole[..length]).is_none_or(|view| view.payload.end <= length));
                assert_eq!(server_name(&whole[..length]), None);
            }
        }
        let fragment = [0x60, 0, 0, 0, 0, 0, FRAGMENT, 0].into_iter().chain([0; 34]).collect::<Vec<u8>>();
        assert_eq!((View::of(&fragment), View::of(&[0x70; 40]), server_name(&[0x16; 300])), (None, None, None));
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
