//! From the bytes of an export to groups, tables and subnets: recognises what a file is, and says what a wrong one is.

pub(crate) mod expression;
pub(crate) mod node;
mod recognise;
mod routes;
mod rules;
pub mod seen;
mod tag_file;
mod template;
mod terraform;
#[cfg(test)]
mod tests;
mod what_if;
mod words;

use ipnet::IpNet;
use serde_json::Value;

pub use self::node::last_name;
pub(crate) use self::{
    expression::{name_of, same_name},
    node::is_expression,
};
use self::{node::Node, recognise::Shape, rules::Writer, words::Problems};
use crate::lint::{
    finding::{Finding, Unjudged},
    route::{Subnet, Table},
    rule::{Group, Known, Rule},
    world::Book,
};

/// A file that is no export, or not one that can be judged.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The bytes are no text.
    #[error("{file}: neither UTF-8 nor UTF-16: no JSON")]
    NotText {
        /// The file.
        file: String,
    },
    /// The text is no JSON.
    #[error("{file}: no JSON: {error}")]
    NotJson {
        /// The file.
        file: String,
        /// What is wrong, with line and column.
        error: serde_json::Error,
    },
    /// JSON of another kind.
    #[error("{file}: {what}")]
    WrongKind {
        /// The file.
        file: String,
        /// What it is.
        what: String,
    },
}

/// One entry of the list of addresses that an environment wants to be reached from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboundEntry {
    /// What it is for.
    pub description: String,
    /// Who comes.
    pub endpoints: Vec<IpNet>,
    /// To which ports; empty for all.
    pub ports: Vec<u16>,
}

/// What of the network around the subnet an expression may stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All subnets of a network.
    Subnets,
    /// The prefix of one subnet.
    Prefix,
    /// The prefixes of the network.
    Network,
}

/// Everything that the files given hold.
#[derive(Clone, Debug, Default)]
pub struct Export {
    /// Security groups.
    pub groups: Vec<Group>,
    /// Route tables.
    pub tables: Vec<Table>,
    /// Subnets.
    pub subnets: Vec<Subnet>,
    /// The prefixes of the virtual network.
    pub network: Vec<IpNet>,
    /// The tag file.
    pub book: Option<Book>,
    /// The environment's own list of inbound dependencies.
    pub inbound: Vec<InboundEntry>,
    /// Ports of addresses that apps have to themselves.
    pub app_ports: Vec<u16>,
    /// Words that Azure would refuse.
    pub problems: Vec<Finding>,
    /// Networks and subnets of which only a deployment knows a part.
    pub unresolved: Vec<(Part, Unjudged)>,
    /// What the reader could not follow.
    pub notes: Vec<String>,
    /// What each file is.
    pub kinds: Vec<(String, &'static str)>,
}

/// A network has 3000 subnets at most (azure.com, "Azure subscription and service limits"): behind so many none is looked for.
const MOST_SUBNETS: usize = 3_000;

impl Export {
    /// Adds what one file holds.
    ///
    /// # Errors
    /// [`ReadError`], which says what the file is.
    pub fn read(&mut self, file: &str, bytes: &[u8]) -> Result<(), ReadError> {
        let value = value(file, bytes)?;
        let value = if value.get("$schema").is_some() { template::with_variables(&value) } else { value };
        let root = Node::of_file(file, &value);
        let shape = recognise::shape(&root).map_err(|what| ReadError::WrongKind { file: file.to_owned(), what })?;
        self.kinds.push((file.to_owned(), shape.name()));
        let mut problems = Problems::default();
        self.take(&root, shape, &mut problems);
        self.problems.extend(problems.0);
        Ok(())
    }

    fn take(&mut self, root: &Node<'_>, shape: Shape, problems: &mut Problems) {
        let items = recognise::items(root);
        match shape {
            Shape::Rules => self.groups.push(rules::list(&items, problems)),
            Shape::Routes => self.tables.push(routes::list(&items, problems)),
            Shape::EffectiveRoutes => self.tables.push(routes::effective(&items, problems)),
            Shape::Group | Shape::EffectiveGroup | Shape::Table | Shape::Subnet | Shape::Network => {
                items.iter().for_each(|item| self.one(item, shape, problems));
            }
            Shape::Template => template::read(root, self, problems),
            Shape::Terraform => terraform::read(root, self, problems),
            Shape::WhatIf => what_if::read(root, self, problems),
            Shape::Tags => self.book = Some(tag_file::read(root)),
            Shape::Inbound => items.iter().for_each(|item| self.inbound_entry(item, problems)),
            Shape::Addresses => {
                let ports = ["internalHttpPort", "internalHttpsPort"];
                let mappings = root.list("vipMappings");
                let in_use = mappings.iter().flat_map(|mapping| mapping.texts(&ports));
                self.app_ports.extend(in_use.filter_map(|port| port.text()?.parse::<u16>().ok()));
            }
        }
    }

