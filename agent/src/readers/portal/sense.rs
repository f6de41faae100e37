//! What names, ports and certificates of an app mean together: the findings of `portal`.

use std::{collections::BTreeSet, net::IpAddr};

use ase_probes::{
    cause::Cause,
    outcome::Outcome,
    tls::{Handshake, Invalid},
    verdict::Verdict,
};

use super::{Deployment, Named, Portal, Reached, Role, Said, Service};
use crate::{
    model::visit::Untested,
    net::address::is_private,
    readers::notes::{Level, Note},
    resolvers::compare,
};

/// What the portal reaches through the SCM site ("Using an App Service Environment").
const FEATURES: &str = "Kudu, the console, log streaming, Process Explorer, WebJobs, Functions and site extensions";

pub(super) fn notes(portal: &Portal<'_>) -> Vec<Note> {
    let mut notes: Vec<Note> = portal.names.iter().map(|named| about_name(portal, named)).collect();
    notes.extend(kind(portal));
    if portal.is_forbidden {
        let says = "the address policy forbids to reach it: no port was asked";
        notes.push(
            Note::new(Level::Unknown, "address", says).mended("name it under `addresses.allow` in the configuration"),
        );
    }
    notes.extend(portal.reached.iter().filter(|reached| !reached.is_data).map(about_port));
    notes.extend(about_data(portal));
    notes.extend([Role::App, Role::Scm].into_iter().filter_map(|role| about_certificate(portal, role)));
    let features = features(portal, &notes);
    notes.push(features);
    notes
}

/// What a name is called in the list: those that stand for any app by their record.
fn subject(named: &Named) -> String {
    match named.role {
        Role::App | Role::Scm => named.name.clone(),
        Role::Wildcard | Role::ScmWildcard | Role::Apex => format!("record {}", named.role.label()),
    }
}

fn about_name(portal: &Portal<'_>, named: &Named) -> Note {
    let wrong: Vec<&Said> = named.said.iter().filter(|said| !leads_there(said, portal.address)).collect();
    let Some(address) = portal.address.filter(|_| wrong.is_empty()) else { return lost_name(portal, named, &wrong) };
    let is_alone = named.said.iter().all(|said| said.is_azure);
    let by = if is_alone { "by Azure DNS, which is the only resolver here" } else { "on both resolvers" };
    Note::new(Level::Fine, subject(named), format!("leads to {address} {by}"))
}

fn leads_there(said: &Said, address: Option<IpAddr>) -> bool {
    let found = &said.answer.addresses;
    found.len() == 1 && address.is_some_and(|address| found.contains(&address))
}

fn lost_name(portal: &Portal<'_>, named: &Named, wrong: &[&Said]) -> Note {
    let is_own = matches!(named.role, Role::App | Role::Scm);
    let is_custom = wrong.iter().any(|said| !said.is_azure);
    let is_unasked = wrong.iter().all(|said| said.answer.outcome.fault().is_some());
    let (level, who) = match (is_unasked, is_own, is_custom) {
        (true, ..) => (Level::Unknown, "this machine could not ask"),
        (false, true, true) => (Level::Critical, "the custom DNS does not lead there"),
        (false, true, false) => {
            (Level::Warning, "only Azure DNS does not lead there: apps and builds that ask it are lost")
        }
        (false, false, true) => (Level::Warning, "no such record on the custom DNS: each app needs records of its own"),
        (false, false, false) => {
            (Level::Warning, "no such record for Azure DNS: each app needs records of its own there")
        }
    };
    let target = portal.address.map_or_else(|| "the inbound address".to_owned(), |address| address.to_string());
    let record = match named.role {
        Role::App | Role::Wildcard => "an A record `*`",
        Role::Scm | Role::ScmWildcard => "an A record `*.scm`",
        Role::Apex => "an A record `@`",
    };
    let zone = portal.suffix;
    let place = if is_custom {
        "the zone that the custom DNS uses, or forward the zone"
    } else {
        "a private zone that is linked to the network"
    };
    let says =
        if named.role == Role::Apex && is_custom { "no record for the suffix itself on the custom DNS" } else { who };
    Note::new(level, subject(named), says)
        .mended(format!("put {record} in {zone} to {target} into {place}"))
        .resting_on(wrong.iter().map(|said| in_words(said)).collect())
}

