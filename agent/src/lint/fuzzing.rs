//! Entry points of the fuzz targets for exports and rules (`tests/fuzz`), and what must hold for any bytes.
//! Not part of the library: it exists for fuzzing and for the tests that replay the seeds.

use ipnet::IpNet;

use crate::lint::{
    addresses::{AddressSet, Point},
    evaluate::{Reach, Ruling},
    judge::{Question, diff::diff, judge},
    read::{Export, seen as read_seen},
    render::{json, markdown, sarif, table},
    requirements::{Profile, profiles},
    rule::{Access, AddressTerm, Group, Known, PortTerm, Rule, Side},
    tags::Tag,
    traffic::{Direction, Protocols, Traffic, every_port},
    world::{Book, World},
};

fn question(profile: Profile) -> Question {
    Question {
        profile,
        cloud: "public".to_owned(),
        subnet: Vec::new(),
        vnet: Vec::new(),
        service_endpoints: None,
        deployment: None,
        app_ports: Vec::new(),
        group: None,
        table: None,
        needs: Vec::new(),
        suppress: Vec::new(),
    }
}

/// Any bytes as an export: what can be read is judged by every profile and printed in every format, and is no change to
/// itself.
pub fn export(bytes: &[u8]) {
    let mut export = Export::default();
    if export.read("export.json", bytes).is_err() {
        return;
    }
    for profile in profiles().filter_map(Profile::named) {
        let (name, question) = (profile.name.clone(), question(profile));
        let report = judge(&question, &export);
        assert!(report.exit_code() <= 3, "an exit code that is documented");
        let files = ["export.json".to_owned()];
        for text in [
            table::render(&report, &name),
            json::render(&report, &name),
            sarif::render(&report, &files),
            markdown::render(&report, &name),
        ] {
            assert!(text.ends_with('\n'), "whole lines");
        }
        let same = diff(&question, &export, &export, &[]);
        assert!(same.worst().is_none(), "an export breaks nothing of itself: {:?}", same.changes);
    }
}

/// Any bytes as a status.
pub fn seen(bytes: &[u8]) {
    if let Ok((flows, _)) = read_seen::flows("status.json", bytes) {
        assert!(flows.iter().all(|flow| flow.port != 0), "a flow has a port");
    }
}

const NETS: [&str; 6] =
    ["10.0.1.0/24", "10.0.0.0/16", "0.0.0.0/0", "203.0.113.0/25", "168.63.129.16/32", "2001:db8::/32"];
const TAGS: [&str; 6] = ["VirtualNetwork", "Internet", "AzureLoadBalancer", "Sql", "Sql.westeurope", "AzureCloud"];
const PROTOCOLS: [Protocols; 4] = [Protocols::ALL, Protocols::TCP, Protocols::UDP, Protocols::ICMP];

/// Bytes as choices; when they run out every choice is the first.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }

    fn term(&mut self) -> AddressTerm {
        match self.byte() % 4 {
            0 => AddressTerm::Any,
            1 => AddressTerm::Tag(Tag::named(self.of(&TAGS))),
            2 => AddressTerm::Expression("[x]".to_owned()),
            _ => AddressTerm::Net(net(self.of(&NETS))),
        }
    }

    fn side(&mut self) -> Side {
        let (first, last) = (u16::from(self.byte()) << 8, u16::from(self.byte()) << 8 | 0xff);
        Side { addresses: vec![self.term()], ports: vec![PortTerm::Range(first, last)] }
    }

    fn rule(&mut self, at: u32) -> Rule {
        Rule {
            name: format!("rule-{at}"),
            priority: Known::Value(100 + at),
            direction: Known::Value(self.of(&[Direction::Inbound, Direction::Outbound])),
            access: Known::Value(self.of(&[Access::Allow, Access::Deny])),
            protocols: Known::Value(self.of(&PROTOCOLS)),
            source: self.side(),
            destination: self.side(),
            is_default: false,
            at: String::new(),
        }
    }
}

fn net(text: &str) -> IpNet {
    text.parse().expect("a prefix of the list above")
}

/// Any bytes as rules: the pieces share no packet, and each packet that is shown alone has the fate of its piece.
pub fn rules(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let count = u32::from(choices.byte() % 12);
    let group = Group { rules: (0..count).map(|at| choices.rule(at)).collect(), ..Group::default() };
    let world = World::new(&[net("10.0.1.0/24")], &[net("10.0.0.0/16")], Book::default(), TAGS.map(Tag::named));
    let all = Traffic {
        protocols: Protocols::ALL,
        source: AddressSet::everything(),
        source_ports: every_port(),
        destination: AddressSet::everything(),
        destination_ports: every_port(),
    };
    let ruling = Ruling::new(&group, choices.of(&[Direction::Inbound, Direction::Outbound]), &world);
    let Ok(pieces) = ruling.decide(vec![all], Reach::These) else { return };
    for (at, piece) in pieces.iter().enumerate() {
        assert!(!pieces[..at].iter().any(|other| other.traffic.overlaps(&piece.traffic)), "pieces share no packet");
        let Some(one) = single(&piece.traffic) else { continue };
        let alone = ruling.decide(vec![one], Reach::These).expect("one packet is one piece");
        assert_eq!((alone.len(), alone[0].fate), (1, piece.fate), "a packet alone fares as in its piece");
    }
}

/// One packet of some traffic.
fn single(traffic: &Traffic) -> Option<Traffic> {
    let end = |set: &AddressSet| match set.example()? {
        Point::Address(address) => Some(AddressSet::address(address)),
        Point::Name(name) => Some(AddressSet::name(name)),
    };
    let named = [Protocols::TCP, Protocols::UDP, Protocols::ICMP, Protocols::ESP, Protocols::AH, Protocols::OTHER];
    let protocols = named.into_iter().find(|one| !one.intersection(traffic.protocols).is_empty())?;
    let port = |ports: &crate::lint::traffic::PortSet| ports.first().map(|port| [(port, port)].into_iter().collect());
    Some(Traffic {
        protocols,
        source: end(&traffic.source)?,
        source_ports: port(&traffic.source_ports)?,
        destination: end(&traffic.destination)?,
        destination_ports: port(&traffic.destination_ports)?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::replay;

    #[test]
    fn every_seed_keeps_what_must_hold_for_any_bytes() {
        replay::seeds("export", super::export);
        replay::seeds("rules", super::rules);
        replay::seeds("answers", super::seen);
        replay::seeds("answers", crate::imports::fuzzing::answer);
    }

    proptest! {
        #[test]
        fn any_bytes_are_rules_that_are_judged_alike_as_a_whole_and_packet_by_packet(
            bytes in proptest::collection::vec(any::<u8>(), 0..160),
        ) {
            super::rules(&bytes);
        }
    }
}
