//! What the two steps of an advice say, where the evidence tells more than the cause alone.

use ase_probes::{
    cause::{CHANGES, Cause},
    class::Class,
    verdict::Confidence,
};

use super::{
    Shown, at_platform,
    known::{self, Known},
    listed,
    suspect::Suspect,
};
use crate::{
    diagnosis::rules::OVER,
    engine::snapshot::Snapshot,
    model::{
        catalog::Host,
        diagnosis::{Incident, Scope},
    },
};

/// What to rule out where a certificate is over by independent clocks, too.
const RENEWED: &str =
    "whether the name leads to the right address, and who renews the certificate there; this machine's clock is right";

/// What to rule out before anything is changed.
pub(super) fn before(incident: &Incident, shown: Option<&Shown<'_>>, known: &Known, snapshot: &Snapshot) -> String {
    let (cause, definition) = (incident.finding.cause, incident.finding.cause.definition());
    // Rule R36d: it is over by independent clocks, too.
    if incident.hint == Some(OVER) && incident.finding.confidence == Confidence::Confirmed {
        return RENEWED.to_owned();
    }
    let Some(shown) = shown else { return definition.check_first.to_owned() };
    if let Some((_, before)) = at_platform(cause).filter(|_| shown.is_platform(snapshot)) {
        return before.to_owned();
    }
    match cause {
        Cause::DnsServfail => servfail(shown, known),
        Cause::DnsRefused | Cause::DnsNoReply if known.azure_answers == Some(false) => {
            format!("{}; Azure DNS fails as well, so that it may not be this server", definition.check_first)
        }
        Cause::TlsIntercepted => match &known.issuer {
            Some(issuer) => {
                definition.check_first.replace("of the certificate", &format!("of the certificate, {issuer},"))
            }
            None => definition.check_first.to_owned(),
        },
        Cause::MtuBlackhole => {
            match (shown.is_asked_by_openssl(), known::passes_elsewhere(incident, shown, snapshot)) {
                (is_asked, Some(other)) => {
                    let client = if is_asked { "`openssl`" } else { "a look at this port" };
                    format!(
                        "whether {client} on TCP {} stalls as well: full packets pass on {other}, and a packet size has no port, so that a device or rule for this port is suspected first; then {}",
                        shown.address.port(),
                        definition.check_first
                    )
                }
                (_, None) => definition.check_first.to_owned(),
            }
        }
        _ => definition.check_first.to_owned(),
    }
}

/// Whose fault it is that a server cannot resolve a name.
fn servfail(shown: &Shown<'_>, known: &Known) -> String {
    let servers = listed(&shown.servers_or_itself());
    match known.azure_answers {
        Some(true) => format!(
            "what each server answers for the name (Azure DNS answers at the moment), then whether {servers} resolves names of other zones"
        ),
        Some(false) => format!(
            "what each server answers: Azure DNS fails as well, so that the zone's own servers or the platform may be at fault, and not {servers}"
        ),
        None => Cause::DnsServfail.definition().check_first.to_owned(),
    }
}

/// What to do next, and whether that changes something.
pub(super) fn next(incident: &Incident, shown: Option<&Shown<'_>>, snapshot: &Snapshot) -> (String, bool) {
    let (cause, definition) = (incident.finding.cause, incident.finding.cause.definition());
    let own = || (definition.next_step.to_owned(), definition.changes);
    let Some(shown) = shown else { return own() };
    let look = |words: String| (words, false);
    match cause {
        Cause::Refused if shown.address.port() == 53 => {
            let servers = listed(&shown.servers_or_itself());
            look(format!("see whether the DNS service on {servers} answers at all, and listens on port 53"))
        }
        Cause::Dropped | Cause::Rejected => match Suspect::of(incident, shown, snapshot) {
            Suspect::Server => look(server(shown)),
            Suspect::Platform => at_platform(cause).map_or_else(own, |(next, _)| look(next.to_owned())),
            suspect => suspect.words(cause).map_or_else(own, |words| look(words.to_owned())),
        },
        _ if shown.is_platform(snapshot) => at_platform(cause).map_or_else(own, |(next, _)| (next.to_owned(), true)),
        Cause::DnsServfail if Known::of(Some(shown), snapshot).azure_answers == Some(false) => {
            look("ask whoever holds the name's zone, and see the status of Azure; mend nothing here before".to_owned())
        }
        Cause::DnsNxdomain | Cause::DnsNodata | Cause::DnsDivergent => {
            shown.of_the_comparison(snapshot).map_or_else(own, |words| (words, true))
        }
        Cause::MtuBlackhole => {
            let sender = match known::is_lost_on_its_way_here(shown.view) {
                Some(true) => "the peer, whose large packets are lost on their way here",
                Some(false) => "this machine, whose large packets are lost",
                None => "the sender",
            };
            let words = definition.next_step.replace("the sender", sender);
            let is_of_port = known::passes_elsewhere(incident, shown, snapshot).is_some();
            let device = if is_of_port { "on what treats this port apart" } else { "on the appliance" };
            (words.replace("on the appliance", device), definition.changes)
        }
        _ => own(),
    }
}

/// A server that does not answer at all may not run.
fn server(shown: &Shown<'_>) -> String {
    match &shown.servers[..] {
        [] | [_] => format!(
            "see whether the DNS server {} runs; if it does, find what closes port 53 to it",
            shown.address.ip()
        ),
        several => {
            format!("see whether the DNS servers {} run; if they do, find what closes port 53 to them", listed(several))
        }
    }
}

/// What would make it confirmed, where it is less.
pub(super) fn to_confirm(incident: &Incident, first: Option<&String>) -> Option<String> {
    let confidence = incident.finding.confidence;
    if confidence == Confidence::Confirmed {
        return None;
    }
    let label = confidence.label();
    let mut words = match first {
        Some(command) if asks_azure(command) => {
            format!("{label}; the first command confirms it where it shows what is expected")
        }
        Some(_) => format!("{label}; the first command narrows it down"),
        None => format!("{label}; the agent cannot tell more"),
    };
    if !incident.alternatives.is_empty() {
        words.push_str("; what else it could be stands below");
    }
    if incident.finding.cause == Cause::Dropped && matches!(incident.scope, Scope::Endpoint | Scope::Host) {
        words.push_str("; a peer that is off, or its own firewall, would look the same");
    }
    Some(words)
}

/// Whether a command asks who else knows: what the agent saw itself it does not confirm.
fn asks_azure(command: &str) -> bool {
    ["test-ip-flow", "show-next-hop"].iter().any(|asks| command.contains(asks))
}

/// A step as it is told: marked where it changes something.
pub(super) fn told(words: &str, changes: bool) -> String {
    if changes { format!("{words} {CHANGES}") } else { words.to_owned() }
}

/// What a command changes that mends.
pub(super) fn changed(command: &str) -> &'static str {
    const MENDING: [(&str, &str); 3] = [
        ("makestep", "this sets this machine's clock at once, and the times of logs and running programs leap with it"),
        ("rule add", "this adds a rule to the firewall's policy"),
        ("Add-DnsServer", "this changes where the DNS server forwards a zone"),
    ];
    MENDING.iter().find(|(part, _)| command.contains(part)).map_or("this changes something", |(_, words)| words)
}

impl Shown<'_> {
    /// Whether another client can make the handshake that stalls.
    pub(super) fn is_asked_by_openssl(&self) -> bool {
        !matches!(self.view.endpoint.class, Class::Sql | Class::Http | Class::Dns | Class::Ntp | Class::Tcp)
            && matches!(self.view.endpoint.target.host, Host::Name(_))
    }
}
