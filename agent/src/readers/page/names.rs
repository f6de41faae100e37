//! DNS side by side: how the custom servers and Azure DNS do, and the names whose two answers do not mean the same.

use std::{collections::BTreeSet, net::IpAddr};

use ase_probes::verdict::Confidence;
use askama::Template;

use super::{
    standing::{BAD, GOOD, NONE, PART, Standing},
    text::{Html, Text, When, millis, texts},
};
use crate::{
    engine::snapshot::Snapshot,
    readers::{
        advice,
        resolver_health::{self, ResolverHealth, TransportHealth},
        summary::count,
    },
    resolvers::{
        compare::{Answer, DnsOutcome, Worry},
        names::NameView,
        survey::Survey,
    },
};

/// Addresses of one answer that are named; the others are counted.
const ADDRESSES: usize = 4;

#[derive(Template)]
#[template(path = "dns.html", whitespace = "minimize")]
struct Sides {
    servers: Vec<Server>,
    findings: Vec<Text>,
    names: Vec<Name>,
    agreeing: Text,
}

struct Server {
    address: String,
    side: &'static str,
    udp: Standing,
    udp_time: Option<String>,
    tcp: Standing,
    tcp_time: Option<String>,
    remarks: Vec<Text>,
}

struct Name {
    name: Text,
    standing: Standing,
    /// How sure that is: as sure as the incident that it makes, or what else it rests on.
    sure: &'static str,
    since: When,
    custom: Vec<Text>,
    azure: Vec<Text>,
    /// What the last answers alone mean, where that is not what stands here: that needs more than one round.
    last: Option<&'static str>,
    reason: Text,
    advice: Option<Text>,
}

/// Both sides.
pub(super) fn sides(snapshot: &Snapshot) -> Html {
    let worrying = |view: &NameView| view.published.as_ref().is_some_and(|comparison| comparison.worry > Worry::Fine);
    let names = snapshot.names.iter().filter(|view| worrying(view)).filter_map(|view| name(view, snapshot)).collect();
    let known = snapshot.names.iter().filter(|view| view.published.is_some()).count();
    let fine = known - snapshot.names.iter().filter(|view| worrying(view)).count();
    let open = snapshot.names.len() - known;
    let agreeing = match (known, open) {
        (0, 0) => "No name is compared".to_owned(),
        (0, 1) => "The one name was not compared yet".to_owned(),
        (0, 2..) => none_yet(snapshot, open),
        (_, 0) => format!("{} to the same place on both sides", leads(fine)),
        _ => format!("{} to the same place on both sides; {open} not compared yet", leads(fine)),
    };
    let mut findings = snapshot.host_dns.findings(&snapshot.resolvers);
    findings.extend(snapshot.host_dns.hint().map(str::to_owned));
    if snapshot.trial.as_ref().and_then(|trial| trial.intercepted) == Some(true) {
        findings.insert(0, "something on the path answers DNS where no server can be".to_owned());
    }
    Html::of(&Sides {
        servers: resolver_health::of(snapshot).iter().map(|health| server(snapshot, health)).collect(),
        findings: texts(findings),
        names,
        agreeing: Text::from(agreeing),
    })
}

/// That nothing is firm yet, and what the first round showed.
fn none_yet(snapshot: &Snapshot, open: usize) -> String {
    let surveys: Vec<_> = snapshot.names.iter().filter_map(|view| view.last.as_ref()).collect();
    let is_one_sided = |survey: &&&std::sync::Arc<Survey>| {
        survey.azure.outcome == DnsOutcome::Answer && survey.custom.outcome != DnsOutcome::Answer
    };
    match (surveys.len(), surveys.iter().filter(is_one_sided).count()) {
        (0, _) => {
            format!("None of the {open} names was compared yet; `ase-agent nameresolver --compare` does it at once")
        }
        (asked, 0) => format!("{asked} of {open} names were asked on both sides once, which is not firm yet"),
        (asked, one) => format!(
            "{asked} of {open} names were asked on both sides once: for {one} of them Azure DNS has an answer and the custom DNS has none"
        ),
    }
}

fn leads(names: usize) -> String {
    format!("{} {}", count(names, "name"), if names == 1 { "leads" } else { "lead" })
}

fn server(snapshot: &Snapshot, health: &ResolverHealth<'_>) -> Server {
    let is_azure = health.server.ip() == snapshot.resolvers.azure.ip();
    let is_custom = snapshot.resolvers.custom.iter().any(|server| server.ip() == health.server.ip());
    let time = |side: &Option<TransportHealth<'_>>| side.as_ref().and_then(|side| side.response).map(millis);
    Server {
        address: if health.server.port() == 53 { health.server.ip().to_string() } else { health.server.to_string() },
        side: match (is_custom, is_azure) {
            (true, true) => "both",
            (true, false) => "custom",
            (false, true) => "Azure",
            (false, false) => "other",
        },
        udp: standing(health.udp.as_ref()),
        udp_time: time(&health.udp),
        tcp: standing(health.tcp.as_ref()),
        tcp_time: time(&health.tcp),
        remarks: texts(health.remarks()),
    }
}

fn standing(side: Option<&TransportHealth<'_>>) -> Standing {
    match side.map(|side| (side.up, side.response)) {
        None => NONE.said("not watched"),
        Some((None, _)) => NONE,
        Some((Some(true), _)) => GOOD.said("answers"),
        // One that says SERVFAIL is not silent.
        Some((Some(false), Some(_))) => BAD.said("no good answer"),
        Some((Some(false), None)) => BAD.said("no answer"),
    }
}

fn name(view: &NameView, snapshot: &Snapshot) -> Option<Name> {
    let (comparison, survey) = (view.published.as_ref()?, view.last.as_ref()?);
    let label = comparison.class.label();
    Some(Name {
        name: Text::from(&view.name),
        standing: if comparison.worry == Worry::Bad { BAD.said(label) } else { PART.said(label) },
        sure: advice::sure_of(&view.name, snapshot).map_or("by the answers alone", Confidence::label),
        since: When::of(view.since),
        custom: said(&survey.custom),
        azure: said(&survey.azure),
        last: Some(survey.comparison.class.label()).filter(|last| *last != label),
        reason: Text::from(&comparison.reason),
        advice: comparison.class.advice().map(Text::from),
    })
}

/// An answer in a few words: its addresses, or why there is none.
fn said(answer: &Answer) -> Vec<Text> {
    if answer.outcome != DnsOutcome::Answer {
        let why = answer.why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        return vec![Text::from(format!("{}{why}", answer.outcome.label()))];
    }
    let shown: BTreeSet<&IpAddr> = answer.addresses.iter().take(ADDRESSES).collect();
    let more = answer.addresses.len() - shown.len();
    let mut lines: Vec<Text> = shown.into_iter().map(|address| Text::from(address.to_string())).collect();
    lines.extend((more > 0).then(|| Text::from(format!("and {more} more"))));
    lines
}

#[cfg(test)]
mod tests;
