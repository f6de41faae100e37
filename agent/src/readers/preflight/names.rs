//! Whether the DNS servers answer, for public names and for private ones; each server over UDP and over TCP.

use std::{collections::BTreeSet, net::IpAddr};

use super::{ABOUT_SERVERS, Check, Known, Reason, State};
use crate::{
    engine::snapshot::Snapshot,
    model::{
        catalog::{Host, Severity},
        endpoint::Status,
    },
    net::address::is_private,
    readers::{
        resolver_health::{self, ResolverHealth},
        summary::{Summary, count},
    },
    resolvers::{
        compare::{ComparisonClass, DnsOutcome, Worry},
        names::NameView,
    },
};

const DNS_TEAM: &str = "DNS team";
const NETWORK_TEAM: &str = "network team";
/// Names of one kind that are named; of the others the number.
const NAMED: usize = 5;

/// Whether the servers answer at all, and whether this machine remembers that they changed.
pub(super) fn servers(snapshot: &Snapshot) -> Check {
    let health = resolver_health::of(snapshot);
    let custom: Vec<IpAddr> = snapshot.resolvers.custom.iter().map(std::net::SocketAddr::ip).collect();
    let is_dead = |one: &ResolverHealth<'_>| up(&one.udp) == Some(false) && up(&one.tcp) != Some(true);
    let answering = health.iter().filter(|one| custom.contains(&one.server.ip())).any(|one| up(&one.udp) == Some(true));
    let mut reasons = Vec::new();
    for one in &health {
        let (server, is_custom) = (one.server, custom.contains(&one.server.ip()));
        if is_dead(one) {
            // Apps go on with the other servers, each question later; without Azure DNS the platform does not.
            let state = if is_custom && answering { State::Warning } else { State::NoGo };
            let (next, owner) = if is_custom {
                (
                    format!(
                        "see whether the DNS server {} runs; if it does, find what closes port 53 to it",
                        server.ip()
                    ),
                    DNS_TEAM,
                )
            } else {
                ("look for an NSG rule that denies the tag AzurePlatformDNS".to_owned(), NETWORK_TEAM)
            };
            reasons.push(Reason::new(state, format!("{server} does not answer")).with(next, owner));
            continue;
        }
        reasons
            .extend(one.remarks().into_iter().map(|remark| Reason::new(State::Warning, format!("{server} {remark}"))));
    }
    reasons.extend(misled(snapshot));
    // The sentence about a change stands among what this host's files say.
    let findings = snapshot.host_dns.findings(&snapshot.resolvers);
    reasons.extend(findings.into_iter().map(|finding| Reason::new(State::Warning, finding)));
    let asked: Vec<String> = snapshot.resolvers.custom.iter().map(ToString::to_string).collect();
    let looked = format!("apps ask {}; {ABOUT_SERVERS}", asked.join(", "));
    Check::of("dns_servers", "DNS servers", looked, reasons)
}

fn up(side: &Option<resolver_health::TransportHealth<'_>>) -> Option<bool> {
    side.as_ref().and_then(|side| side.up)
}

fn misled(snapshot: &Snapshot) -> impl Iterator<Item = Reason> {
    let next = "ask whoever runs the servers, or the boxes on the way to them, why";
    Summary::of(snapshot)
        .misgivings
        .into_iter()
        .map(move |doubt| Reason::new(State::Warning, doubt).with(next, DNS_TEAM))
}

/// Whether names that everybody knows resolve as they should.
pub(super) fn public(known: Known<'_>) -> Check {
    let is_public = |view: &&NameView| !is_private_name(view, known.private);
    let views: Vec<&NameView> = known.snapshot.names.iter().map(|view| &**view).filter(is_public).collect();
    if views.is_empty() {
        return Check::not_given("public_names", "public names", "no name is watched");
    }
    let mut reasons = judged(&views, known.snapshot);
    reasons.extend(unknown(&views));
    Check::of("public_names", "public names", resolved(&views), reasons)
}

/// Whether names that are meant to be private lead to private addresses.
pub(super) fn private(known: Known<'_>) -> Check {
    let is_private = |view: &&NameView| is_private_name(view, known.private);
    let views: Vec<&NameView> = known.snapshot.names.iter().map(|view| &**view).filter(is_private).collect();
    if views.is_empty() {
        let how = "no private name is known: add one under `dns.names`, and it or its suffix under `dns.private`";
        return Check::not_given("private_names", "private names", how);
    }
    let mut reasons = judged(&views, known.snapshot);
    reasons.extend(views.iter().filter_map(|view| astray(view, known.private)));
    reasons.extend(unknown(&views));
    Check::of("private_names", "private names", resolved(&views), reasons)
}

