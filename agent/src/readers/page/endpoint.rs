//! The page of one endpoint: every address with its phases as a waterfall, the chain of certificates, the evidence, why it is
//! as it is and what else it could be, and how the last day went.

use std::{sync::Arc, time::Duration};

use ase_probes::{
    outcome::Outcome,
    seen::Phases,
    tls::{Certificate, Handshake},
    verdict::{Phase, Verdict},
};
use askama::Template;

use super::{
    Frame, Place,
    charts::{self, Path, Stretch},
    course::{self, Course, Recalled, STRETCHES},
    endpoints::{self, Expiry},
    standing::{BAD, GOOD, Standing},
    text::{Html, Text, When, millis, share, texts},
    told::{self, Other},
};
use crate::{
    engine::snapshot::Snapshot,
    model::{
        diagnosis::Diagnosis,
        endpoint::{EndpointView, Status, ntp_offset},
        visit::Visit,
    },
    net::duration::show,
    readers::{headline, links, warnings},
};

/// Visits whose results the reach register holds (RFC 5905 section 13).
const REACH: u64 = 8;

#[derive(Template)]
#[template(path = "endpoint.html", whitespace = "minimize")]
struct Page {
    frame: Frame,
    id: Text,
    standing: Standing,
    why: Text,
    clock: Option<Text>,
    since: When,
    last_success: Option<When>,
    facts: Vec<(&'static str, Text)>,
    incidents: Vec<Link>,
    warnings: Vec<Text>,
    diagnosis: Option<Why>,
    visit: Option<Visited>,
    expiry: Option<Expiry>,
    bars: Vec<Path>,
    share: Option<String>,
    visits: Vec<Path>,
    visits_in_words: String,
    reach: Vec<Standing>,
    failures: Vec<(&'static str, u64)>,
    attempts: u64,
}

struct Link {
    path: String,
    text: Text,
    since: When,
    /// Whether the endpoint's own last visit is not confirmed yet.
    is_unconfirmed: bool,
}

/// Why it is as it is.
struct Why {
    cause: &'static str,
    summary: &'static str,
    rule: &'static str,
    origin: &'static str,
    confidence: &'static str,
    side: &'static str,
    /// Whether `next` is a hint at what it may be, or what to do next.
    lead: &'static str,
    next: Text,
    contrasts: Vec<Text>,
    others: Vec<Other>,
}

impl Why {
    fn of(diagnosis: &Diagnosis) -> Self {
        let (finding, definition) = (diagnosis.finding, diagnosis.finding.cause.definition());
        Self {
            cause: definition.label,
            summary: definition.summary,
            rule: diagnosis.rule,
            origin: diagnosis.origin.label(),
            confidence: finding.confidence.label(),
            side: finding.side.label(),
            lead: if diagnosis.hint.is_some() { "Hint" } else { "Next" },
            next: Text::from(diagnosis.hint.unwrap_or(definition.next_step)),
            contrasts: texts(&diagnosis.contrasts),
            others: diagnosis.alternatives.iter().map(Other::of).collect(),
        }
    }
}

/// What the last visit showed.
struct Visited {
    at: When,
    took: String,
    fall: Vec<Fall>,
    addresses: Vec<Asked>,
    unasked: Vec<Text>,
    evidence: Vec<Text>,
    chain: Vec<Certified>,
    chain_of: Option<Text>,
    offset: Option<String>,
}

/// One step of a waterfall.
struct Fall {
    class: &'static str,
    label: &'static str,
    took: String,
    stretch: Stretch,
    /// That it is what failed.
    broken: Option<Standing>,
}

/// One address.
struct Asked {
    address: String,
    standing: Standing,
    cause: &'static str,
    round_trip: Option<String>,
    fall: Vec<Fall>,
    evidence: Vec<Text>,
}

/// A certificate of the chain, and whether it is the one whose dates decide.
struct Certified {
    subject: Text,
    issuer: Text,
    names: Vec<Text>,
    from: When,
    until: When,
    key: Text,
    signature: Text,
    decides: bool,
}

/// The page; `None` where nothing with this id is watched. `past` is what is remembered of its last day.
pub fn render<'a>(
    snapshot: &Snapshot,
    course: &Course,
    asked: impl Into<Place<'a>>,
    past: &Recalled,
) -> Option<String> {
    let asked = asked.into();
    let id = asked.id;
    let view = snapshot.endpoints.iter().find(|view| &*view.endpoint.id.0 == id)?;
    let (bars, passed) = (past.day(snapshot.at), course.visits(&view.endpoint.id));
    let standing = Standing::of(view.status);
    let page = Page {
        frame: Frame { root: asked.root(), ..Frame::of(snapshot, "detail", format!("{} {id}", standing.sign)) },
        id: Text::from(id),
        standing,
        why: Text::from(endpoints::why(view.status)),
        clock: headline::clock(snapshot).map(Text::from),
        since: When::of(view.since),
        last_success: view.last_success.map(When::of),
        facts: facts(view),
        incidents: its_incidents(snapshot, view),
        warnings: its_warnings(snapshot, id),
        diagnosis: view.diagnosis.as_deref().filter(|_| view.status != Status::Healthy).map(Why::of),
        visit: view.last.as_deref().map(|visit| visited(view, visit)),
        expiry: endpoints::expiry(snapshot, view),
        share: bars.share(snapshot.at).map(share),
        bars: if bars.is_empty() { Vec::new() } else { charts::uptime(Some(&bars), snapshot.at) },
        visits: charts::visits(&passed),
        visits_in_words: charts::visits_in_words(&passed),
        reach: reach(view),
        failures: view.failures.iter().map(|(cause, count)| (cause.label(), *count)).collect(),
        attempts: view.attempts,
    };
    Some(Html::of(&page).into_string())
}

fn facts(view: &EndpointView) -> Vec<(&'static str, Text)> {
    let (endpoint, about) = (&view.endpoint, &view.endpoint.about);
    let mut facts = vec![
        ("Class", Text::from(endpoint.class.label())),
        ("Severity", Text::from(endpoint.severity.label())),
        ("Needed for", Text::from(&about.purpose)),
        ("Asked every", Text::from(show(endpoint.interval))),
        ("Within", Text::from(show(endpoint.target.timeout))),
        ("Basis", Text::from(format!("{}: {}, as of {}", about.basis.label(), about.source, about.as_of))),
    ];
    facts.extend(endpoints::stands_for(about).map(|name| ("Stands for", name)));
    facts.extend(about.successor.as_ref().map(|name| ("Replaced by", Text::from(name))));
    facts.extend(about.note.as_ref().map(|note| ("Note", Text::from(note))));
    facts
}

fn its_incidents(snapshot: &Snapshot, view: &EndpointView) -> Vec<Link> {
    let of_it = snapshot.incidents.open.iter().filter(|incident| incident.endpoints.contains(&view.endpoint.id));
    let link = |incident: &Arc<crate::model::diagnosis::Incident>| Link {
        path: links::incident_path(&links::incident_key(snapshot, incident)),
        text: Text::from(format!("{}: {}", incident.component, incident.finding.cause.definition().summary)),
        since: When::of(incident.since),
        is_unconfirmed: told::is_unconfirmed(view),
    };
    of_it.map(link).collect()
}

fn its_warnings(snapshot: &Snapshot, id: &str) -> Vec<Text> {
    let of_it = warnings::of(snapshot).into_iter().filter(|warning| warning.subject.as_deref() == Some(id));
    of_it.map(|warning| Text::from(warning.text)).collect()
}

fn visited(view: &EndpointView, visit: &Visit) -> Visited {
    let shown = |tls: &&Handshake| !tls.chain.is_empty();
    let chained = visit.outcomes.iter().find_map(|outcome| Some((outcome, outcome.handshake().filter(shown)?)));
    Visited {
        at: When::of(visit.began),
        took: millis(visit.took),
        fall: fall(&visit.phases, visit.result.ok()),
        addresses: visit.outcomes.iter().map(asked).collect(),
        unasked: texts(visit.unasked.iter().map(ToString::to_string)),
        evidence: texts(visit.evidence()),
        chain: chained.map(|(_, tls)| chain(tls, visit.began)).unwrap_or_default(),
        chain_of: chained.map(|(outcome, _)| Text::from(outcome.address.to_string())),
        offset: ntp_offset(view).map(|offset| format!("{:+.3} ms", offset * 1e3)),
    }
}

/// The phases one after the other, on a scale of all of them, and which one failed.
fn fall(phases: &Phases, verdict: Option<Verdict>) -> Vec<Fall> {
    let broke = verdict.and_then(|verdict| broke(phases, verdict));
    let (total, mut at) = (phases.total().max(Duration::from_micros(1)), Duration::ZERO);
    let step = |(phase, took): (Phase, Duration)| {
        let stretch = charts::within(Duration::ZERO, total, at, at + took).unwrap_or_default();
        at += took;
        let broken = (broke == Some(phase)).then_some(BAD);
        let class = broken.map_or(STRETCHES[course::stretch(phase)].0, |broken| broken.class);
        Fall { class, label: phase.label(), took: millis(took), stretch, broken }
    };
    phases.iter().map(step).collect()
}

/// The phase in which a failure showed or, where that one took no time, the last that was reached.
fn broke(phases: &Phases, verdict: Verdict) -> Option<Phase> {
    let Verdict::Failed(finding) = verdict else { return None };
    let reached = phases.of(finding.phase).map(|_| finding.phase);
    reached.or_else(|| phases.iter().last().map(|(phase, _)| phase))
}

fn asked(outcome: &Outcome) -> Asked {
    Asked {
        address: outcome.address.to_string(),
        standing: Standing::of(Status::from(outcome.verdict)),
        cause: outcome.verdict.finding().map_or("", |finding| finding.cause.label()),
        round_trip: outcome.seen.round_trip.map(millis),
        fall: fall(&outcome.phases, Some(outcome.verdict)),
        evidence: texts(outcome.evidence()),
    }
}

fn chain(tls: &Handshake, at: Duration) -> Vec<Certified> {
    let is_over = |certificate: &Certificate| u64::try_from(certificate.not_after).is_ok_and(|end| end <= at.as_secs());
    let link = |(place, certificate): (usize, &Certificate)| Certified {
        subject: Text::from(&certificate.subject),
        issuer: Text::from(&certificate.issuer),
        names: texts(&certificate.names),
        from: When::of_seconds(certificate.not_before),
        until: When::of_seconds(certificate.not_after),
        key: Text::from(&certificate.key),
        signature: Text::from(&certificate.signature),
        decides: place == tls.decisive && (tls.is_proof() || is_over(certificate)),
    };
    tls.chain.iter().enumerate().map(link).collect()
}

/// The last visits that tested it, the newest last.
fn reach(view: &EndpointView) -> Vec<Standing> {
    let failed: u64 = view.failures.values().sum();
    let tested = view.attempts.max(failed).min(REACH);
    let result = |bit: u64| {
        if view.reach >> bit & 1 == 1 { GOOD.said("answered") } else { BAD.said("did not answer") }
    };
    (0..tested).rev().map(result).collect()
}

#[cfg(test)]
mod tests;
