//! The words of rules and routes: addresses, ports, protocols, access, priority, each with what is wrong with it.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::lint::{
    finding::{Finding, Kind, Severity},
    read::node::{Node, is_expression},
    rule::{Access, AddressTerm, Known, PortTerm},
    tags::Tag,
    traffic::{Direction, Protocols},
};

/// What is wrong with a file, as far as it could be read all the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Problems(pub(super) Vec<Finding>);

impl Problems {
    /// Notes a word that Azure would refuse.
    pub(super) fn note(&mut self, node: &Node<'_>, rule: &str, severity: Severity, message: String) {
        let named = Some(rule.to_owned()).filter(|rule| !rule.is_empty());
        let at = Some(node.path.clone());
        self.0.push(Finding { rule: named, at, ..Finding::new(Kind::Input, severity, message) });
    }
}

/// The entries of a text of addresses: one, or several with commas.
pub(super) fn addresses(node: &Node<'_>, rule: &str, problems: &mut Problems) -> Vec<AddressTerm> {
    let parts = parts(node, "prefix or tag", "SecurityRuleInvalidAddressPrefix", rule, problems);
    parts.into_iter().map(|part| address_of(part, node, rule, problems)).collect()
}

/// One entry of a list of addresses.
pub(super) fn address(node: &Node<'_>, rule: &str, problems: &mut Problems) -> AddressTerm {
    address_of(node.text().unwrap_or_default(), node, rule, problems)
}

/// The parts of a text. Azure takes one in each; several with commas are read as they are meant, and named.
fn parts(node: &Node<'_>, takes: &str, code: &str, rule: &str, problems: &mut Problems) -> Vec<String> {
    let text = node.text().unwrap_or_default();
    if is_expression(&text) || !text.contains(',') {
        return vec![text];
    }
    let field = node.path.rsplit(['.', ' ']).next().unwrap_or_default();
    let message = format!(
        "{field} is {:?}: Azure takes one {takes} in a text and refuses several ({code}); in the list beside it each is a text of its own",
        shorten(&text)
    );
    problems.note(node, rule, Severity::Warning, message);
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn address_of(text: String, node: &Node<'_>, rule: &str, problems: &mut Problems) -> AddressTerm {
    if text == "*" || text.eq_ignore_ascii_case("any") {
        return AddressTerm::Any;
    }
    if is_expression(&text) {
        return AddressTerm::Expression(text);
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return AddressTerm::Net(address.into());
    }
    if let Ok(net) = text.parse::<IpNet>() {
        if net.trunc() != net {
            let message = format!("{text} has bits set behind its prefix: {} is meant", net.trunc());
            problems.note(node, rule, Severity::Warning, message);
        }
        return AddressTerm::Net(net.trunc());
    }
    match Tag::parse(&text) {
        Some(tag) => AddressTerm::Tag(tag),
        None => {
            let message = format!("{:?} is neither a prefix nor a service tag", shorten(&text));
            problems.note(node, rule, Severity::Critical, message);
            AddressTerm::Expression(text)
        }
    }
}

/// A text that a message can quote.
pub(super) fn shorten(text: &str) -> String {
    if text.chars().count() <= 60 { text.to_owned() } else { text.chars().take(57).chain("...".chars()).collect() }
}

/// The entries of a text of ports: `*`, `443`, `80-443`, or several with commas.
pub(super) fn ports(node: &Node<'_>, rule: &str, problems: &mut Problems) -> Vec<PortTerm> {
    let parts = parts(node, "port or range", "SecurityRuleInvalidPortRange", rule, problems);
    parts.into_iter().map(|part| port(&part, node, rule, problems)).collect()
}

fn port(text: &str, node: &Node<'_>, rule: &str, problems: &mut Problems) -> PortTerm {
    if is_expression(text) {
        return PortTerm::Expression(text.to_owned());
    }
    if text == "*" || text.eq_ignore_ascii_case("any") {
        return PortTerm::ANY;
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (Ok(first), Ok(last)) = (first.trim().parse::<u32>(), last.trim().parse::<u32>()) else {
        problems.note(node, rule, Severity::Critical, format!("{:?} is no port and no range of ports", shorten(text)));
        return PortTerm::Expression(text.to_owned());
    };
    let most = u32::from(u16::MAX);
    if first > most || last > most {
        problems.note(node, rule, Severity::Critical, format!("port {text}: ports end at 65535"));
    } else if first > last {
        problems.note(node, rule, Severity::Critical, format!("the range {text} is reversed: it matches nothing"));
    } else if last == 0 {
        problems.note(node, rule, Severity::Warning, "port 0: no packet has it".to_owned());
    }
    let clamp = |port: u32| u16::try_from(port).unwrap_or(u16::MAX);
    if first > most { PortTerm::Range(1, 0) } else { PortTerm::Range(clamp(first), clamp(last)) }
}

/// A protocol; `*` and `All` are all.
pub(super) fn protocols(node: &Node<'_>, rule: &str, problems: &mut Problems) -> Known<Protocols> {
    let text = node.text().unwrap_or_default();
    Known::Value(match text.to_ascii_lowercase().as_str() {
        "*" | "all" | "any" | "-1" => Protocols::ALL,
        "tcp" | "6" => Protocols::TCP,
        "udp" | "17" => Protocols::UDP,
        "icmp" | "icmpv6" | "1" => Protocols::ICMP,
        "esp" | "50" => Protocols::ESP,
        "ah" | "51" => Protocols::AH,
        _ => return unknown(text, "no protocol of a rule", node, rule, problems),
    })
}

/// Allow or deny.
pub(super) fn access(node: &Node<'_>, rule: &str, problems: &mut Problems) -> Known<Access> {
    let text = node.text().unwrap_or_default();
    Known::Value(match text.to_ascii_lowercase().as_str() {
        "allow" => Access::Allow,
        "deny" => Access::Deny,
        _ => return unknown(text, "neither Allow nor Deny", node, rule, problems),
    })
}

/// Inbound or outbound.
pub(super) fn direction(node: &Node<'_>, rule: &str, problems: &mut Problems) -> Known<Direction> {
    let text = node.text().unwrap_or_default();
    Known::Value(match text.to_ascii_lowercase().as_str() {
        "inbound" => Direction::Inbound,
        "outbound" => Direction::Outbound,
        _ => return unknown(text, "neither Inbound nor Outbound", node, rule, problems),
    })
}

/// A priority: 100 to 4096, or that of a default rule.
pub(super) fn priority(node: &Node<'_>, rule: &str, problems: &mut Problems) -> Known<u32> {
    let text = node.text().unwrap_or_default();
    let number = text.parse::<f64>().ok().filter(|number| number.fract() == 0.0 && (0.0..1e6).contains(number));
    let Some(number) = number else {
        return unknown(text, "no priority", node, rule, problems);
    };
    let priority = number as u32;
    if !matches!(priority, 100..=4_096 | 65_000..=65_500) {
        let message = format!("priority {priority}: rules have 100 to 4096");
        problems.note(node, rule, Severity::Critical, message);
    }
    Known::Value(priority)
}

fn unknown<T>(text: String, is: &str, node: &Node<'_>, rule: &str, problems: &mut Problems) -> Known<T> {
    if !is_expression(&text) {
        problems.note(node, rule, Severity::Critical, format!("{:?} is {is}", shorten(&text)));
    }
    Known::Expression(text)
}
