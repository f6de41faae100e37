//! Datagrams of the kernel's, whole, cut short and of any bytes.

use netlink_packet_route::link::{LinkFlags, LinkHeader};
use proptest::prelude::*;

use super::*;

/// One message with its header, padded as the kernel does.
fn message(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let length = 16 + u32::try_from(body.len()).expect("short");
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend([kind.to_ne_bytes(), flags.to_ne_bytes()].concat());
    bytes.extend([sequence.to_ne_bytes(), 0_u32.to_ne_bytes()].concat());
    bytes.extend(body);
    bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
    bytes
}

fn taken(datagram: &[u8]) -> (Fact<More>, Vec<Vec<u8>>) {
    let mut messages = Vec::new();
    (take_in(datagram, 7, &mut messages), messages)
}

#[test]
fn a_list_goes_on_until_the_kernel_says_done() {
    let first = [message(16, NLM_F_MULTIPART, 7, b"eth0!"), message(16, NLM_F_MULTIPART, 7, b"eth1")].concat();
    let bodies = vec![b"eth0!".to_vec(), b"eth1".to_vec()];
    assert_eq!(taken(&first), (Ok(More::Yes), bodies.clone()));
    let last = [first, message(NLMSG_DONE, NLM_F_MULTIPART, 7, &[0; 4])].concat();
    assert_eq!(taken(&last), (Ok(More::No), bodies));
}

#[test]
fn one_object_is_a_whole_answer_and_answers_to_others_are_passed_over() {
    let datagram = [message(24, 0, 6, b"late"), message(24, 0, 7, b"mine"), message(24, 0, 7, b"more")].concat();
    assert_eq!(taken(&datagram), (Ok(More::No), vec![b"mine".to_vec()]));
    assert_eq!(taken(&message(NLMSG_ERROR, 0, 6, &[0xff; 20])), (Ok(More::Yes), Vec::new()));
}

#[test]
fn an_error_says_that_there_is_nothing_or_that_the_kernel_refuses() {
    for (errno, expected) in [
        (libc::ENETUNREACH, Err(Unread::Absent)),
        (libc::EINVAL, Err(Unread::Absent)),
        (libc::ENOENT, Err(Unread::Absent)),
        (libc::EPERM, Err(Unread::Refused(libc::EPERM))),
        (libc::EOPNOTSUPP, Err(Unread::Refused(libc::EOPNOTSUPP))),
        (0, Ok(More::No)),
    ] {
        let body = [&(-errno).to_ne_bytes()[..], &[0; 16]].concat();
        assert_eq!(taken(&message(NLMSG_ERROR, 0, 7, &body)).0, expected, "{errno}");
    }
}

#[test]
fn what_is_cut_short_is_said_to_be_so() {
    let whole = message(24, 0, 7, b"mine");
    for length in 1..whole.len() {
        assert_eq!(taken(&whole[..length]), (Err(Unread::Unintelligible), Vec::new()), "{length}");
    }
}

#[test]
fn a_question_carries_its_number_and_kind() {
    let bytes = framed(About::Link, Scope::All, &LinkHeader::default(), 9);
    let packet = NetlinkBuffer::new_checked(&bytes).expect("a whole message");
    assert_eq!((packet.message_type(), packet.sequence_number(), packet.length()), (18, 9, 32));
    assert_eq!(packet.flags(), NLM_F_REQUEST | NLM_F_DUMP);
}

#[test]
fn this_kernel_lists_its_loopback_device() {
    let mut kernel = Kernel::open().expect("nothing forbids netlink here");
    let links = kernel.ask(About::Link, Scope::All, &LinkHeader::default()).expect("devices can be listed");
    let headers: Vec<_> = links.iter().map(|link| LinkHeader::parse(link).expect("a header")).collect();
    assert!(headers.iter().any(|link| link.flags.contains(LinkFlags::Loopback)), "{headers:?}");
    let none = LinkHeader { index: 0x7fff_ffff, ..LinkHeader::default() };
    assert_eq!(kernel.ask(About::Link, Scope::One, &none), Err(Unread::Absent));
}

proptest! {
    #[test]
    fn any_datagram_is_taken_in(bytes: Vec<u8>, body: Vec<u8>, kind in 0_u16..40, flags: u16) {
        let mut messages = Vec::new();
        let more = take_in(&bytes, 7, &mut messages);
        prop_assert!(messages.iter().map(Vec::len).sum::<usize>() <= bytes.len(), "{more:?}");
        prop_assert!(take_in(&message(kind, flags, 7, &body), 7, &mut messages).is_ok() || kind == NLMSG_ERROR);
    }
}
