//! What an incident is called in one line: the words of its cause, of a clock by how much it is wrong, and of a certificate who
//! issued it.

use std::time::Duration;

use ase_probes::{cause::Cause, outcome::Outcome};

use super::{advice, summary::span};
use crate::{
    engine::snapshot::Snapshot,
    model::{
        diagnosis::Incident,
        endpoint::{self, EndpointView},
    },
};

/// An offset below this is no news: dates of HTTP have whole seconds (RFC 9110 section 5.6.7), in seconds.
const LEAST: f64 = 2.0;

/// The line, where it stands alone.
pub(in crate::readers) fn of(incident: &Incident, snapshot: &Snapshot) -> String {
    let summary = incident.finding.cause.definition().summary;
    if let Some(issuer) = advice::issuer(incident, snapshot) {
        return format!("the certificate was made by an inspecting device (issuer {issuer})");
    }
    match offset(incident, snapshot) {
        Some(offset) => format!("{summary}: {}", words(incident.finding.cause, offset)),
        None => summary.to_owned(),
    }
}

/// The line behind the component, which it does not name again.
pub(in crate::readers) fn behind(incident: &Incident, snapshot: &Snapshot) -> String {
    let line = of(incident, snapshot);
    let component = &*incident.component;
    let is_vm = component == "this machine";
    match incident.finding.cause {
        Cause::LocalClock if is_vm => line.replace("the clock of this machine", "its clock").replace(": ", ", "),
        _ if is_vm => line.strip_prefix("this machine ").map_or(line.clone(), |does| format!("it {does}")),
        _ if !component.contains("DNS server") => line,
        _ => of_servers(&line, component, incident.hides.len()),
    }
}

/// What servers do that were named before.
fn of_servers(line: &str, component: &str, hides: usize) -> String {
    let is = |start: &str| component.starts_with(start);
    if let Some(does) = line.strip_prefix("the DNS server's ").filter(|_| is("the DNS server ")) {
        return format!("its {does}");
    }
    let Some(does) = line.strip_prefix("the DNS server ") else { return line.to_owned() };
    let names = if hides > 1 { "names" } else { "the name" };
    let (who, what) = match () {
        () if is("the name ") => ("the server", "it"),
        () if is("the zone ") => ("the server", "its names"),
        () if is("single names ") => ("the server", "them"),
        () if is("the DNS server ") => ("it", names),
        () if is("both DNS servers") || is("all ") => ("each of them", names),
        () => return line.to_owned(),
    };
    let is_one = ["it", "the name"].contains(&what);
    let does = if is_one { does.to_owned() } else { does.replace("the name does not", "these names do not") };
    format!("{who} {}", does.replace("the name", what))
}

/// Whose times stand in what is said of this snapshot, where this machine's own clock is known to be wrong: they are by that
/// clock, which is ahead or behind.
pub(in crate::readers) fn clock(snapshot: &Snapshot) -> Option<String> {
    let incident = snapshot.incidents.open.iter().find(|incident| incident.finding.cause == Cause::LocalClock)?;
    let by = offset(incident, snapshot).map(|offset| {
        let by = words(Cause::LocalClock, offset);
        format!(": {by}, so that {} is right; dates of certificates are judged by it, too", rightly(offset))
    });
    Some(format!("this machine's clock, which is wrong{}", by.unwrap_or_default()))
}

/// The same of one incident, which may be over: an incident of this machine's clock began by that clock.
pub(in crate::readers) fn clock_of(cause: Option<Cause>, snapshot: &Snapshot) -> Option<String> {
    let of_itself = || "this machine's clock, which was wrong while it lasted".to_owned();
    clock(snapshot).or_else(|| (cause == Some(Cause::LocalClock)).then(of_itself))
}

/// Whose clocks tell by how much one is wrong: of this machine's all that were asked, of a server's its own. The one in the
/// middle speaks, in seconds: their clock minus this machine's.
fn offset(incident: &Incident, snapshot: &Snapshot) -> Option<f64> {
    let is_asked = |view: &EndpointView| match incident.finding.cause {
        Cause::LocalClock => true,
        Cause::NtpWrongTime => incident.endpoints.contains(&view.endpoint.id),
        _ => false,
    };
    let all = |read: fn(&EndpointView) -> Option<f64>| -> Vec<f64> {
        snapshot.endpoints.iter().filter(|view| is_asked(view)).filter_map(|view| read(view)).collect()
    };
    // Dates of HTTP are cut to whole seconds: they count where no time server was heard.
    let mut offsets = all(endpoint::ntp_offset);
    if offsets.is_empty() {
        offsets = all(of_date);
    }
    offsets.sort_by(f64::total_cmp);
    let middle = *offsets.get(offsets.len() / 2)?;
    (middle.abs() >= LEAST).then_some(middle)
}

