//! What each endpoint wants of the schedule: its rhythm, how many descriptors visits may use, and what a visit meant, a time
//! server's kiss of death too. Pure.

use std::{net::IpAddr, time::Duration};

use ase_probes::{
    cause::Cause,
    class::Class,
    outcome::Outcome,
    probe::Probe,
    source_ports::CONTRAST_FLOWS,
    verdict::{Finding, Verdict},
};

use crate::{
    diagnosis::{held_flows, shell},
    engine::{
        courtesy::Courtesy,
        room::Bounds,
        schedule::{Ended, Rhythm, Upshot},
    },
    model::{
        catalog::{Endpoint, Host, Target},
        endpoint::Status,
        politeness::TIME_SERVER_REST,
        settings::{Pace, Settings},
        visit::{Judgement, Untested, Visit},
    },
    resolvers::names,
};

/// A second question to one time server keeps this distance (the smallest spacing in a burst, RFC 5905 section 13).
const NTP_CONFIRM_AFTER: Duration = Duration::from_secs(2);
/// Pause before a visit is tried again whose destination's flow budget was spent, or whose time server rests for a reason that
/// the schedule does not know: a quarter of the budget's period.
const BUDGET_PAUSE: Duration = Duration::from_secs(15);
/// Pause before a visit is made again whose answer a stall hid: what was late meanwhile is taken in first.
pub const STALL_PAUSE: Duration = Duration::from_millis(500);
/// A DNS server that is silent is asked in so many forms at once, with EDNS and without (`probes/src/dns/ask.rs`), ...
const FORMS: usize = 2;
/// ... and for a name for the addresses of both families (`probes/src/resolve.rs`).
const FAMILIES: usize = 2;
/// Connections that the web server has at once at most; they are descriptors that no visit can have.
pub const WEB_CONNECTIONS: usize = 128;
/// Descriptors of the comparisons of names: each asks two sides, for both families. More are under way in a single look,
/// which has no web server.
const OF_SURVEYS: usize = names::CONCURRENCY * 2 * FAMILIES * FORMS;
/// Descriptors of the runtime, the logs, the store, files that are read, and sockets that listen.
const OF_ITS_OWN: usize = 32;
/// Descriptors that are not for visits: connections of the web server, held flows, follow-up measurements that ask from several
/// ports each, comparisons of names, and its own.
const RESERVED: usize =
    WEB_CONNECTIONS + held_flows::PORTS + shell::CONCURRENCY * CONTRAST_FLOWS + OF_SURVEYS + OF_ITS_OWN;
// A look's comparisons fit into the room that it has in the web server's place.
const _: () = assert!(names::CONCURRENCY_ONCE * 2 * FAMILIES * FORMS <= WEB_CONNECTIONS + OF_SURVEYS);

/// How an endpoint wants to be visited.
pub fn rhythm(endpoint: &Endpoint, pace: &Pace) -> Rhythm {
    let is_time_server = endpoint.class == Class::Ntp;
    let confirm_after = if is_time_server { pace.confirm_after.max(NTP_CONFIRM_AFTER) } else { pace.confirm_after };
    Rhythm {
        interval: endpoint.interval,
        confirm_after,
        failing_interval: pace.failing_interval,
        sockets: sockets(&endpoint.target),
        courtesy: is_time_server.then(|| courtesy(endpoint)),
    }
}

/// The most sockets that a visit holds at once: those of its addresses, or before that those that ask for its name.
fn sockets(target: &Target) -> usize {
    let of_one = if matches!(target.probe, Probe::Dns(_)) { FORMS } else { 1 };
    match target.host {
        Host::Address(_) => of_one,
        Host::Name(_) => (target.addresses.most() * of_one).max(FAMILIES * FORMS),
    }
}

/// Every time server's plea to be left alone is heard; one that is not ours is given rest unasked.
fn courtesy(endpoint: &Endpoint) -> Courtesy {
    let spacing = if endpoint.is_public_time_server() { TIME_SERVER_REST } else { Duration::ZERO };
    let peer = match &endpoint.target.host {
        Host::Address(address) => address.to_canonical().to_string(),
        Host::Name(name) => name.clone(),
    };
    Courtesy { peer: peer.into(), spacing }
}

/// The room for visits in a process that may have so many files open. Where there are few, half of them are for visits.
pub fn bounds(pace: &Pace, files: usize) -> Bounds {
    Bounds { active: pace.concurrency, sockets: files.saturating_sub(RESERVED).max(files / 2).max(1) }
}

/// How many visits of these endpoints may be under way at once in a process that may have so many files open.
pub fn visits(settings: &Settings, files: usize) -> usize {
    let endpoints = &settings.catalog.endpoints;
    let all: usize = endpoints.iter().map(|endpoint| sockets(&endpoint.target)).sum();
    bounds(&settings.pace, files).sockets * endpoints.len() / all.max(1)
}

/// What a visit meant for the schedule. One that died may have asked somebody before.
pub fn ended(visit: &Visit, judged: Judgement) -> Ended {
    let asked = visit.result == Err(Untested::Died) || visit.outcomes.iter().any(was_asked);
    Ended { upshot: upshot(visit, judged), asked }
}

