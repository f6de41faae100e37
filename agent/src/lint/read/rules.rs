//! Security rules and groups, in every form that has them under `securityRules` or beside each other.

use std::collections::BTreeMap;

use crate::lint::{
    addresses::AddressSet,
    read::{
        node::{AFTER_APPLY, Node, last_name},
        words::{self, Problems},
    },
    rule::{AddressTerm, FIRST_DEFAULT_PRIORITY, Group, Known, PortTerm, Rule, Side},
};

/// Who wrote the file: it decides what an absent field means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writer {
    /// Azure, or a template: absent is a mistake.
    Azure,
    /// Terraform: absent is known after apply.
    Terraform,
}

/// Whether a value looks like a security rule.
pub(super) fn is_rule(node: &Node<'_>) -> bool {
    node.has("direction") && node.has("access") && node.has("priority")
}

/// A group with its rules, default rules too where it has them.
pub(super) fn group(node: &Node<'_>, writer: Writer, problems: &mut Problems) -> Group {
    let mut group = Group {
        name: node.text_of("name").unwrap_or_default(),
        id: node.text_of("id"),
        location: node.text_of("location"),
        subnets: node.list("subnets").iter().filter_map(|subnet| subnet.text_of("id")).collect(),
        ..Group::default()
    };
    for list in ["securityRules", "securityRule", "defaultSecurityRules"].iter().filter_map(|name| node.get(name)) {
        group.rules.extend(list.items().iter().map(|item| rule(item, writer, problems)));
    }
    let unlisted = ["securityRules", "securityRule"].iter().find_map(|name| node.unlisted(name));
    let whole = || node.opaque().map(|expression| (node.clone(), expression));
    group.rules.extend(unlisted.or_else(whole).map(|(place, expression)| unknown_rule(&place, expression)));
    without_repetitions(&mut group.rules);
    group
}

