//! Judges an export by a profile: what a question and the exports make together, and every check in turn.

mod advertised;
mod assigned;
mod balancer;
#[cfg(test)]
mod brute_tests;
mod callers;
mod choice;
pub mod diff;
#[cfg(test)]
mod diff_tests;
mod endpoints;
mod flow_diff;
mod flows;
mod gate;
mod hygiene;
mod judged_export;
mod loss;
#[cfg(test)]
mod loss_tests;
mod mend;
mod occupants;
#[cfg(test)]
mod other_readers_tests;
pub mod passage;
mod peers;
mod platform;
mod refused;
#[cfg(test)]
mod refused_tests;
mod sizes;
#[cfg(test)]
mod surroundings_tests;
mod tables;
#[cfg(test)]
mod tests;
mod traffic_class;
mod unknowns;
#[cfg(test)]
mod unknowns_tests;
mod ways;
#[cfg(test)]
mod ways_tests;
#[cfg(test)]
mod what_if_tests;

use std::collections::BTreeSet;

use ipnet::IpNet;

use self::gate::Gate;
use crate::lint::{
    addresses::AddressSet,
    finding::{Finding, Kind, Report, Severity, Unjudged},
    read::{Export, is_expression},
    regions::region_of,
    requirements::{Management, Members, Peer, Profile, Requirement},
    route::Subnet,
    rule::{AddressTerm, Group, Rule},
    tags::Tag,
    traffic::Direction,
    world::World,
};

/// Whether apps are reached from the Internet or from the network only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deployment {
    /// By an internal load balancer.
    Ilb,
    /// By a public address.
    External,
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// By what to judge.
    pub profile: Profile,
    /// The cloud: it decides which management addresses are meant.
    pub cloud: String,
    /// The subnet's prefixes, where no file says them.
    pub subnet: Vec<IpNet>,
    /// The network's prefixes, where no file says them.
    pub vnet: Vec<IpNet>,
    /// The subnet's service endpoints, where no file says them.
    pub service_endpoints: Option<Vec<String>>,
    /// How apps are reached.
    pub deployment: Option<Deployment>,
    /// Ports of apps with an address of their own.
    pub app_ports: Vec<u16>,
    /// The name of the group to judge, where several are given.
    pub group: Option<String>,
    /// The name of the table to judge, where several are given.
    pub table: Option<String>,
    /// What the configuration of the agent needs.
    pub needs: Vec<Requirement>,
    /// Ids of findings to set aside, each with the reason.
    pub suppress: Vec<(String, String)>,
}

/// Everything that the checks look at.
pub(super) struct Case<'a> {
    question: &'a Question,
    export: &'a Export,
    world: World,
    management: Management,
    subnet: Option<&'a Subnet>,
    service_endpoints: Option<Vec<String>>,
    /// The prefixes of the subnet and of the network.
    nets: (Vec<IpNet>, Vec<IpNet>),
    deployment: Option<Deployment>,
}

/// The tag of the addresses that an environment reports to (tag file of 2025-10-28).
const MONITOR: &str = "AzureMonitor";

/// What becomes of a tag that Azure does not have (`SecurityRuleInvalidAddressPrefix`).
const REFUSES: &str = "Azure refuses a tag that it does not have, and the deployment fails";

/// Azure has fewer regions than that ("Azure regions list").
const MOST_REGIONS: usize = 128;

/// Judges.
pub fn judge(question: &Question, export: &Export) -> Report {
    judged(&Case::new(question, export, &[]))
}

/// Every check in turn.
fn judged(case: &Case<'_>) -> Report {
    let export = case.export;
    let mut report = Report { notes: export.notes.clone(), ..Report::default() };
    report.findings.extend(export.problems.iter().cloned());
    let mut gates = Vec::new();
    for group in case.groups(&mut report) {
        refused::rules(group, &mut report);
        if group.managed {
            report.notes.push(format!(
                "{}: a network manager stands before this group; its security admin rules are in no export of a group",
                group.name
            ));
        }
        if too_many(group, &mut report) {
            continue;
        }
        let gate = Gate::new(group, &case.world);
        flows::check(case, &gate, &mut report);
        balancer::check(case, &gate, &mut report);
        hygiene::check(case, &gate, &mut report);
        platform::check(case, &gate, &mut report);
        gates.push(gate);
    }
    refused::prefixes(case, &mut report);
    unknowns::surroundings(case, &mut report);
    let table = case.table(&mut report);
    if let Some(table) = table {
        unknowns::routes(case, table, &mut report);
        refused::routes(table, &mut report);
        ways::check(case, table, &mut report);
        tables::check(case, table, &mut report);
        advertised::check(case, table, &mut report);
        callers::check(case, table, gates.first(), &mut report);
    }
    endpoints::check(case, table, &mut report);
    if let Some(subnet) = case.subnet {
        sizes::check(case, subnet, &mut report);
        occupants::check(case, subnet, &mut report);
    }
    traffic_class::name(case, &mut report);
    let needs_something = !case.profile().requirements.is_empty();
    if needs_something && export.groups.is_empty() && export.tables.is_empty() && case.subnet.is_none() {
        report.could_not_judge.push(nothing(export));
    }
    finish(case, report)
}