/// The addresses of a time server that a visit asked, or left alone because they rest.
pub fn led_to(visit: &Visit) -> Vec<IpAddr> {
    let resting = visit.unasked.iter().filter(|unasked| unasked.why == Untested::Resting);
    let asked = visit.outcomes.iter().filter(|outcome| was_asked(outcome)).map(|outcome| outcome.address);
    asked.chain(resting.map(|unasked| unasked.address)).map(|address| address.ip()).collect()
}

fn upshot(visit: &Visit, judged: Judgement) -> Upshot {
    if visit.outcomes.iter().any(|outcome| outcome.verdict.finding().is_some_and(is_plea)) {
        return Upshot::AskedToSlowDown;
    }
    match judged {
        Ok(Verdict::Failed(_)) => Upshot::Bad,
        Ok(Verdict::Healthy | Verdict::Degraded(_)) => Upshot::Good,
        Err(Untested::BudgetSpent | Untested::Resting) => Upshot::PutOff(BUDGET_PAUSE),
        Ok(Verdict::Inconclusive(_)) | Err(_) => Upshot::Unknown,
    }
}

/// Whether a name that worked, or was not known, now fails at some of its addresses: one silent exchange is no more proof there
/// than at a name with a single address, so that it is asked again before anything is said.
pub fn is_to_confirm(visit: &Visit, judged: Judgement, stood: Status) -> bool {
    let works = matches!(stood, Status::Healthy | Status::Unknown(_));
    works
        && matches!((visit.result, judged), (Ok(Verdict::Degraded(_)), Ok(Verdict::Degraded(_))))
        && !visit.failed.is_empty()
}

fn is_plea(finding: Finding) -> bool {
    finding.cause == Cause::NtpDenied
}

/// Whether a packet may have reached the peer: this machine did not prevent the exchange.
fn was_asked(outcome: &Outcome) -> bool {
    !matches!(outcome.verdict, Verdict::Inconclusive(_))
}

#[cfg(test)]
mod tests {
    use ase_probes::{dns, tcp};

    use super::*;
    use crate::{config, engine::room::PATIENCE, model::catalog::Addresses, sample, web::accepting::Limits};

    #[test]
    fn a_visit_counts_the_sockets_of_its_name_as_long_as_no_server_answers() {
        let sample = sample::snapshot();
        let target =
            &sample.endpoints.iter().find(|view| view.endpoint.class == Class::Https).expect("one").endpoint.target;
        let (address, name) = (Host::Address([192, 0, 2, 1].into()), Host::Name("a.example".to_owned()));
        let of = |host: &Host, addresses, probe: &Probe| {
            sockets(&Target { host: host.clone(), addresses, probe: probe.clone(), ..target.clone() })
        };
        let (dns, tcp) = (
            Probe::Dns(dns::Question::liveness("a.example".to_owned(), dns::Transport::Udp)),
            Probe::Tcp(tcp::Question::default()),
        );
        assert_eq!((of(&address, Addresses::First, &tcp), of(&address, Addresses::First, &dns)), (1, 2));
        assert_eq!((of(&name, Addresses::First, &tcp), of(&name, Addresses::All, &tcp)), (4, 8));
        assert_eq!(of(&address, Addresses::All, &tcp), 1, "it is one");
    }

    #[test]
    fn visits_leave_descriptors_for_everything_else() {
        let pace = Pace {
            concurrency: 64,
            flows_per_destination: 60,
            confirm_after: Duration::from_secs(1),
            failing_interval: Duration::from_secs(10),
            drain: Duration::from_secs(10),
        };
        let sockets = |files| bounds(&pace, files).sockets;
        assert_eq!((sockets(4096), sockets(1024)), (4096 - RESERVED, 1024 - RESERVED));
        assert_eq!((sockets(100), sockets(0)), (50, 1));
        let connections = Limits::default().connections;
        let measured = shell::CONCURRENCY * CONTRAST_FLOWS;
        assert!(RESERVED > connections + measured + held_flows::PORTS, "{RESERVED} are less than their own list");
    }

    #[test]
    fn the_unit_has_files_for_the_largest_catalogue_when_all_is_silent_and_says_how_many() {
        let unit = include_str!("../../../systemd/ase-agent.service");
        let example = include_str!("../../../systemd/ase-agent.yaml");
        let settings = config::load(None).expect("the defaults are good");
        let files = unit.lines().find_map(|line| line.strip_prefix("LimitNOFILE=")?.parse().ok()).expect("a limit");
        let silent = settings.catalog.endpoints.iter().map(|endpoint| endpoint.target.timeout).max().expect("many");
        let begin = settings.pace.concurrency as f64 / PATIENCE.as_secs_f64();
        let under_way = (begin * silent.as_secs_f64()).round() as usize;
        let sockets = under_way * FAMILIES * FORMS;
        assert!(bounds(&settings.pace, files).sockets >= sockets, "{sockets} of {files}");
        let spaced = |number: usize| format!("{} {:03}", number / 1000, number % 1000);
        let sized = unit.split("Sized for ").nth(1).and_then(|rest| rest.split(" endpoints").next()).expect("a number");
        let most: f64 = sized.replace(' ', "").parse().expect("a number");
        let round = format!("{:.0} s", most / begin);
        for (text, words) in [
            (unit, vec![spaced(under_way), spaced(sockets), round.clone(), format!("{RESERVED}")]),
            (example, vec![spaced(under_way), round, format!("{RESERVED}")]),
        ] {
            words.iter().for_each(|word| assert!(text.contains(word.as_str()), "{word}"));
        }
    }
}