/// A list that stands for a group of its own: `az network nsg rule list`.
pub(super) fn list(items: &[Node<'_>], problems: &mut Problems) -> Group {
    let rules = items.iter().map(|item| rule(item, Writer::Azure, problems)).collect();
    let mut group = Group { name: "rules".to_owned(), rules, ..Group::default() };
    without_repetitions(&mut group.rules);
    group
}

/// Effective views name each rule twice where two groups apply.
pub(super) fn without_repetitions(rules: &mut Vec<Rule>) {
    let same = |a: &Rule, b: &Rule| Rule { at: String::new(), ..a.clone() } == Rule { at: String::new(), ..b.clone() };
    let mut kept: Vec<Rule> = Vec::new();
    let mut by_name: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for rule in rules.drain(..) {
        let namesakes = by_name.entry(rule.name.clone()).or_default();
        if !namesakes.iter().any(|&at| same(&kept[at], &rule)) {
            namesakes.push(kept.len());
            kept.push(rule);
        }
    }
    *rules = kept;
}

/// A rule of which nothing is known: it may decide anything.
pub(super) fn unknown_rule(node: &Node<'_>, expression: String) -> Rule {
    let side = || Side {
        addresses: vec![AddressTerm::Expression(expression.clone())],
        ports: vec![PortTerm::Expression(expression.clone())],
    };
    Rule {
        name: expression.clone(),
        priority: Known::Expression(expression.clone()),
        direction: Known::Expression(expression.clone()),
        access: Known::Expression(expression.clone()),
        protocols: Known::Expression(expression.clone()),
        source: side(),
        destination: side(),
        is_default: false,
        at: node.path.clone(),
    }
}

/// One rule.
pub(super) fn rule(node: &Node<'_>, writer: Writer, problems: &mut Problems) -> Rule {
    if let Some(expression) = node.opaque() {
        return unknown_rule(node, expression);
    }
    let full_name = node.text_of("name").unwrap_or_default();
    let name = full_name.trim_start_matches("securityRules/").trim_start_matches("defaultSecurityRules/").to_owned();
    let name = last_name_of_child(&name, node);
    let priority = required(node, "priority", &name, writer, problems, words::priority);
    let is_default = priority.value().is_some_and(|priority| *priority >= FIRST_DEFAULT_PRIORITY);
    Rule {
        direction: required(node, "direction", &name, writer, problems, words::direction),
        access: required(node, "access", &name, writer, problems, words::access),
        protocols: required(node, "protocol", &name, writer, problems, words::protocols),
        source: side(node, "source", &name, writer, problems),
        destination: side(node, "destination", &name, writer, problems),
        at: node.path.clone(),
        name,
        priority,
        is_default,
    }
}

/// A rule that is a resource of its own is called `group/rule`.
fn last_name_of_child(name: &str, node: &Node<'_>) -> String {
    let is_resource = node.text_of("type").is_some_and(|kind| kind.to_ascii_lowercase().ends_with("/securityrules"));
    if is_resource && node.has("apiVersion") { last_name(name).to_owned() } else { name.to_owned() }
}

fn required<T>(
    node: &Node<'_>,
    field: &str,
    rule: &str,
    writer: Writer,
    problems: &mut Problems,
    read: fn(&Node<'_>, &str, &mut Problems) -> Known<T>,
) -> Known<T> {
    match node.get(field) {
        Some(found) => read(&found, rule, problems),
        None => {
            absent(node, field, rule, writer, problems);
            Known::Expression(AFTER_APPLY.to_owned())
        }
    }
}

fn absent(node: &Node<'_>, field: &str, rule: &str, writer: Writer, problems: &mut Problems) {
    if writer == Writer::Azure {
        let severity = crate::lint::finding::Severity::Critical;
        problems.note(node, rule, severity, format!("the rule has no {field}"));
    }
}

fn side(node: &Node<'_>, which: &str, rule: &str, writer: Writer, problems: &mut Problems) -> Side {
    let field = |name: &str| format!("{which}{name}");
    let names = [field("AddressPrefix"), field("AddressPrefixes")];
    let listed = node.texts(&[&names[0], &names[1]]);
    let mut addresses: Vec<_> = listed.iter().flat_map(|item| words::addresses(item, rule, problems)).collect();
    if let Some(expanded) = expanded(node, which, problems) {
        addresses = addresses.into_iter().map(|term| with_expansion(term, &expanded)).collect();
    }
    for name in [field("ApplicationSecurityGroups"), field("ApplicationSecurityGroupIds")] {
        addresses.extend(node.list(&name).iter().filter_map(interfaces).map(AddressTerm::Interfaces));
    }
    let names = [field("PortRange"), field("PortRanges")];
    let listed = node.texts(&[&names[0], &names[1]]);
    let mut ports: Vec<_> = listed.iter().flat_map(|item| words::ports(item, rule, problems)).collect();
    if addresses.is_empty() {
        absent(node, &format!("{which} addresses"), rule, writer, problems);
        addresses.push(AddressTerm::Expression(AFTER_APPLY.to_owned()));
    }
    if ports.is_empty() {
        absent(node, &format!("{which} ports"), rule, writer, problems);
        ports.push(PortTerm::Expression(AFTER_APPLY.to_owned()));
    }
    Side { addresses, ports }
}

fn interfaces(node: &Node<'_>) -> Option<String> {
    let id = node.text().or_else(|| node.text_of("id"))?;
    Some(last_name(&id).to_owned())
}

/// The prefixes that an effective view lists beside a tag.
fn expanded(node: &Node<'_>, which: &str, problems: &mut Problems) -> Option<AddressSet> {
    let name = format!("expanded{which}AddressPrefix");
    let listed = node.texts(&[&name]);
    let nets: Vec<_> = listed
        .iter()
        .filter_map(|item| match words::address(item, "", problems) {
            AddressTerm::Net(net) => Some(net),
            AddressTerm::Any
            | AddressTerm::Tag(_)
            | AddressTerm::Expanded(..)
            | AddressTerm::Interfaces(_)
            | AddressTerm::Expression(_) => None,
        })
        .collect();
    (!nets.is_empty()).then(|| AddressSet::of(&nets))
}

fn with_expansion(term: AddressTerm, expanded: &AddressSet) -> AddressTerm {
    match term {
        AddressTerm::Tag(tag) => AddressTerm::Expanded(tag, expanded.clone()),
        other => other,
    }
}
