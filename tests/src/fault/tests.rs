//! What comes out of the engine for what goes in.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use super::{
    APPLIANCE_ADDRESS_6, Emission, Engine,
    packet::{self, End, Kind, Segment, View, flags},
    rules::{Direction, FaultFile},
};

const GUEST: End = (IpAddr::V4(Ipv4Addr::new(10, 53, 1, 4)), 40000);
const WEB: End = (IpAddr::V4(Ipv4Addr::new(198, 18, 1, 1)), 443);
const GUEST_6: End = (IpAddr::V6(Ipv6Addr::new(0xfd00, 0x53, 1, 0, 0, 0, 0, 4)), 40000);
const WEB_6: End = (IpAddr::V6(Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 7)), 443);
const MS: Duration = Duration::from_millis(1);

fn lookup(name: &str) -> Option<IpAddr> {
    (name == "web.example").then_some(WEB.0)
}

fn engine(text: &str) -> Engine {
    let file: FaultFile = serde_saphyr::from_str(text).expect(text);
    Engine::new(file.path, &file.r#box, &lookup).expect(text)
}

fn segment(from: End, to: End, flags: u8, payload: &[u8]) -> Vec<u8> {
    Segment { from, to, sequence: 100, acknowledged: 200, flags, payload }.packet()
}

fn syn(port: u16) -> Vec<u8> {
    segment((GUEST.0, port), WEB, flags::SYN, b"")
}

/// Direction, TCP flags, and payload of what comes out.
fn told(emissions: &[Emission]) -> Vec<(Direction, u8, String)> {
    let tell = |emission: &Emission| {
        let view = View::of(&emission.bytes).expect("whole");
        let flags = if let Kind::Tcp { flags, .. } = view.kind { flags } else { 0 };
        (emission.direction, flags, String::from_utf8_lossy(&emission.bytes[view.payload]).into_owned())
    };
    emissions.iter().map(tell).collect()
}

fn out(engine: &mut Engine, at: Duration, bytes: &[u8]) -> Vec<Emission> {
    engine.take(at, Direction::Out, bytes)
}

#[test]
fn without_rules_a_packet_passes_with_half_the_round_trip_and_fewer_hops() {
    let mut engine = engine("box: []");
    let emissions = out(&mut engine, MS, &syn(1));
    assert_eq!(
        (emissions.len(), emissions[0].after, emissions[0].direction),
        (1, Duration::from_micros(2500), Direction::Out)
    );
    assert_eq!(View::of(&emissions[0].bytes).expect("whole").hop_limit, 55);
    let back = engine.take(MS, Direction::In, &segment(WEB, (GUEST.0, 1), flags::SYN | flags::ACK, b""));
    assert_eq!((back[0].direction, View::of(&back[0].bytes).expect("whole").hop_limit), (Direction::In, 55));
    assert_eq!(engine.counts()[&("tcp", 443)].packets, 2);
}

#[test]
fn hops_end_where_they_end() {
    let mut engine = engine("path: {hops: 4, rtt: 8ms}");
    for (hops, from) in [(1, [10, 53, 1, 1]), (2, [10, 53, 2, 4]), (4, [198, 51, 100, 4])] {
        let mut packet = syn(1);
        packet::set_hop_limit(&mut packet, hops);
        let emissions = out(&mut engine, MS, &packet);
        let view = View::of(&emissions[0].bytes).expect("whole");
        assert_eq!((view.kind, view.source, emissions[0].bytes[20]), (Kind::Icmp, IpAddr::from(from), 11));
        assert_eq!(emissions[0].after, MS * 2 * u32::from(hops));
    }
    let mut packet = syn(1);
    packet::set_hop_limit(&mut packet, 5);
    assert_eq!(out(&mut engine, MS, &packet)[0].direction, Direction::Out);
}

#[test]
fn only_what_matches_is_dropped() {
    let mut engine = engine("box: [{match: {host: web.example, port: [80, 400-500], segment: syn}, do: drop}]");
    assert!(out(&mut engine, MS, &syn(1)).is_empty());
    assert_eq!(out(&mut engine, MS, &segment(GUEST, WEB, flags::ACK, b"")).len(), 1);
    assert_eq!(out(&mut engine, MS, &segment(GUEST, (WEB.0, 501), flags::SYN, b"")).len(), 1);
    assert_eq!(out(&mut engine, MS, &segment(GUEST, ([198, 18, 1, 2].into(), 443), flags::SYN, b"")).len(), 1);
}

#[test]
fn the_internet_leaves_out_the_network_and_the_platform() {
    let mut engine = engine("box: [{match: {host: internet}, do: drop}]");
    for (address, passes) in [([10, 53, 0, 4], 1), ([168, 63, 129, 16], 1), ([198, 18, 1, 1], 0), ([192, 0, 2, 1], 0)] {
        assert_eq!(out(&mut engine, MS, &segment(GUEST, (address.into(), 53), flags::SYN, b"")).len(), passes);
    }
}

#[test]
fn forged_errors_and_resets_come_from_where_they_should() {
    let mut engine = engine(
        "box: [{match: {port: 443}, do: {icmp: {type: 3, code: 13, from: 3}}}, \
         {match: {port: 80, protocol: tcp}, do: {reset: {hop: 1}}}]",
    );
    let error = &out(&mut engine, MS, &syn(1))[0];
    assert_eq!(
        (&error.bytes[20..22], View::of(&error.bytes).expect("whole").source),
        (&[3, 13][..], [198, 51, 100, 3].into())
    );
    let reset = &out(&mut engine, MS, &segment(GUEST, (WEB.0, 80), flags::SYN, b""))[0];
    let view = View::of(&reset.bytes).expect("whole");
    assert_eq!(view.kind, Kind::Tcp { sequence: 0, acknowledged: 101, flags: flags::RST | flags::ACK });
    assert!(reset.after < MS && reset.direction == Direction::In, "{:?}", reset.after);
}

#[test]
fn the_peer_is_beyond_the_last_hop() {
    let mut engine = engine("box: [{match: {protocol: tcp}, do: {reset: {hop: 10}}}]");
    let reset = &out(&mut engine, MS, &syn(1))[0];
    assert_eq!((View::of(&reset.bytes).expect("whole").hop_limit, reset.after), (55, MS * 5));
    let mut near = syn(1);
    packet::set_hop_limit(&mut near, 2);
    assert_eq!(out(&mut engine, MS, &near)[0].bytes[20], 11, "it dies before it reaches the peer");
}

#[test]
fn a_denying_firewall_cuts_what_is_not_http() {
    let mut engine = engine("box: [{match: {protocol: tcp}, do: {accept: {then: azure-firewall-deny}}}]");
    drop(out(&mut engine, MS, &syn(40000)));
    let cut = out(&mut engine, MS, &segment(GUEST, WEB, flags::ACK, &[0x16, 3, 1]));
    assert_eq!(told(&cut), [(Direction::In, flags::RST | flags::ACK, String::new())]);
    drop(out(&mut engine, MS, &syn(40000)));
    let text = out(&mut engine, MS, &segment(GUEST, WEB, flags::ACK, b"GET / HTTP/1.1"));
    assert!(told(&text)[0].2.starts_with("HTTP/1.1 470"), "{:?}", told(&text));
}

#[test]
fn a_proxy_accepts_and_answers_for_the_peer() {
    let mut engine = engine("box: [{match: {protocol: tcp}, do: {accept: {then: {text: no}}}}]");
    assert_eq!(told(&out(&mut engine, MS, &syn(40000))), [(Direction::In, flags::SYN | flags::ACK, String::new())]);
    assert!(out(&mut engine, MS, &segment(GUEST, WEB, flags::ACK, b"")).is_empty());
    let spoken = out(&mut engine, MS, &segment(GUEST, WEB, flags::ACK, b"GET /"));
    let expected = [(flags::PSH | flags::ACK, "no"), (flags::FIN | flags::ACK, "")];
    assert_eq!(told(&spoken), expected.map(|(flags, text)| (Direction::In, flags, text.to_owned())));
}

#[test]
fn a_relaying_proxy_joins_both_halves() {
    let mut engine = engine("box: [{match: {protocol: tcp}, do: {accept: {then: relay}}}]");
    let accepted = &out(&mut engine, MS, &syn(40000))[0].bytes.clone();
    let Some(View { kind: Kind::Tcp { sequence: own, .. }, .. }) = View::of(accepted) else { panic!("no segment") };
    assert!(out(&mut engine, MS, &segment(GUEST, WEB, flags::ACK, b"")).is_empty(), "the peer knows of nothing yet");
    let data = Segment {
        from: GUEST,
        to: WEB,
        sequence: 101,
        acknowledged: own.wrapping_add(1),
        flags: flags::ACK,
        payload: b"hi",
    };
    let opening = out(&mut engine, MS, &data.packet());
    assert_eq!(told(&opening), [(Direction::Out, flags::SYN, String::new())]);
    let peer = Segment {
        from: WEB,
        to: GUEST,
        sequence: 7000,
        acknowledged: 101,
        flags: flags::SYN | flags::ACK,
        payload: b"",
    };
    let joined = engine.take(MS, Direction::In, &peer.packet());
    assert_eq!(
        told(&joined),
        [(Direction::Out, flags::ACK, String::new()), (Direction::Out, flags::ACK, "hi".to_owned())]
    );
    let Some(View { kind: Kind::Tcp { acknowledged, .. }, .. }) = View::of(&joined[1].bytes) else {
        panic!("no segment")
    };
    assert_eq!(acknowledged, 7001, "in the peer's numbers");
    let answer = Segment { sequence: 7001, acknowledged: 103, flags: flags::ACK, payload: b"yo", ..peer };
    let back = engine.take(MS, Direction::In, &answer.packet());
    let Some(View { kind: Kind::Tcp { sequence, .. }, .. }) = View::of(&back[0].bytes) else { panic!("no segment") };
    assert_eq!(sequence, own.wrapping_add(1), "in the proxy's numbers");
}

#[test]
fn a_part_of_the_flows_is_always_the_same_part() {
    let mut engine = engine("box: [{match: {flow-share: 50}, do: drop}]");
    let mut run = || (1..=400).map(|port| out(&mut engine, MS, &syn(port)).len()).collect::<Vec<_>>();
    let (first, second) = (run(), run());
    assert_eq!(first, second);
    let passed: usize = first.iter().sum();
    assert!((150..250).contains(&passed), "{passed}");
}

#[test]
fn chance_is_seeded() {
    let rules = "box: [{match: {}, do: {lose: 30}}]";
    let run = |text: &str| {
        let mut engine = engine(text);
        (1..=300).map(|port| out(&mut engine, MS, &syn(port)).len()).collect::<Vec<_>>()
    };
    assert_eq!(run(rules), run(rules));
    assert_ne!(run(rules), run(&format!("path: {{seed: 2}}\n{rules}")));
    let passed: usize = run(rules).iter().sum();
    assert!((180..240).contains(&passed), "{passed}");
}

#[test]
fn new_flows_alone_meet_a_rule_for_new_flows() {
    let mut engine = engine("box: []");
    drop(out(&mut engine, MS, &syn(1)));
    let rules: FaultFile = serde_saphyr::from_str("box: [{match: {new-flows: true}, do: drop}]").expect("rules");
    engine.set_rules(MS * 5, &rules.r#box, &lookup).expect("rules");
    assert_eq!(out(&mut engine, MS * 9, &segment((GUEST.0, 1), WEB, flags::ACK, b"x")).len(), 1);
    assert!(out(&mut engine, MS * 9, &syn(2)).is_empty());
}

#[test]
fn a_redirected_flow_seems_to_come_from_whom_was_asked() {
    let mut engine = engine("box: [{match: {port: 53}, do: {redirect: {to: web.example}}}]");
    let asked = ([192, 0, 2, 1].into(), 53);
    let gone = out(&mut engine, MS, &packet::datagram(GUEST, asked, b"q"));
    assert_eq!(View::of(&gone[0].bytes).expect("whole").destination, WEB.0);
    let back = engine.take(MS, Direction::In, &packet::datagram((WEB.0, 53), GUEST, b"a"));
    assert_eq!(View::of(&back[0].bytes).expect("whole").source, asked.0);
}

#[test]
fn tables_have_so_many_places_and_give_them_back() {
    let mut engine = engine("box: [{match: {}, do: {nat: {ports: 2, hold: 1s}}}]");
    let passes = |engine: &mut Engine, at: u32, port| out(engine, MS * at, &syn(port)).len();
    assert_eq!([1, 2, 3].map(|port| passes(&mut engine, 1, port)), [1, 1, 0]);
    drop(out(&mut engine, MS * 2, &segment((GUEST.0, 1), WEB, flags::RST, b"")));
    assert_eq!(passes(&mut engine, 900, 3), 0, "the port rests");
    assert_eq!(passes(&mut engine, 1100, 3), 1);
    assert_eq!(out(&mut engine, MS, &segment((GUEST.0, 1), (WEB.0, 80), flags::SYN, b"")).len(), 1, "another port");
}

#[test]
fn idle_flows_are_forgotten() {
    let mut engine = engine("box: [{match: {}, do: {idle: {after: 1s, reset: true}}}]");
    drop(out(&mut engine, MS, &syn(1)));
    let data = segment((GUEST.0, 1), WEB, flags::ACK, b"x");
    assert_eq!(told(&out(&mut engine, MS * 900, &data)), [(Direction::Out, flags::ACK, "x".to_owned())]);
    assert_eq!(told(&out(&mut engine, MS * 2000, &data)), [(Direction::In, flags::RST | flags::ACK, String::new())]);
}

#[test]
fn a_bucket_makes_wait_and_overflows() {
    let mut engine = engine("box: [{match: {}, do: {rate: {bytes: 1000, burst: 44, queue: 100ms}}}]");
    let first = out(&mut engine, MS * 1000, &syn(1));
    let second = out(&mut engine, MS * 1000, &syn(2));
    let half = Duration::from_micros(2500);
    assert_eq!((first[0].after, second[0].after), (half, half + MS * 44));
    drop(out(&mut engine, MS * 1000, &syn(3)));
    assert!(out(&mut engine, MS * 1000, &syn(4)).is_empty());
}

#[test]
fn a_small_mtu_may_tell_or_not() {
    let large = segment(GUEST, WEB, flags::ACK, &[0; 1300]);
    let mut silent = engine("box: [{match: {}, do: {mtu: {bytes: 1200}}}]");
    assert!(out(&mut silent, MS, &large).is_empty());
    assert_eq!(out(&mut silent, MS, &syn(1)).len(), 1);
    let mut telling = engine("box: [{match: {}, do: {mtu: {bytes: 1200, icmp: true}}}]");
    let error = out(&mut telling, MS, &large);
    assert_eq!(
        (error[0].direction, &error[0].bytes[20..28]),
        (Direction::In, &[3, 4, error[0].bytes[22], error[0].bytes[23], 0, 0, 4, 176][..])
    );
}

#[test]
fn what_is_wrong_is_named_with_its_key_and_value() {
    for (text, words) in [
        ("box: [{match: {host: nobody.example}, do: drop}]", vec!["box[0].match.host", "(nobody.example)"]),
        ("box: [{do: drop}, {match: {port: 70000}, do: drop}]", vec!["box[1].match.port", "(70000)"]),
        ("box: [{match: {host: 10.0.0.0/40}, do: drop}]", vec!["prefix (10.0.0.0/40)"]),
        ("box: [{do: {lose: 120}}]", vec!["box[0]", "(120)", "0 to 100"]),
        ("box: [{do: {accept: {then: silence}}}]", vec!["box[0]", "match.protocol"]),
    ] {
        let file: FaultFile = serde_saphyr::from_str(text).expect(text);
        let error = format!("{:#}", Engine::new(file.path, &file.r#box, &lookup).expect_err(text));
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    }
    for (text, word) in [
        ("box: [{match: {prot: 3}, do: drop}]", "prot"),
        ("box: [{do: vanish}]", "vanish"),
        ("box: [{do: {icmp: {type: 3, code: 1, from: up}}}]", "(up)"),
    ] {
        let error = serde_saphyr::from_str::<FaultFile>(text).expect_err(text).to_string();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn ipv6_passes_is_complained_about_and_ends_at_its_hops() {
    let syn_6 = || segment(GUEST_6, WEB_6, flags::SYN, b"");
    let mut engine = engine(
        "box:\n- {match: {host: '2001:2::/48', port: 80}, do: {icmp: {type: 1, code: 1}}}\n- {match: {host: '2001:2::9'}, do: drop}\n\
         - {match: {port: 8080}, do: {mtu: {bytes: 1280, icmp: true}}}",
    );
    let emissions = out(&mut engine, MS, &syn_6());
    assert_eq!((emissions.len(), View::of(&emissions[0].bytes).expect("whole").hop_limit), (1, 55));
    let emissions = out(&mut engine, MS, &segment(GUEST_6, (WEB_6.0, 80), flags::SYN, b""));
    let view = View::of(&emissions[0].bytes).expect("whole");
    assert_eq!(
        (emissions[0].direction, view.kind, view.source),
        (Direction::In, Kind::Icmp, APPLIANCE_ADDRESS_6.into())
    );
    assert_eq!(emissions[0].bytes[40..42], [1, 1]);
    let elsewhere: IpAddr = "2001:2::9".parse().expect("an address");
    assert!(out(&mut engine, MS, &segment(GUEST_6, (elsewhere, 443), flags::SYN, b"")).is_empty());
    let emissions = out(&mut engine, MS, &segment(GUEST_6, (WEB_6.0, 8080), flags::ACK, &[0; 1300]));
    assert_eq!((&emissions[0].bytes[40..42], &emissions[0].bytes[44..48]), (&[2, 0][..], &[0, 0, 5, 0][..]));
    let mut packet = syn_6();
    packet::set_hop_limit(&mut packet, 1);
    let emissions = out(&mut engine, MS, &packet);
    assert_eq!((&emissions[0].bytes[40..42], emissions[0].direction), (&[3, 0][..], Direction::In));
}