fn in_words(said: &Said) -> String {
    let side = if said.is_azure { "Azure DNS" } else { "custom DNS" };
    let answer = &said.answer;
    let what = match answer.outcome {
        compare::DnsOutcome::Answer => addresses(&answer.addresses),
        other => other.label().to_owned(),
    };
    let why = answer.why.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
    format!("{side} {}: {what}{why}", said.server)
}

fn addresses(all: &BTreeSet<IpAddr>) -> String {
    all.iter().take(4).map(IpAddr::to_string).collect::<Vec<_>>().join(", ")
}

/// An address of the wrong kind for the deployment.
fn kind(portal: &Portal<'_>) -> Option<Note> {
    let wrong = |address: &IpAddr| is_private(*address) != (portal.deployment == Deployment::Ilb);
    let found = portal.led_to().into_iter().chain(portal.address).find(wrong)?;
    let (is, should, mend) = match portal.deployment {
        Deployment::Ilb => ("public", "private", "correct the record, or say --deployment external"),
        Deployment::External => ("private", "public", "correct the record, or say --deployment ilb"),
    };
    Some(
        Note::new(Level::Warning, "address", format!("{found} is {is}, where a {should} one is expected")).mended(mend),
    )
}

fn is_certificate(reached: &Reached) -> bool {
    let handshake = handshake(reached);
    handshake.is_some_and(|handshake| !handshake.chain.is_empty() && handshake.invalid.is_some())
}

fn handshake(reached: &Reached) -> Option<&Handshake> {
    reached.visit.outcomes.iter().find_map(Outcome::handshake)
}

fn about_port(reached: &Reached) -> Note {
    let role = reached.role.map_or_else(String::new, |role| format!(" {}", role.label()));
    let subject = format!("{}{role} {}", reached.service.label(), reached.port);
    let is_bare = reached.visit.outcomes.first().is_some_and(Outcome::is_bare_accept);
    match reached.visit.result {
        Ok(Verdict::Healthy) if is_bare => {
            Note::new(Level::Fine, subject, "somebody accepts, which alone proves no peer")
        }
        Ok(Verdict::Healthy) => Note::new(Level::Fine, subject, "the peer answers"),
        Ok(_) if is_certificate(reached) => Note::new(Level::Fine, subject, "answers; its certificate is below"),
        Ok(verdict) => failed(subject, verdict).resting_on(reached.visit.evidence()),
        Err(untested) => unasked(subject, untested),
    }
}

fn failed(subject: String, verdict: Verdict) -> Note {
    let level = match verdict {
        Verdict::Healthy => Level::Fine,
        Verdict::Degraded(_) => Level::Warning,
        Verdict::Failed(_) => Level::Critical,
        Verdict::Inconclusive(_) => Level::Unknown,
    };
    let definition = verdict.finding().map_or(Cause::Unknown, |finding| finding.cause).definition();
    let says = format!("{} ({}): {}", definition.label, definition.owner.label(), definition.summary);
    Note::new(level, subject, says).mended(definition.next_step)
}

fn unasked(subject: String, untested: Untested) -> Note {
    Note::new(Level::Unknown, subject, format!("not tested: {}", untested.reason()))
}

/// The ports for FTP's data together: who refuses says that the way is open, as nobody listens between transfers.
fn about_data(portal: &Portal<'_>) -> Option<Note> {
    let data: Vec<&Reached> = portal.reached.iter().filter(|reached| reached.is_data).collect();
    let (first, last) = (data.first()?.port, data.last()?.port);
    let subject = format!("data {first}-{last}");
    let is_open = |reached: &&&Reached| match reached.visit.result {
        Ok(Verdict::Healthy) => true,
        Ok(verdict) => verdict.finding().is_some_and(|finding| finding.cause == Cause::Refused),
        Err(_) => false,
    };
    let shut: Vec<String> = data.iter().filter(|one| !is_open(one)).map(|one| one.port.to_string()).collect();
    if shut.is_empty() {
        return Some(Note::new(Level::Fine, subject, "the way is open; nobody need listen between transfers"));
    }
    let says = format!("{} of {} ports stay silent or are rejected: transfers over them break", shut.len(), data.len());
    let mend = "allow 10001-10020 inbound beside the port of FTP";
    Some(Note::new(Level::Warning, subject, says).mended(mend).resting_on(vec![shut.join(", ")]))
}