/// What the date of an answer over HTTP says.
fn of_date(view: &EndpointView) -> Option<f64> {
    view.last.as_ref()?.outcomes.iter().filter_map(Outcome::http_answer).find_map(|answer| answer.clock_offset)
}

/// What one does to such a clock's times to have them right.
fn rightly(offset: f64) -> String {
    let sign = if offset > 0.0 { "plus" } else { "minus" };
    format!("each time {sign} {}", by(offset))
}

fn by(offset: f64) -> String {
    span(Duration::try_from_secs_f64(offset.abs().round()).unwrap_or(Duration::MAX))
}

fn words(cause: Cause, offset: f64) -> String {
    let by = by(offset);
    match (cause, offset > 0.0) {
        (Cause::LocalClock, true) => format!("{by} behind the clocks that it asked"),
        (Cause::LocalClock, false) => format!("{by} ahead of the clocks that it asked"),
        (_, true) => format!("{by} ahead of this machine's clock"),
        (_, false) => format!("{by} behind this machine's clock"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ase_probes::outcome::Protocol;

    use super::*;
    use crate::{
        model::diagnosis::Closed,
        readers::{
            json,
            page::{
                self,
                course::{Course, Recalled},
            },
            report,
            ticket::{Ticket, markdown},
        },
        sample,
    };

    /// The sample, whose time server is ahead by so many seconds, as are its web servers by whole ones, and its incident with
    /// this cause.
    fn called(cause: Cause, ahead: f64) -> String {
        let snapshot = with_clocks(cause, ahead);
        of(&snapshot.incidents.open[0].clone(), &snapshot)
    }

    fn with_clocks(cause: Cause, ahead: f64) -> Snapshot {
        let mut snapshot = sample::snapshot();
        let ids = snapshot.endpoints.iter().map(|view| view.endpoint.id.clone()).collect();
        for view in &mut snapshot.endpoints {
            let Some(visit) = Arc::make_mut(view).last.as_mut() else { continue };
            for outcome in &mut Arc::make_mut(visit).outcomes {
                match &mut outcome.protocol {
                    Protocol::Ntp(reply) => reply.packet.iter_mut().for_each(|packet| packet.offset = ahead),
                    Protocol::Http(reply) => {
                        reply.answer.iter_mut().for_each(|answer| answer.clock_offset = Some(ahead - 0.9))
                    }
                    _ => {}
                }
            }
        }
        let incident = Arc::make_mut(&mut snapshot.incidents.open[0]);
        (incident.finding.cause, incident.endpoints) = (cause, ids);
        snapshot
    }

    #[test]
    fn the_report_says_it_in_its_first_line_and_at_the_incident() {
        let text = report::render(&with_clocks(Cause::LocalClock, 3600.2), None, report::Look::default());
        let said = "the clock of this machine is wrong: 1 h 0 min behind the clocks that it asked";
        assert!(text.lines().next().is_some_and(|first| first.contains(said)), "{text}");
        assert!(text.contains(&format!("INCIDENT  local_clock: {said}\n")), "{text}");
    }

    #[test]
    fn where_the_own_clock_is_wrong_every_reader_says_that_its_times_are_by_that_clock() {
        let by = "by this machine's clock, which is wrong: 1 h 0 min behind the clocks that it asked";
        let wrong = with_clocks(Cause::LocalClock, 3600.2);
        let (key, id) = (wrong.incidents.open[0].id.to_string(), wrong.endpoints[0].endpoint.id.to_string());
        let said = |snapshot: &Snapshot| {
            let asked = page::named(snapshot, &key).expect("it is open");
            [
                ("report", report::render(snapshot, None, report::Look::default())),
                ("page", page::landing(snapshot, &Course::default())),
                ("incident", page::incident(snapshot, &asked, None)),
                (
                    "endpoint",
                    page::endpoint(snapshot, &Course::default(), &id, &Recalled::default()).expect("it is watched"),
                ),
                ("ticket", markdown::render(&Ticket::of(snapshot, None))),
                ("JSON", json::to_json(snapshot, "0")),
            ]
        };
        for (reader, text) in said(&wrong) {
            assert!(text.replace("&#39;", "'").contains(by), "{reader}: {text}");
        }
        for (reader, text) in said(&with_clocks(Cause::Dropped, 3600.2)) {
            assert!(!text.contains("clock, which is wrong"), "{reader}: {text}");
        }
        let incident = page::incident(&wrong, &page::named(&wrong, &key).expect("it is open"), None);
        assert!(incident.contains("- **Clock:** every time here is by"), "the copy says so as well: {incident}");
        let known = with_clocks(Cause::LocalClock, 0.4);
        assert_eq!(clock(&known).as_deref(), Some("this machine's clock, which is wrong"), "by how much is not known");
    }

    #[test]
    fn an_incident_of_the_own_clock_that_is_over_has_its_times_by_that_clock() {
        let mut snapshot = with_clocks(Cause::LocalClock, 3600.2);
        let incident = snapshot.incidents.open.remove(0);
        let key = incident.id.to_string();
        snapshot.incidents.closed.push(Arc::new(Closed { incident, ended: snapshot.at }));
        let told = page::incident(&snapshot, &page::named(&snapshot, &key).expect("it ended"), None);
        assert!(told.contains("clock, which was wrong while it lasted"), "{told}");
        assert!(!page::landing(&snapshot, &Course::default()).contains("clock, which"), "the clock is right again");
    }

    #[test]
    fn behind_its_component_nothing_is_named_twice() {
        let mut snapshot = sample::snapshot();
        let mut said = |cause, component: &str, hides: usize| {
            let incident = Arc::make_mut(&mut snapshot.incidents.open[0]);
            let id = incident.endpoints[0].clone();
            (incident.finding.cause, incident.component) = (cause, component.to_owned());
            incident.hides = vec![id; hides];
            let incident = incident.clone();
            behind(&incident, &snapshot)
        };
        let (one, both) = ("the DNS server 10.53.0.4", "both DNS servers, 10.53.0.4 and 10.53.0.5");
        assert_eq!(said(Cause::DnsServfail, one, 9), "it cannot resolve names (SERVFAIL)");
        assert_eq!(said(Cause::DnsServfail, one, 1), "it cannot resolve the name (SERVFAIL)");
        assert_eq!(said(Cause::DnsRefused, both, 2), "each of them refuses the query (REFUSED)");
        assert_eq!(said(Cause::DnsNoReply, one, 2), "its host is alive but queries stay unanswered");
        let name = "the name a.example at the DNS server 10.53.0.4";
        assert_eq!(said(Cause::DnsNxdomain, name, 1), "the server says that it does not exist");
        assert_eq!(said(Cause::LocalPorts, "this machine", 1), "it has no free local ports");
        assert_eq!(said(Cause::Dropped, "TCP 1433 to every host", 1), "packets vanish without any answer");
        let mut wrong = with_clocks(Cause::LocalClock, 900.2);
        Arc::make_mut(&mut wrong.incidents.open[0]).component = "this machine".to_owned();
        let incident = wrong.incidents.open[0].clone();
        assert_eq!(behind(&incident, &wrong), "its clock is wrong, 15 min behind the clocks that it asked");
        assert!(clock(&wrong).is_some_and(|clock| clock.contains("so that each time plus 15 min is right")));
    }

    #[test]
    fn who_issued_an_inspected_certificate_stands_in_the_line() {
        let mut snapshot = sample::snapshot();
        let at =
            snapshot.endpoints.iter().position(|view| view.endpoint.id.0.starts_with("login.")).expect("it is there");
        sample::shown::inspected(Arc::make_mut(&mut snapshot.endpoints[at]), "CN=Inspection CA");
        let id = snapshot.endpoints[at].endpoint.id.clone();
        let incident = Arc::make_mut(&mut snapshot.incidents.open[0]);
        (incident.finding.cause, incident.endpoints) = (Cause::TlsIntercepted, vec![id]);
        let text = report::render(&snapshot, None, report::Look::default());
        let said = "the certificate was made by an inspecting device (issuer CN=Inspection CA)";
        assert!(text.lines().next().is_some_and(|first| first.contains(said)), "{text}");
    }

    #[test]
    fn a_clock_is_called_wrong_by_how_much_and_in_which_direction() {
        for (cause, ahead, said) in [
            (
                Cause::LocalClock,
                3600.2,
                "the clock of this machine is wrong: 1 h 0 min behind the clocks that it asked",
            ),
            (
                Cause::LocalClock,
                -86_400.0,
                "the clock of this machine is wrong: 1 d 0 h ahead of the clocks that it asked",
            ),
            (Cause::LocalClock, 900.2, "the clock of this machine is wrong: 15 min behind the clocks that it asked"),
            (Cause::LocalClock, 0.4, "the clock of this machine is wrong"),
        ] {
            assert_eq!(called(cause, ahead), said, "{ahead}");
        }
        assert!(called(Cause::NtpWrongTime, 65.0).ends_with(": 1 min ahead of this machine's clock"));
        assert!(!called(Cause::Dropped, 3600.0).contains("clock"), "of nothing else");
    }
}
