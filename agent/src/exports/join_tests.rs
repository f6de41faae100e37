//! Incidents as they are measured, exports as they lie on the disk, and what is said of the two together.

use std::sync::Arc;

use ase_probes::{cause::Cause, verdict::Phase};
use serde_json::{Value, json};

use super::*;
use crate::{
    model::{catalog::EndpointId, endpoint::Status},
    sample,
};

const HOUR: Duration = Duration::from_secs(3600);

/// The incident of the sample, TCP 1433 without an answer, and what else stands around it.
struct World {
    incident: Incident,
    endpoints: Vec<Arc<EndpointView>>,
    source: &'static str,
    /// How long before the incident the files were written.
    age: Duration,
    is_single_look: bool,
}

impl World {
    fn new() -> Self {
        let snapshot = sample::snapshot();
        let incident = (*snapshot.incidents.open[0]).clone();
        Self { incident, endpoints: snapshot.endpoints, source: "10.0.1.4", age: 2 * HOUR, is_single_look: true }
    }

    fn said(&self, files: &[Value]) -> Option<Said> {
        let catalog = sample::snapshot().catalog;
        let (keys, texts) = (sample::exports::keys(), files.iter().map(Value::to_string).collect::<Vec<_>>());
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let judged = sample::exports::judge(&keys, &catalog, &texts, self.incident.since - self.age);
        let views = self.endpoints.iter().map(|view| (&*view.endpoint.id.0, &**view)).collect();
        let source = Some(self.source.parse().expect("an address"));
        of(
            &self.incident,
            &judged,
            Around { views: &views, source, stale_after: keys.stale_after, is_single_look: self.is_single_look },
        )
    }

    fn line(&self, files: &[Value]) -> String {
        self.said(files).expect("something is said").line
    }
}

fn rule(name: &str, access: &str, to: &str, port: &str) -> Value {
    json!({"name": name, "priority": 4000, "direction": "Outbound", "access": access, "protocol": "*",
        "sourceAddressPrefix": "*", "sourcePortRange": "*", "destinationAddressPrefix": to, "destinationPortRange": port})
}

fn group(rules: &[Value]) -> Value {
    json!({"name": "ase-nsg", "securityRules": rules})
}

fn table(kind: &str, address: &str) -> Value {
    let default =
        json!({"name": "default", "addressPrefix": "0.0.0.0/0", "nextHopType": kind, "nextHopIpAddress": address});
    json!({"name": "ase-routes", "disableBgpRoutePropagation": true, "routes": [default]})
}

#[test]
fn the_rule_that_drops_the_measured_flows_is_named_with_what_to_do() {
    let said = World::new().said(&[group(&[rule("DenySql", "Deny", "*", "1433")])]).expect("it is said");
    assert_eq!(said.verdict, ExportVerdict::Dropped);
    assert_eq!(
        said.line,
        "DenySql, priority 4000, drops TCP 1433 to any (group ase-nsg; here to 203.0.113.40, 203.0.113.41); exported 2h 0m before it began"
    );
    let next = said.next.expect("there is something to do");
    assert_eq!(next, "let TCP 1433 to 203.0.113.40, 203.0.113.41 pass in group ase-nsg before DenySql, priority 4000");
    assert_eq!(said.commands, ["az network nsg rule show -g GROUP --nsg-name ase-nsg -n DenySql"]);
}

#[test]
fn a_route_to_none_and_the_way_to_an_appliance_are_named() {
    let world = World::new();
    let line = world.line(&[table("None", "")]);
    let words =
        "route 0.0.0.0/0 with next hop None drops it (route default of table ase-routes; here TCP 1433 to 203.0.113.40";
    assert!(line.starts_with(words), "{line}");
    let said = world.said(&[table("VirtualAppliance", "10.0.9.4")]).expect("it is said");
    let words = "TCP 1433 to 203.0.113.40, 203.0.113.41 goes to the appliance 10.0.9.4 by route default";
    assert!(said.line.starts_with(words) && said.verdict == ExportVerdict::Detour, "{}", said.line);
    assert!(said.next.is_some_and(|next| next.ends_with("in the rules and the log of the appliance 10.0.9.4")));
    let both = world.line(&[group(&[rule("DenySql", "Deny", "*", "1433")]), table("None", "")]);
    assert!(
        both.starts_with("DenySql, priority 4000, drops") && both.contains("route default (0.0.0.0/0) would, too"),
        "{both}"
    );
}

#[test]
fn what_the_exports_allow_is_not_blamed_on_them_and_what_is_not_exported_is_named() {
    let world = World::new();
    let open = group(&[rule("AllowSql", "Allow", "*", "1433")]);
    let line = world.line(&[open.clone(), table("Internet", "")]);
    assert!(
        line.starts_with(
            "the exported rules allow TCP 1433 to 203.0.113.40, 203.0.113.41 (AllowSql, priority 4000), and"
        ),
        "{line}"
    );
    assert!(line.contains("the suspect is beyond the exports: security admin rules of a network manager"), "{line}");
    assert!(line.ends_with("exported 2h 0m before it began"), "the age of the export: {line}");
    assert!(world.line(&[open]).contains("beyond the exports: the route table, which is not exported, security admin"));
    assert!(
        world.line(&[table("Internet", "")]).contains("beyond the exports: the security group, which is not exported")
    );
}