/// Whether a name is declared private, or one of its sides says so.
fn is_private_name(view: &NameView, declared: &BTreeSet<String>) -> bool {
    let class = view.published.as_ref().map(|comparison| comparison.class);
    let says = class.is_some_and(|class| {
        matches!(
            class,
            ComparisonClass::PrivateOverride
                | ComparisonClass::PrivateOnly
                | ComparisonClass::PrivateZoneGap
                | ComparisonClass::PrivateZoneMissing
                | ComparisonClass::PrivateBypass
                | ComparisonClass::PrivateUnexpected
        )
    });
    says || is_declared(&view.name, declared)
}

fn is_declared(name: &str, declared: &BTreeSet<String>) -> bool {
    declared.iter().any(|suffix| name == suffix || name.strip_suffix(&**suffix).is_some_and(|rest| rest.ends_with('.')))
}

fn resolved(views: &[&NameView]) -> String {
    let answers = |view: &&&NameView| view.last.as_ref().is_some_and(|last| last.custom.outcome == DnsOutcome::Answer);
    format!("{} of {} resolve for apps", views.iter().filter(answers).count(), count(views.len(), "name"))
}

/// What the comparisons say, one reason for each kind of trouble.
fn judged(views: &[&NameView], snapshot: &Snapshot) -> Vec<Reason> {
    let mut reasons = Vec::new();
    for class in ComparisonClass::ALL {
        let of = |worry: Worry| -> Vec<&NameView> {
            let is_of = |view: &&&NameView| {
                view.published.as_ref().is_some_and(|one| one.class == *class && one.worry == worry)
            };
            views.iter().filter(is_of).copied().collect()
        };
        let (bad, doubtful) = (of(Worry::Bad), of(Worry::Warn));
        let (vital, lesser): (Vec<_>, Vec<_>) = bad.into_iter().partition(|view| is_vital(&view.name, snapshot));
        let lesser = lesser.into_iter().chain(doubtful).collect::<Vec<_>>();
        for (state, views) in [(State::NoGo, vital), (State::Warning, lesser)] {
            let Some(reason) = views.first().and_then(|view| view.published.as_ref()) else { continue };
            let what = format!("{}: {} ({})", listed(&views), reason.reason, class.label());
            let reason = Reason::new(state, what);
            reasons.push(match class.advice() {
                Some(advice) => reason.with(advice, DNS_TEAM),
                None => reason,
            });
        }
    }
    reasons
}

/// Whether somebody suffers at once: a critical endpoint has the name, or the operator named it beside the endpoints.
fn is_vital(name: &str, snapshot: &Snapshot) -> bool {
    let mut of_endpoints = snapshot
        .endpoints
        .iter()
        .filter(|view| matches!(&view.endpoint.target.host, Host::Name(host) if host == name))
        .map(|view| view.endpoint.severity)
        .peekable();
    of_endpoints.peek().is_none() || of_endpoints.any(|severity| severity == Severity::Critical)
}

/// A private name that leads to a public address, alone or beside a private one.
fn astray(view: &NameView, declared: &BTreeSet<String>) -> Option<Reason> {
    let (last, published) = (view.last.as_ref()?, view.published.as_ref()?);
    if published.worry == Worry::Bad || !is_declared(&view.name, declared) {
        return None;
    }
    let addresses = &last.custom.addresses;
    let public: Vec<String> = addresses.iter().filter(|one| !is_private(**one)).map(ToString::to_string).collect();
    if public.is_empty() {
        return None;
    }
    let how = if public.len() < addresses.len() {
        "private and public addresses: the way changes from one answer to the next"
    } else {
        "public addresses only"
    };
    let what = format!("{} is declared private and leads to {how} ({})", view.name, public.join(", "));
    Some(Reason::new(State::NoGo, what).with("correct the records of its zone", DNS_TEAM))
}

/// Names that were not compared: nothing can be said of them.
fn unknown(views: &[&NameView]) -> Option<Reason> {
    let open: Vec<_> = views.iter().filter(|view| view.published.is_none()).copied().collect();
    let is = if open.len() == 1 { "was" } else { "were" };
    (!open.is_empty()).then(|| Reason::new(State::Open, format!("{} {is} not compared", listed(&open))))
}

fn listed(views: &[&NameView]) -> String {
    let names: Vec<&str> = views.iter().take(NAMED).map(|view| &*view.name).collect();
    let more = views.len().saturating_sub(NAMED);
    if more > 0 { format!("{} and {more} more", names.join(", ")) } else { names.join(", ") }
}

/// Whether an endpoint's state is known.
pub(super) fn is_known(status: Status) -> bool {
    match status {
        Status::Healthy | Status::Degraded(_) | Status::Failed(_) => true,
        Status::Unknown(_) => false,
    }
}