    /// Adds one object of a list, which may hold several kinds; what says nothing of itself is what the first one is.
    fn one(&mut self, item: &Node<'_>, first: Shape, problems: &mut Problems) {
        match recognise::of_item(item).unwrap_or(first) {
            Shape::EffectiveGroup => self.effective_group(item, problems),
            Shape::Table => self.tables.push(routes::table(item, problems)),
            Shape::Subnet => template::subnet(item, self, problems),
            Shape::Network => template::network(item, self, problems),
            _ => self.groups.push(rules::group(item, Writer::Azure, problems)),
        }
    }

    fn effective_group(&mut self, item: &Node<'_>, problems: &mut Problems) {
        let id = item.reference("networkSecurityGroup");
        let rules = item.list("effectiveSecurityRules");
        let mut rules: Vec<Rule> = rules.iter().map(|rule| rules::rule(rule, Writer::Azure, problems)).collect();
        rules::without_repetitions(&mut rules);
        let association = item.get("association");
        let of = |name: &str| association.as_ref().and_then(|association| association.reference(name));
        self.groups.push(Group {
            name: id.as_deref().map_or("effective rules", last_name).to_owned(),
            id,
            location: None,
            rules,
            subnets: of("subnet").into_iter().collect(),
            effective: true,
            managed: of("networkManager").is_some(),
        });
    }

    fn inbound_entry(&mut self, item: &Node<'_>, problems: &mut Problems) {
        let ports = item.texts(&["ports"]);
        self.inbound.push(InboundEntry {
            description: item.text_of("description").unwrap_or_default(),
            endpoints: routes::prefixes(item, &["endpoints"], problems),
            ports: ports.iter().filter_map(|port| port.text()?.parse().ok()).collect(),
        });
    }

    /// Adds a group, or its rules to the one of that name.
    fn add_group(&mut self, group: Group) {
        match self.groups.iter_mut().find(|other| other.name == group.name) {
            Some(other) => {
                let Group { id, location, rules, .. } = group;
                other.id = other.id.take().or(id);
                other.location = other.location.take().or(location);
                other.rules.extend(rules);
                rules::without_repetitions(&mut other.rules);
            }
            None => self.groups.push(group),
        }
    }

    fn add_rule(&mut self, group: &str, rule: Rule) {
        self.add_group(Group { name: group.to_owned(), rules: vec![rule], ..Group::default() });
    }

    /// Adds a subnet; one that stands inside its network and beside it is one.
    fn add_subnet(&mut self, subnet: Subnet) {
        let is_same = |other: &&mut Subnet| {
            !subnet.name.is_empty() && other.name == subnet.name && other.prefixes == subnet.prefixes
        };
        let other = self.subnets.iter_mut().take(MOST_SUBNETS).find(is_same);
        let Some(other) = other else { return self.subnets.push(subnet) };
        let Subnet { id, location, group, table, delegations, service_endpoints, .. } = subnet;
        other.id = other.id.take().or(id);
        other.location = other.location.take().or(location);
        other.group = other.group.take().or(group);
        other.table = other.table.take().or(table);
        other.without_group &= other.group.is_none();
        let fresh = |known: &[String], more: Vec<String>| {
            more.into_iter().filter(|one| !known.contains(one)).collect::<Vec<_>>()
        };
        other.delegations.extend(fresh(&other.delegations, delegations));
        other.service_endpoints.extend(fresh(&other.service_endpoints, service_endpoints));
    }

    /// Adds a table, or its routes to the one of that name.
    fn add_table(&mut self, table: Table) {
        match self.tables.iter_mut().find(|other| other.name == table.name) {
            Some(other) => {
                let fresh: Vec<_> = table.routes.into_iter().filter(|route| !other.routes.contains(route)).collect();
                other.routes.extend(fresh);
                other.id = other.id.take().or(table.id);
                other.location = other.location.take().or(table.location);
                if other.takes_bgp == Known::Value(true) {
                    other.takes_bgp = table.takes_bgp;
                }
            }
            None => self.tables.push(table),
        }
    }
}

/// The JSON of a file.
///
/// # Errors
/// [`ReadError`], which says what the bytes are.
pub(crate) fn value(file: &str, bytes: &[u8]) -> Result<Value, ReadError> {
    let text = decode(bytes).ok_or_else(|| ReadError::NotText { file: file.to_owned() })?;
    serde_json::from_str(&text).map_err(|error| ReadError::NotJson { file: file.to_owned(), error })
}

/// The text of a file: UTF-8, or UTF-16 as a redirect of PowerShell writes it.
fn decode(bytes: &[u8]) -> Option<String> {
    let wide = |order: fn([u8; 2]) -> u16, rest: &[u8]| {
        let (pairs, odd) = rest.as_chunks::<2>();
        let units: Vec<u16> = pairs.iter().map(|pair| order(*pair)).collect();
        if odd.is_empty() { String::from_utf16(&units).ok() } else { None }
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => wide(u16::from_le_bytes, rest),
        [0xfe, 0xff, rest @ ..] => wide(u16::from_be_bytes, rest),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        _ => String::from_utf8(bytes.to_vec()).ok(),
    }
}
