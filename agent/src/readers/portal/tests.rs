//! Findings of `portal` from names, ports and certificates that were made up.

use ase_probes::{
    cause::Cause,
    http,
    outcome::{Outcome, Protocol},
    seen::{Phases, Seen},
    tcp,
    tls::{Certificate, Handshake, Invalid},
    verdict::{Confidence, Finding, Phase, Verdict},
};

use super::{sense::covers, *};
use crate::{
    golden::assert_golden,
    readers::notes::{Level, exit_code},
    resolvers::compare,
};

const ADDRESS: &str = "10.0.1.11";
const SUFFIX: &str = "contoso.appserviceenvironment.net";

fn said(custom: Answer, azure: Answer) -> Vec<Said> {
    let server = |text: &str| text.parse().expect("an address");
    vec![
        Said { server: server("10.0.0.4:53"), is_azure: false, answer: custom },
        Said { server: server("168.63.129.16:53"), is_azure: true, answer: azure },
    ]
}

fn good() -> Vec<Said> {
    said(Answer::with(&[], &[ADDRESS]), Answer::with(&[], &[ADDRESS]))
}

fn visit(outcome: Outcome) -> Visit {
    Visit {
        began: Duration::ZERO,
        took: Duration::from_millis(3),
        phases: Phases::default(),
        resolution: None,
        result: Ok(outcome.verdict),
        outcomes: vec![outcome],
        unasked: Vec::new(),
        failed: Vec::new(),
        confirmed_by: 0,
        led_into_silence: false,
        remarks: Vec::new(),
    }
}

fn outcome(port: u16, verdict: Verdict, protocol: Protocol) -> Outcome {
    let address = SocketAddr::new(ADDRESS.parse().expect("an address"), port);
    Outcome { address, phases: Phases::default(), verdict, seen: Seen::default(), protocol }
}

