//! Connections that a peer began and that wait for its acknowledgement: its packet came in, and this machine's answer did not
//! get back. The kernel lists them for everybody (`/proc/net/tcp`, `proc_pid_net(5)`), without any packet.

use std::{
    fs,
    io::Read,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Bytes that are read of each list: some 13 000 connections.
const LONGEST: u64 = 2 << 20;
/// `TCP_SYN_RECV` in `net/tcp_states.h`, in the list's hexadecimal digits.
const HALF_OPEN: &str = "03";

/// The local ports with half-open connections of this peer.
pub(super) fn ports(peer: IpAddr) -> Vec<u16> {
    // Of this thread's network namespace, which need not be the process's.
    let lists = ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"].map(|list| {
        let mut text = String::new();
        let read = fs::File::open(list).and_then(|file| file.take(LONGEST).read_to_string(&mut text));
        read.map_or_else(|_| String::new(), |_| text)
    });
    lists.iter().flat_map(|list| listed(list, peer)).collect()
}

fn listed(list: &str, peer: IpAddr) -> Vec<u16> {
    let row = |line: &str| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let (local, remote, state) = (words.next()?, words.next()?, words.next()?);
        let is_it = state == HALF_OPEN && address(remote.split_once(':')?.0)?.to_canonical() == peer.to_canonical();
        is_it.then(|| u16::from_str_radix(local.split_once(':')?.1, 16).ok()).flatten()
    };
    list.lines().skip(1).filter_map(row).collect()
}

/// The kernel prints each 32 bits of an address as a number of its own byte order.
fn address(digits: &str) -> Option<IpAddr> {
    let words: Option<Vec<[u8; 4]>> = (0..digits.len() / 8)
        .map(|place| u32::from_str_radix(digits.get(place * 8..place * 8 + 8)?, 16).ok().map(u32::to_ne_bytes))
        .collect();
    match (words?.as_slice(), digits.len()) {
        ([word], 8) => Some(Ipv4Addr::from(*word).into()),
        (words @ [_, _, _, _], 32) => Some(Ipv6Addr::from(<[u8; 16]>::try_from(words.concat()).ok()?).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn only_half_open_connections_of_the_peer_count() {
        let list = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            \x20  0: 00000000:01C6 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n\
            \x20  1: 0401000A:01C7 0702000A:9C40 03 00000000:00000000 01:00000064 00000001     0        0 0 1 0\n\
            \x20  2: 0401000A:01C6 0702000A:9C41 01 00000000:00000000 00:00000000 00000000     0        0 9 1 0\n\
            \x20  3: 0401000A:0050 0802000A:9C42 03 00000000:00000000 01:00000064 00000001     0        0 0 1 0\n";
        assert_eq!(listed(list, IpAddr::from([10, 0, 2, 7])), [455]);
        assert_eq!(listed(list, "::ffff:10.0.2.8".parse().expect("an address")), [80]);
        assert_eq!(listed(list, IpAddr::from([10, 0, 2, 9])), Vec::<u16>::new());
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn both_families_are_read_and_a_mapped_address_is_the_one_that_it_maps() {
        for (digits, shown) in [
            ("0702000A", "10.0.2.7"),
            ("0000000000000000FFFF00000702000A", "::ffff:10.0.2.7"),
            ("000000FD000000000000000007000000", "fd00::7"),
        ] {
            assert_eq!(address(digits).map(|address| address.to_string()).as_deref(), Some(shown), "{digits}");
        }
        for broken in ["", "0702", "0702000G", "0702000A0702000A", "é702000A"] {
            assert_eq!(address(broken), None, "{broken}");
        }
    }
}
