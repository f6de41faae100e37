//! Security rules and groups as every reader produces them, whatever shape the export had.

use std::collections::BTreeSet;

use ipnet::IpNet;

use crate::lint::{
    addresses::AddressSet,
    tags::Tag,
    traffic::{Direction, Protocols},
};

/// A value of an export, or the text of an expression that only a deployment knows the value of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known<T> {
    /// The value.
    Value(T),
    /// What stands in its place, for example `[parameters('priority')]`.
    Expression(String),
}

impl<T> Known<T> {
    /// The value, if it is known.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Expression(_) => None,
        }
    }
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// It lets packets through.
    Allow,
    /// It drops them.
    Deny,
}

/// One entry of a rule's or a route's list of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressTerm {
    /// All addresses.
    Any,
    /// A prefix.
    Net(IpNet),
    /// A service tag.
    Tag(Tag),
    /// A tag whose prefixes stand beside it in the export (the effective views).
    Expanded(Tag, AddressSet),
    /// An application security group, by its name: network interfaces of the network, which ones no export says.
    Interfaces(String),
    /// An expression.
    Expression(String),
}

/// One entry of a rule's list of ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortTerm {
    /// From the first to the last.
    Range(u16, u16),
    /// An expression.
    Expression(String),
}

impl PortTerm {
    /// All ports.
    pub const ANY: Self = Self::Range(0, u16::MAX);
}

/// The peer and its ports on one side of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// Its addresses; an empty list matches nothing.
    pub addresses: Vec<AddressTerm>,
    /// Its ports.
    pub ports: Vec<PortTerm>,
}

/// One security rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// Its priority: the lowest is looked at first.
    pub priority: Known<u32>,
    /// Which packets it looks at.
    pub direction: Known<Direction>,
    /// What it does with those it matches.
    pub access: Known<Access>,
    /// Its protocols.
    pub protocols: Known<Protocols>,
    /// Where packets come from.
    pub source: Side,
    /// Where they go.
    pub destination: Side,
    /// Whether it is one of Azure's default rules.
    pub is_default: bool,
    /// Where it stands in the file, for example `securityRules[3]`.
    pub at: String,
}

impl Rule {
    /// The expressions in it, each once, which nothing can be said about.
    pub fn expressions(&self) -> Vec<&str> {
        let addresses = self.source.addresses.iter().chain(&self.destination.addresses);
        let ports = self.source.ports.iter().chain(&self.destination.ports);
        let mut found: Vec<&str> = addresses
            .filter_map(|term| if let AddressTerm::Expression(text) = term { Some(text.as_str()) } else { None })
            .chain(
                ports.filter_map(|term| if let PortTerm::Expression(text) = term { Some(text.as_str()) } else { None }),
            )
            .collect();
        found.extend(expression(&self.priority));
        found.extend(expression(&self.direction));
        found.extend(expression(&self.access));
        found.extend(expression(&self.protocols));
        let mut said = BTreeSet::new();
        found.retain(|text| said.insert(*text));
        found
    }
}

fn expression<T>(known: &Known<T>) -> Option<&str> {
    if let Known::Expression(text) = known { Some(text) } else { None }
}

/// A network security group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its resource id, where the export has one.
    pub id: Option<String>,
    /// The region that it is in.
    pub location: Option<String>,
    /// Its rules in the order of the file, default rules too where the export has them.
    pub rules: Vec<Rule>,
    /// The ids of the subnets that it is assigned to, where the export says so.
    pub subnets: Vec<String>,
    /// Whether it is the effective view of a network interface.
    pub effective: bool,
    /// Whether a network manager stands before it, whose security admin rules no export of a group shows.
    pub managed: bool,
}

/// The default rules of every group (azure.com, "Network security groups", default security rules): name, priority,
/// direction, access, source, destination.
const DEFAULTS: [(&str, u32, Direction, Access, &str, &str); 6] = [
    ("AllowVnetInBound", 65_000, Direction::Inbound, Access::Allow, "VirtualNetwork", "VirtualNetwork"),
    ("AllowAzureLoadBalancerInBound", 65_001, Direction::Inbound, Access::Allow, "AzureLoadBalancer", "*"),
    ("DenyAllInBound", 65_500, Direction::Inbound, Access::Deny, "*", "*"),
    ("AllowVnetOutBound", 65_000, Direction::Outbound, Access::Allow, "VirtualNetwork", "VirtualNetwork"),
    ("AllowInternetOutBound", 65_001, Direction::Outbound, Access::Allow, "*", "Internet"),
    ("DenyAllOutBound", 65_500, Direction::Outbound, Access::Deny, "*", "*"),
];

/// The lowest priority of a default rule: those of customers are 100 to 4096.
pub const FIRST_DEFAULT_PRIORITY: u32 = 65_000;

/// The six default rules.
pub fn default_rules() -> impl Iterator<Item = Rule> {
    let term = |text: &str| if text == "*" { AddressTerm::Any } else { AddressTerm::Tag(Tag::named(text)) };
    let side = move |text: &str| Side { addresses: vec![term(text)], ports: vec![PortTerm::ANY] };
    DEFAULTS.into_iter().map(move |(name, priority, direction, access, source, destination)| Rule {
        name: name.to_owned(),
        priority: Known::Value(priority),
        direction: Known::Value(direction),
        access: Known::Value(access),
        protocols: Known::Value(Protocols::ALL),
        source: side(source),
        destination: side(destination),
        is_default: true,
        at: "default".to_owned(),
    })
}

impl Group {
    /// Its rules of one direction in the order in which the fabric looks at them, default rules added where the export
    /// leaves them out. A rule whose place or direction is an expression comes first: it may decide anything.
    pub fn in_order(&self, direction: Direction) -> Vec<Rule> {
        let concerns = |rule: &&Rule| rule.direction.value().is_none_or(|its| *its == direction);
        let mut rules: Vec<Rule> = self.rules.iter().filter(concerns).cloned().collect();
        for default in default_rules().filter(|rule| rule.direction.value() == Some(&direction)) {
            if !rules.iter().any(|rule| rule.is_default && rule.priority == default.priority) {
                rules.push(default);
            }
        }
        rules.sort_by_key(|rule| rule.priority.value().copied().unwrap_or(0));
        rules
    }
}