fn web(role: Role, names: &[&str], invalid: Option<Invalid>) -> Reached {
    let leaf = Certificate {
        issuer: "CN=Contoso Issuing CA".to_owned(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        ..Certificate::default()
    };
    let failed = Finding::new(Cause::TlsCertInvalid, Phase::Tls, Confidence::Likely).failed();
    let verdict = if invalid.is_some() { failed } else { Verdict::Healthy };
    let tls = Handshake { chain: vec![leaf], invalid, proved: true, ..Handshake::default() };
    let protocol = Protocol::Http(Box::new(http::Reply { tls: Some(tls), ..http::Reply::default() }));
    Reached {
        service: Service::Https,
        is_data: false,
        role: Some(role),
        port: 443,
        visit: visit(outcome(443, verdict, protocol)),
    }
}

fn port(service: Service, port: u16, cause: Option<Cause>) -> Reached {
    let verdict =
        cause.map_or(Verdict::Healthy, |cause| Finding::new(cause, Phase::Connect, Confidence::Likely).failed());
    let protocol = if cause.is_none() { Protocol::Tcp(tcp::Reply { greeting: Vec::new() }) } else { Protocol::Nothing };
    let is_data = DATA_PORTS.contains(&port);
    Reached { service, is_data, role: None, port, visit: visit(outcome(port, verdict, protocol)) }
}

pub(in crate::readers) fn names() -> Vec<Named> {
    let named = |role, label: &str| Named { role, name: format!("{label}{SUFFIX}"), said: good() };
    vec![
        named(Role::App, "testapp."),
        named(Role::Scm, "testapp.scm."),
        named(Role::Wildcard, "ase-agent-1."),
        named(Role::ScmWildcard, "ase-agent-1.scm."),
        named(Role::Apex, ""),
    ]
}

pub(in crate::readers) fn portal<'a>(names: &'a [Named], reached: &'a [Reached]) -> Portal<'a> {
    Portal {
        deployment: Deployment::Ilb,
        suffix: SUFFIX,
        app: "testapp",
        began: Duration::from_secs(1_700_000_000),
        address: Some(ADDRESS.parse().expect("an address")),
        is_given: true,
        is_forbidden: false,
        names,
        reached,
    }
}

pub(in crate::readers) fn both() -> Vec<Reached> {
    let wild = [&*format!("*.{SUFFIX}"), &*format!("*.scm.{SUFFIX}")].map(str::to_owned);
    let wild: Vec<&str> = wild.iter().map(String::as_str).collect();
    vec![web(Role::App, &wild, None), web(Role::Scm, &wild, None)]
}

#[test]
fn an_app_that_is_found_reached_and_certified_works_in_the_portal() {
    let (names, reached) = (names(), both());
    let portal = portal(&names, &reached);
    assert_eq!(exit_code(&portal.notes()), 0, "{}", render(&portal));
    assert_golden("tests/golden/portal.txt", &render(&portal));
}

#[test]
fn what_is_missing_is_named_with_its_record_and_with_what_breaks_in_the_portal() {
    let mut names = names();
    let denied = || Answer::without_addresses(compare::DnsOutcome::Nxdomain);
    names[1].said = said(denied(), denied());
    names[3].said = said(denied(), denied());
    let one = format!("*.{SUFFIX}");
    let wrong = Some(Invalid::WrongName);
    let reached = [
        web(Role::App, &[&one], None),
        web(Role::Scm, &[&one], wrong),
        port(Service::Ftp, 21, Some(Cause::Dropped)),
        port(Service::Ftp, 10_001, Some(Cause::Refused)),
        port(Service::Ftp, 10_002, Some(Cause::Dropped)),
        port(Service::Debugging, 4022, None),
    ];
    let text = render(&portal(&names, &reached));
    assert_golden("tests/golden/portal-broken.txt", &text);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert_eq!(exit_code(&portal(&names, &reached).notes()), 1);
}

#[test]
fn a_record_that_only_azure_dns_lacks_and_an_issuer_that_nobody_knows_are_warnings() {
    let mut names = names();
    names[0].said = said(Answer::with(&[], &[ADDRESS]), Answer::without_addresses(compare::DnsOutcome::Nxdomain));
    let name = format!("testapp.scm.{SUFFIX}");
    let reached = [web(Role::Scm, &[&name], Some(Invalid::UnknownIssuer))];
    let notes = portal(&names, &reached).notes();
    assert_eq!(exit_code(&notes), 2, "{notes:#?}");
    let of = |subject: &str| notes.iter().find(|note| note.subject == subject).expect("a finding");
    assert!(of(&names[0].name).says.starts_with("only Azure DNS"), "{notes:#?}");
    assert!(of("cert scm").says.contains("issuer is not known"), "{notes:#?}");
    assert_eq!(of("portal").level, Level::Warning);
}

#[test]
fn an_address_of_the_wrong_kind_is_said_for_either_deployment() {
    let (names, reached) = (names(), both());
    let portal = Portal { deployment: Deployment::External, ..portal(&names, &reached) };
    let notes = portal.notes();
    assert!(notes.iter().any(|note| note.says == "10.0.1.11 is private, where a public one is expected"), "{notes:#?}");
}

#[test]
fn without_an_address_nothing_is_said_to_work() {
    let mut names = names();
    let silent = || Answer::without_addresses(compare::DnsOutcome::Timeout);
    names.iter_mut().for_each(|named| named.said = said(silent(), silent()));
    let portal = Portal { address: None, is_given: false, ..portal(&names, &[]) };
    assert_eq!(exit_code(&portal.notes()), 1);
    assert!(render(&portal).contains("inbound address unknown"), "{}", render(&portal));
}

#[test]
fn a_wildcard_stands_for_one_label() {
    for (pattern, name, expected) in [
        ("*.a.example", "x.a.example", true),
        ("*.A.example", "x.a.EXAMPLE", true),
        ("*.a.example", "x.scm.a.example", false),
        ("*.a.example", "a.example", false),
        ("x.a.example", "x.a.example", true),
        ("*", "example", false),
    ] {
        assert_eq!(covers(pattern, name), expected, "{pattern} {name}");
    }
}