/// That nothing was judged, and why.
fn nothing(export: &Export) -> Unjudged {
    let why = match export.subnets.len() {
        0 => "there is no group, no route table and no subnet in these files".to_owned(),
        count => format!("there are {count} subnets in these files: --subnet says which one is meant"),
    };
    Unjudged { why, ..Unjudged::default() }
}

/// Rules that a group can have: a priority of 100 to 4096 for each, in two directions, and the default rules.
const MOST_RULES: usize = 2 * 3_997 + 6;

/// Whether a group has more rules than there are priorities: then it is no group of Azure's, and nothing is judged of it.
fn too_many(group: &Group, report: &mut Report) -> bool {
    let many = group.rules.len() > MOST_RULES;
    if many {
        let message = format!(
            "{} rules, but priorities for {MOST_RULES} only: Azure has no such group, and none of it is judged",
            group.rules.len()
        );
        let at = group.rules.first().map(|rule| rule.at.clone());
        let resource = Some(group.name.clone());
        let finding = Finding { resource, at: at.clone(), ..Finding::new(Kind::Input, Severity::Critical, message) };
        report.could_not_judge.push(Unjudged { at, why: finding.message.clone(), ..Unjudged::default() });
        report.findings.push(finding);
    }
    many
}

/// Sets aside what is suppressed, and puts the worst first.
fn finish(case: &Case<'_>, mut report: Report) -> Report {
    let question = case.question;
    let reason = |finding: &Finding| {
        let named = |id: &str| {
            id == finding.id()
                || id == finding.kind.id()
                || finding.rule.as_ref().is_some_and(|rule| id == format!("{}@{rule}", finding.kind))
        };
        question.suppress.iter().find(|(id, _)| named(id)).map(|(_, reason)| reason.clone())
    };
    let opens: Vec<Finding> =
        report.could_not_judge.iter().filter(|open| open.requirement.is_some()).map(cannot_tell).collect();
    report.findings.extend(opens);
    let mut kept: Vec<Finding> = Vec::new();
    for finding in report.findings.drain(..) {
        match reason(&finding) {
            Some(reason) => report.suppressed.push((finding, reason)),
            None if kept.contains(&finding) => {}
            None => kept.push(finding),
        }
    }
    kept.sort_by(|a, b| b.severity.cmp(&a.severity).then(a.kind.cmp(&b.kind)));
    report.findings = kept;
    report.notes.extend(notes(case));
    report
}

/// What stays open stands among the findings, too, as information.
fn cannot_tell(open: &Unjudged) -> Finding {
    Finding {
        requirement: open.requirement.clone(),
        rule: open.rule.clone(),
        at: open.at.clone(),
        ..Finding::new(Kind::CannotTell, Severity::Info, open.why.clone())
    }
}

fn notes(case: &Case<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    match case.world.edition() {
        Some(edition) => notes.push(format!("service tags: {edition}")),
        None => notes.push("service tags: by name, no tag file was given (--tags)".to_owned()),
    }
    if !case.export.groups.is_empty() {
        notes.push(
            "security admin rules of a network manager come before every group and are in no export; traffic to 168.63.129.16 \
             (DNS, DHCP, health) and 169.254.169.254 passes every group but for rules by the AzurePlatform tags"
                .to_owned(),
        );
    }
    notes
}

impl<'a> Case<'a> {
    /// The tags given are numbered first, so that two exports that are compared number theirs alike.
    fn new(question: &'a Question, export: &'a Export, first: &[Tag]) -> Self {
        let subnet = choice::subnet(question, export);
        let of_subnet = subnet.map(|subnet| subnet.prefixes.clone()).unwrap_or_default();
        let subnet_nets = if question.subnet.is_empty() { of_subnet } else { question.subnet.clone() };
        let vnet_nets = if question.vnet.is_empty() { export.network.clone() } else { question.vnet.clone() };
        let management = Management::of_cloud(&question.cloud);
        let mut book = export.book.clone().unwrap_or_default();
        book.regions.extend(region(subnet, export));
        book.documented.insert(management.tag.clone(), management.set());
        if question.cloud == "public" {
            let monitor: Vec<IpNet> = question.profile.routes.ip_dependencies.iter().map(|one| (*one).into()).collect();
            book.documented.insert(Tag::named(MONITOR), AddressSet::of(&monitor));
            book.examples = Members::embedded().by_tag();
        }
        let named = first.iter().cloned().chain(tags(question, export, &management));
        let mut world = World::new(&subnet_nets, &vnet_nets, book, named);
        // What the platform puts into the subnet belongs to no group of interfaces.
        if question.profile.subnet_is_its_own() {
            world.interfaces = world.vnet.minus(&world.subnet);
        }
        let from_file = subnet.filter(|subnet| subnet.open_endpoints.is_none());
        let service_endpoints =
            question.service_endpoints.clone().or(from_file.map(|subnet| subnet.service_endpoints.clone()));
        let deployment = question.deployment;
        Self {
            question,
            export,
            world,
            management,
            subnet,
            service_endpoints,
            nets: (subnet_nets, vnet_nets),
            deployment,
        }
    }