#[test]
fn an_export_that_is_much_older_than_the_incident_is_said_to_be_stale() {
    let mut world = World::new();
    let deny = [group(&[rule("DenySql", "Deny", "*", "1433")])];
    world.age = 25 * HOUR;
    let said = world.said(&deny).expect("it is said");
    assert!(said.is_stale && said.line.contains("the export is stale, 1d 1h older than the incident"), "{}", said.line);
    assert!(said.next.is_some_and(|next| next.starts_with("export again first")));
    world.age = 23 * HOUR;
    assert!(!world.said(&deny).expect("it is said").is_stale);
    world.age = Duration::ZERO;
    assert!(world.line(&deny).ends_with("exported after it began"));
}

#[test]
fn a_rule_that_would_stop_what_works_is_not_in_force() {
    let said = World::new().said(&[group(&[rule("DenyAll", "Deny", "*", "*")])]).expect("it is said");
    assert_eq!(said.verdict, ExportVerdict::Contradicted);
    assert!(!said.witnesses.is_empty() && said.line.contains("would be stopped as well and works"), "{}", said.line);
    assert!(said.next.is_some_and(|next| next.starts_with("export rules and routes again")));
}

#[test]
fn who_was_last_visited_before_the_incident_began_is_no_witness() {
    let mut world = World::new();
    world.is_single_look = false;
    let deny = [group(&[rule("DenyAll", "Deny", "*", "*")])];
    world.incident.since = sample::AT + HOUR;
    assert_eq!(world.said(&deny).expect("it is said").verdict, ExportVerdict::Dropped);
    world.incident.since = sample::AT - 2 * HOUR;
    assert_eq!(world.said(&deny).expect("it is said").verdict, ExportVerdict::Contradicted);
}

#[test]
fn a_rule_drops_silently_so_what_was_answered_was_not_its_doing() {
    let mut world = World::new();
    world.incident.finding.cause = Cause::Refused;
    world.incident.finding.phase = Phase::Connect;
    world.incident.endpoints = vec![EndpointId("crl.microsoft.com:80".into())];
    for view in world.endpoints.iter_mut().filter(|view| *view.endpoint.id.0 != *"crl.microsoft.com:80") {
        let none = crate::model::visit::Untested::NotYet;
        Arc::make_mut(view).status = Status::Unknown(none);
    }
    let said = world.said(&[group(&[rule("DenyWeb", "Deny", "*", "80")])]).expect("it is said");
    assert_eq!(said.verdict, ExportVerdict::Contradicted);
    assert!(said.line.contains("something of it comes through"), "{}", said.line);
}

#[test]
fn what_hangs_on_a_tag_is_said_to_be_unknown_with_what_decides_else() {
    let rules = [
        rule("AllowSql", "Allow", "Sql", "1433"),
        json!({"name": "DenyRest", "priority": 4001, "direction": "Outbound",
        "access": "Deny", "protocol": "*", "sourceAddressPrefix": "*", "sourcePortRange": "*",
        "destinationAddressPrefix": "*", "destinationPortRange": "1433"}),
    ];
    let said = World::new().said(&[group(&rules)]).expect("it is said");
    assert_eq!((said.verdict, said.next), (ExportVerdict::Unknown, None));
    let words = "is not known: AllowSql is about Sql, whose addresses no export holds; else DenyRest, priority 4001, drops TCP 1433";
    assert!(said.line.contains(words), "{}", said.line);
}

#[test]
fn causes_that_rules_have_nothing_to_do_with_are_left_alone() {
    let mut world = World::new();
    let deny = [group(&[rule("DenySql", "Deny", "*", "1433")])];
    for cause in [Cause::TlsCertInvalid, Cause::LocalPorts, Cause::HttpStatus, Cause::DnsNxdomain, Cause::NtpWrongTime]
    {
        world.incident.finding.cause = cause;
        assert_eq!(world.said(&deny), None, "{cause}");
    }
    world.incident.finding.cause = Cause::SqlRedirectBlocked;
    let line = world.line(&[group(&[rule("DenyRedirect", "Deny", "*", "11000-11999")])]);
    assert!(line.starts_with("DenyRedirect, priority 4000, drops TCP 11000-11999 to any"), "{line}");
}

#[test]
fn an_agent_outside_the_exported_subnet_says_so() {
    let mut world = World::new();
    world.source = "10.0.7.4";
    let line = world.line(&[group(&[rule("DenySql", "Deny", "*", "1433")])]);
    assert!(
        line.contains("measured from 10.0.7.4, outside the exported subnet: it holds here if both have the same group"),
        "{line}"
    );
}

#[test]
fn a_name_in_a_file_is_never_typed_as_it_stands() {
    let deny = json!({"name": "x; rm -rf '$HOME'", "securityRules": [rule("Deny Sql", "Deny", "*", "1433")]});
    let said = World::new().said(&[deny]).expect("it is said");
    assert_eq!(
        said.commands,
        [r"az network nsg rule show -g GROUP --nsg-name 'x; rm -rf '\''$HOME'\''' -n 'Deny Sql'"]
    );
}