fn about_certificate(portal: &Portal<'_>, role: Role) -> Option<Note> {
    let reached = portal.reached.iter().find(|one| one.service == Service::Https && one.role == Some(role))?;
    let handshake = handshake(reached).filter(|handshake| !handshake.chain.is_empty())?;
    let name = &portal.names.iter().find(|named| named.role == role)?.name;
    let leaf = handshake.chain.first()?;
    let subject = format!("cert {}", role.label());
    let is_covered = handshake.invalid.is_none() || leaf.names.iter().any(|pattern| covers(pattern, name));
    let suffix = portal.suffix;
    if !is_covered {
        let says = format!("does not cover {name}: browsers refuse it, and the portal with them");
        return Some(
            Note::new(Level::Critical, subject, says)
                .mended(format!("install one for *.{suffix} and *.scm.{suffix}: a wildcard covers one label only"))
                .resting_on(vec![format!("it is for {}", leaf.names.join(", "))]),
        );
    }
    let why = match handshake.invalid.as_ref() {
        None => return Some(Note::new(Level::Fine, subject, format!("covers {name}"))),
        Some(Invalid::UnknownIssuer) => "its issuer is not known here",
        Some(Invalid::Expired) => "it has expired",
        Some(Invalid::NotYetValid) => "it is not valid yet",
        Some(Invalid::WrongName | Invalid::NoNames) => "it names it in a way that browsers do not take",
        Some(Invalid::Other(words) | Invalid::Beyond(words)) => words,
    };
    let level = if handshake.invalid == Some(Invalid::Expired) { Level::Critical } else { Level::Warning };
    let mend =
        "install one that every browser trusts, or give the issuer to the browsers and, under `ca`, to this agent";
    let issuer = vec![format!("issued by {}", leaf.issuer)];
    Some(Note::new(level, subject, format!("covers {name}, but {why}")).mended(mend).resting_on(issuer))
}

/// Whether a certificate's name stands for this one (RFC 9525 section 6.3): a wildcard for exactly one label.
pub(super) fn covers(pattern: &str, name: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(parent) => name.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(parent)),
        None => pattern.eq_ignore_ascii_case(name),
    }
}

/// What works in the portal, by what the SCM site needs: its name, port 443 and its certificate.
fn features(portal: &Portal<'_>, notes: &[Note]) -> Note {
    let scm = portal.names.iter().find(|named| named.role == Role::Scm).map_or("", |named| named.name.as_str());
    let needs = [scm, "https scm 443", "cert scm"];
    let of = |level| {
        let about: Vec<&str> =
            notes.iter().filter(|note| note.level == level).map(|note| note.subject.as_str()).collect();
        needs.into_iter().filter(|need| about.contains(need)).collect::<Vec<_>>()
    };
    let (lost, doubtful) = (of(Level::Critical), of(Level::Warning));
    let is_asked = notes.iter().any(|note| note.subject == "https scm 443" && note.level == Level::Fine);
    if !lost.is_empty() {
        let says = format!("{FEATURES} do not work from this network");
        return Note::new(Level::Critical, "portal", says).mended(format!("see {}", lost.join(", ")));
    }
    if !is_asked {
        return Note::new(Level::Unknown, "portal", format!("whether {FEATURES} work was not tested"));
    }
    if !doubtful.is_empty() {
        let says = format!("{FEATURES} work only for those whom {} does not stop", doubtful.join(", "));
        return Note::new(Level::Warning, "portal", says);
    }
    Note::new(Level::Fine, "portal", format!("{FEATURES} work from this network"))
}