    /// That a tag is none that this program or the tag file knows, in words, and which one it resembles.
    fn unknown_tag(&self, tag: &Tag) -> Option<String> {
        let meant = self.world.unknown(tag)?.map(|other| format!(" ({other} is meant?)")).unwrap_or_default();
        let is = if tag.is_known() { "names no region that is known" } else { "is no service tag that is known" };
        Some(match self.world.edition() {
            Some(_) => format!("{tag} {is} or that the tag file lists{meant}: {REFUSES}"),
            None => format!("{tag} {is}{meant}: {REFUSES}; with --tags FILE it is looked up"),
        })
    }

    /// The same of the first such tag of a rule.
    fn unknown_tag_of(&self, rule: &Rule) -> Option<String> {
        let mut terms = rule.source.addresses.iter().chain(&rule.destination.addresses);
        terms.find_map(|term| if let AddressTerm::Tag(tag) = term { self.unknown_tag(tag) } else { None })
    }

    /// The region that the subnet is in, as far as the files say it, as tags write it.
    fn region(&self) -> Option<String> {
        region(self.subnet, self.export)
    }

    fn profile(&self) -> &'a Profile {
        &self.question.profile
    }

    /// Every requirement: the profile's, of apps with own addresses, and of the agent's configuration.
    fn requirements(&self) -> Vec<Requirement> {
        let own = [self.question.app_ports.as_slice(), self.export.app_ports.as_slice()].concat();
        let assigned = (!own.is_empty()).then(|| Requirement::of_app_ports(&own));
        self.profile().requirements.iter().cloned().chain(assigned).chain(self.question.needs.clone()).collect()
    }

    fn finding_for(&self, requirement: &Requirement, kind: Kind, severity: Severity, message: String) -> Finding {
        Finding {
            requirement: Some(requirement.id.clone()),
            source: self.profile().source_of(requirement),
            ..Finding::new(kind, severity, message)
        }
    }
}

fn region(subnet: Option<&Subnet>, export: &Export) -> Option<String> {
    let of_subnet = subnet.and_then(|subnet| subnet.location.as_deref());
    let of_groups = export.groups.iter().find_map(|group| group.location.as_deref());
    let said = of_subnet.or(of_groups).filter(|said| !is_expression(said) && !said.is_empty())?;
    Some(region_of(said))
}

/// Every tag that rules, routes and requirements name. Where rules name all of Azure in a region, what is there of a service
/// that is required has a name, too, so that a rule takes that part and no other.
fn tags(question: &Question, export: &Export, management: &Management) -> Vec<Tag> {
    let of_rule = |rule: &Rule| [rule.source.addresses.clone(), rule.destination.addresses.clone()].concat();
    let of_rules = export.groups.iter().flat_map(|group| group.rules.iter().flat_map(of_rule));
    let of_routes =
        export.tables.iter().flat_map(|table| table.routes.iter().flat_map(|route| route.destinations.clone()));
    let named = of_rules.chain(of_routes).filter_map(|term| match term {
        AddressTerm::Tag(tag) | AddressTerm::Expanded(tag, _) => Some(tag),
        AddressTerm::Any | AddressTerm::Net(_) | AddressTerm::Interfaces(_) | AddressTerm::Expression(_) => None,
    });
    let required = question.profile.requirements.iter().filter_map(|requirement| match &requirement.peer {
        Peer::Tag(tag) => Some(tag.clone()),
        Peer::Subnet | Peer::Vnet | Peer::Internet | Peer::Any | Peer::Clients | Peer::Somewhere | Peer::Nets(_) => {
            None
        }
    });
    let mut tags: Vec<Tag> = named.chain(required).chain([management.tag.clone()]).collect();
    let regions: BTreeSet<&str> = tags.iter().filter(|tag| tag.is_all_of_azure()).filter_map(Tag::region).collect();
    let is_listed = |tag: &&Tag| export.book.as_ref().is_some_and(|book| book.complete.contains_key(tag));
    let wholes = question.profile.requirements.iter().filter_map(|requirement| match &requirement.peer {
        Peer::Tag(tag) => Some(tag).filter(|tag| !is_listed(tag)),
        _ => None,
    });
    let parts: Vec<Tag> =
        wholes.flat_map(|whole| regions.iter().take(MOST_REGIONS).filter_map(|region| whole.part_in(region))).collect();
    tags.extend(parts);
    tags
}

/// Whether a requirement is judged at a group at all.
fn counts(case: &Case<'_>, requirement: &Requirement) -> bool {
    let no_effect = requirement.direction() == Direction::Inbound && !case.profile().inbound_rules_apply;
    let impossible = requirement.id == "app-assigned" && case.deployment == Some(Deployment::Ilb);
    !no_effect && !impossible
}
