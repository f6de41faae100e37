//! What every reader takes from a snapshot in the same way and says in the same words: counts, the verdict in one
//! sentence, the exit code, the evidence, certificates and times.

use std::{cmp::Reverse, time::Duration};

use jiff::Timestamp;

use crate::{
    engine::snapshot::Snapshot,
    model::{catalog::Severity, endpoint::Status},
    resolvers::compare::DnsOutcome,
};

/// Slots that the sentence names; of the others the number.
const NAMED: usize = 3;

/// How many endpoints stand how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Endpoints that proved themselves.
    pub healthy: usize,
    /// Endpoints that answer with something wrong.
    pub degraded: usize,
    /// Endpoints that failed.
    pub failed: usize,
    /// Endpoints that could not be tested.
    pub unknown: usize,
    /// Degraded endpoints of severity critical.
    pub critical_degraded: usize,
    /// Untested endpoints of severity critical.
    pub critical_unknown: usize,
    /// Slots that are not filled.
    pub not_configured: usize,
    /// Classes with endpoints or slots.
    pub classes: usize,
    /// The labels of the classes with a failed critical endpoint.
    pub lost: Vec<&'static str>,
    /// The names of the slots that are not filled, the critical ones first.
    pub unwatched: Vec<String>,
    /// Slots of severity critical that are not filled.
    pub critical_slots: usize,
    /// Incidents that are open.
    pub open: usize,
    /// What is wrong beside the endpoints, in plain words: DNS servers that mislead, a host without one.
    pub misgivings: Vec<String>,
}

impl Summary {
    /// Counts a snapshot.
    pub fn of(snapshot: &Snapshot) -> Self {
        let slots = &snapshot.catalog.slots;
        let mut summary = Self {
            not_configured: slots.len(),
            classes: snapshot.classes.len(),
            critical_slots: slots.iter().filter(|slot| slot.severity == Severity::Critical).count(),
            open: snapshot.incidents.open.len(),
            misgivings: misgivings(snapshot),
            ..Self::default()
        };
        let mut named: Vec<_> = slots.iter().map(|slot| (slot.severity, &slot.name)).collect();
        named.sort_by_key(|(severity, _)| Reverse(*severity));
        named.dedup_by_key(|(_, name)| *name);
        summary.unwatched = named.into_iter().map(|(_, name)| name.clone()).collect();
        for view in &snapshot.endpoints {
            let critical = usize::from(view.endpoint.severity == Severity::Critical);
            match view.status {
                Status::Healthy => summary.healthy += 1,
                Status::Degraded(_) => {
                    summary.degraded += 1;
                    summary.critical_degraded += critical;
                }
                Status::Failed(_) => summary.failed += 1,
                Status::Unknown(_) => {
                    summary.unknown += 1;
                    summary.critical_unknown += critical;
                }
            }
            let class = view.endpoint.class.label();
            let lost = matches!(view.status, Status::Failed(_)) && view.endpoint.severity == Severity::Critical;
            if lost && !summary.lost.contains(&class) {
                summary.lost.push(class);
            }
        }
        summary
    }

    /// The endpoints that are watched.
    pub fn endpoints(&self) -> usize {
        self.healthy + self.degraded + self.failed + self.unknown
    }

    /// The exit code of a one-shot check.
    ///
    /// | code | meaning |
    /// |------|---------|
    /// | 0 | every watched endpoint is healthy; unfilled slots do not count |
    /// | 1 | at least one endpoint of severity critical failed |
    /// | 2 | nothing critical failed, but an endpoint failed, is degraded, or could not be tested, or DNS misleads |
    pub fn exit_code(&self) -> u8 {
        match (self.lost.is_empty(), self.healthy == self.endpoints() && self.misgivings.is_empty()) {
            (false, _) => 1,
            (true, false) => 2,
            (true, true) => 0,
        }
    }

    /// The exit code where critical slots that are not filled count as well: 2 instead of 0.
    pub fn strict_exit_code(&self) -> u8 {
        match self.exit_code() {
            0 if self.critical_slots > 0 => 2,
            code => code,
        }
    }

    /// The verdict in one sentence, without a full stop.
    pub fn sentence(&self) -> String {
        let endpoints = self.endpoints();
        if !self.lost.is_empty() {
            let (lost, classes) = (self.lost.len(), self.lost.join(", "));
            return format!("{lost} of {} classes lost something critical: {classes}", self.classes);
        }
        if endpoints == 0 {
            return "nothing is watched".to_owned();
        }
        if self.unknown == endpoints {
            return format!("nothing is known yet: none of {} could be tested", count(endpoints, "endpoint"));
        }
        if self.healthy == endpoints {
            return self.all_healthy();
        }
        let parts = [
            (self.failed, 0, "failed"),
            (self.degraded, self.critical_degraded, "degraded"),
            (self.unknown, self.critical_unknown, "could not be judged"),
        ];
        let said = |(n, critical, word): &(usize, usize, &str)| match critical {
            0 => format!("{n} {word}"),
            critical => format!("{n} {word} ({critical} critical)"),
        };
        let parts: Vec<_> = parts.iter().filter(|(n, ..)| *n > 0).map(said).collect();
        let (of, parts) = (count(endpoints, "endpoint"), parts.join(", "));
        // What is critical and could not be judged may be lost: whatever is said of the rest would be an all-clear.
        match self.critical_unknown {
            0 => format!("nothing critical is lost, but of {of} {parts}"),
            _ => format!("of {of} {parts}: what could not be judged may be lost"),
        }
    }
}

impl Summary {
    /// Every endpoint is well: the sentence says what else is not, and what nobody looks at.
    fn all_healthy(&self) -> String {
        let endpoints = self.endpoints();
        // An incident that comes and goes is open while all is well.
        let moment = if self.open > 0 { " at the moment" } else { "" };
        let mut sentence = format!("{endpoints} watched and well{moment}");
        if let Some(first) = self.misgivings.first() {
            sentence.push_str(&format!(", but {first}"));
            let more = self.misgivings.len() - 1;
            if more > 0 {
                sentence.push_str(&format!(" (and {more} more)"));
            }
        }
        if self.not_configured > 0 {
            let names = self.unwatched.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
            let more = if self.unwatched.len() > NAMED { " …" } else { "" };
            let verb = if self.unwatched.len() == 1 { "is" } else { "are" };
            sentence.push_str(&format!("; {names}{more} {verb} not watched: {}", count(self.not_configured, "slot")));
        }
        if self.misgivings.is_empty() && self.not_configured == 0 && self.open == 0 {
            return format!("all well: {} proved their peer", count(endpoints, "endpoint"));
        }
        sentence
    }
}

/// What is known about DNS that no endpoint shows: whoever asks such a server may get anything, or nothing.
fn misgivings(snapshot: &Snapshot) -> Vec<String> {
    let mut found = Vec::new();
    if snapshot.host_dns.is_without_server(&snapshot.resolvers) {
        found.push("this host names no DNS server".to_owned());
    }
    let Some(trial) = &snapshot.trial else { return found };
    if trial.intercepted == Some(true) {
        found.push("something on the path answers DNS where no server can be".to_owned());
    }
    for tried in &trial.servers {
        let server = tried.server.ip();
        if tried.is_raced {
            found.push(format!("somebody on the path answers before the DNS server {server}"));
        } else if tried.invents() == Some(true) {
            found.push(format!("the DNS server {server} invents addresses for names that do not exist"));
        } else if tried.outcome == DnsOutcome::Refused {
            found.push(format!("the DNS server {server} does not resolve names for this host"));
        }
    }
    found
}

/// A number with its noun, in the plural where that is due.
pub(crate) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// A wall-clock time as RFC 3339 in UTC, to the millisecond.
pub(crate) fn rfc3339(since_epoch: Duration) -> String {
    let millis = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX).to_string()
}

/// A certificate's time as RFC 3339 in UTC; what lies beyond the year 9999 or before -9999 is shown as that bound.
pub(crate) fn rfc3339_seconds(since_epoch: i64) -> String {
    let bound = if since_epoch < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_second(since_epoch).unwrap_or(bound).to_string()
}

/// A duration as coarse as a person would say it: `40 s`, `12 min`, `3 h 5 min`, `2 d 4 h`.
pub(super) fn span(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// How long something lasted, as the times say that are shown beside it: those are cut to whole seconds.
pub(super) fn lasted(from: Duration, to: Duration) -> String {
    span(Duration::from_secs(to.as_secs().saturating_sub(from.as_secs())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::visit::Untested,
        resolvers::trial::{ServerTrial, Trial},
        sample,
    };
    use std::sync::Arc;

    #[test]
    fn a_span_is_as_coarse_as_a_person_would_say_it() {
        let spans = [40, 725, 11_100, 187_200].map(|seconds| span(Duration::from_secs(seconds)));
        assert_eq!(spans, ["40 s", "12 min", "3 h 5 min", "2 d 4 h"]);
    }

    #[test]
    fn how_long_something_lasted_agrees_with_the_times_beside_it() {
        let at = |millis| Duration::from_millis(millis);
        assert_eq!(lasted(at(47_900), at(84_100)), "37 s", "from second 47 to second 84");
        assert_eq!(lasted(at(47_100), at(84_900)), "37 s");
        assert_eq!(lasted(at(84_000), at(47_000)), "0 s", "a clock that was set back");
    }

    #[test]
    fn the_exit_code_follows_the_worst_that_was_found() {
        let healthy = Summary { healthy: 3, not_configured: 2, ..Summary::default() };
        let rows = [
            (healthy.clone(), 0),
            (Summary { misgivings: vec!["a server lies".to_owned()], ..healthy.clone() }, 2),
            (Summary { unknown: 1, ..healthy.clone() }, 2),
            (Summary { degraded: 1, ..healthy.clone() }, 2),
            (Summary { failed: 1, ..healthy.clone() }, 2),
            (Summary { failed: 1, lost: vec!["sql"], ..healthy }, 1),
        ];
        for (summary, code) in rows {
            assert_eq!(summary.exit_code(), code, "{summary:?}");
        }
        let open = Summary { critical_slots: 2, ..healthy_summary() };
        assert_eq!((open.exit_code(), open.strict_exit_code()), (0, 2));
        assert_eq!((healthy_summary().strict_exit_code()), 0);
    }

    fn healthy_summary() -> Summary {
        Summary { healthy: 3, ..Summary::default() }
    }

    #[test]
    fn the_sentence_says_what_is_not_watched_and_what_misleads() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let open = |unwatched| Summary { not_configured: 5, unwatched, ..healthy_summary() };
        let two = open(names(&["sql-server", "storage-account"]));
        assert_eq!(two.sentence(), "3 watched and well; sql-server, storage-account are not watched: 5 slots");
        let four = open(names(&["sql-server", "storage-account", "event-hub", "mcr-cdn"]));
        assert!(four.sentence().contains("sql-server, storage-account, event-hub … are not watched"));
        let lies = |count: usize| vec!["the DNS server 10.0.0.4 invents addresses".to_owned(); count];
        let misled = Summary { misgivings: lies(1), ..healthy_summary() };
        assert_eq!(misled.sentence(), "3 watched and well, but the DNS server 10.0.0.4 invents addresses");
        let both =
            Summary { misgivings: lies(2), not_configured: 1, unwatched: names(&["sql-server"]), ..healthy_summary() };
        assert!(
            both.sentence().ends_with("addresses (and 1 more); sql-server is not watched: 1 slot"),
            "{}",
            both.sentence()
        );
    }

    #[test]
    fn servers_that_mislead_and_a_host_without_one_are_misgivings() {
        let mut snapshot = sample::snapshot();
        sample::set_all(&mut snapshot, Status::Healthy);
        let trial = |outcome, is_raced| {
            let server = ([10, 0, 0, 4], 53).into();
            Trial { at: Duration::ZERO, intercepted: None, servers: vec![ServerTrial { server, outcome, is_raced }] }
        };
        for (outcome, is_raced, words) in [
            (DnsOutcome::Answer, false, "10.0.0.4 invents addresses"),
            (DnsOutcome::Answer, true, "before the DNS server 10.0.0.4"),
            (DnsOutcome::Nxdomain, true, "before the DNS server 10.0.0.4"),
            (DnsOutcome::Refused, false, "10.0.0.4 does not resolve names"),
        ] {
            snapshot.trial = Some(Arc::new(trial(outcome, is_raced)));
            let summary = Summary::of(&snapshot);
            assert!(summary.sentence().contains(words), "{}", summary.sentence());
            assert_eq!(summary.exit_code(), 2);
        }
        snapshot.trial = Some(Arc::new(trial(DnsOutcome::Nxdomain, false)));
        assert_eq!(Summary::of(&snapshot).exit_code(), 0);
        snapshot.host_dns.servers.clear();
        assert!(Summary::of(&snapshot).sentence().contains("this host names no DNS server"));
    }

    #[test]
    fn a_snapshot_is_counted_once_per_endpoint() {
        let summary = Summary::of(&sample::snapshot());
        assert_eq!((summary.healthy, summary.degraded, summary.failed, summary.unknown), (6, 1, 3, 2));
        assert_eq!((summary.not_configured, summary.endpoints()), (1, 12));
        assert_eq!(summary.lost, ["sql"]);
        assert_eq!(summary.sentence(), "1 of 7 classes lost something critical: sql");
    }

    #[test]
    fn each_state_of_the_whole_has_its_sentence() {
        let mut snapshot = sample::snapshot();
        sample::set_all(&mut snapshot, Status::Healthy);
        let coming_and_going = "12 watched and well at the moment; event_hub is not watched: 1 slot";
        assert_eq!(Summary::of(&snapshot).sentence(), coming_and_going);
        snapshot.incidents.open.clear();
        assert_eq!(Summary::of(&snapshot).sentence(), "12 watched and well; event_hub is not watched: 1 slot");
        Arc::make_mut(&mut snapshot.catalog).slots.clear();
        assert_eq!(Summary::of(&snapshot).sentence(), "all well: 12 endpoints proved their peer");
        sample::set_all(&mut snapshot, Status::Unknown(Untested::NotYet));
        assert_eq!(Summary::of(&snapshot).sentence(), "nothing is known yet: none of 12 endpoints could be tested");
        snapshot.endpoints.clear();
        assert_eq!(Summary::of(&snapshot).sentence(), "nothing is watched");
        let mixed = Summary { healthy: 9, failed: 1, unknown: 2, ..Summary::default() };
        assert_eq!(mixed.sentence(), "nothing critical is lost, but of 12 endpoints 1 failed, 2 could not be judged");
    }

    #[test]
    fn what_is_critical_and_degraded_or_not_judged_is_said_where_nothing_critical_failed() {
        let mut snapshot = sample::snapshot();
        sample::set_all(&mut snapshot, Status::Healthy);
        let finding = sample::snapshot().endpoints.iter().find_map(|view| view.status.finding()).expect("one failed");
        for (severity, status, said) in [
            (
                Severity::Critical,
                Status::Degraded(finding),
                "nothing critical is lost, but of 12 endpoints 1 degraded (1 critical)",
            ),
            (
                Severity::Critical,
                Status::Unknown(Untested::BudgetSpent),
                "of 12 endpoints 1 could not be judged (1 critical): what could not be judged may be lost",
            ),
            (Severity::Warning, Status::Degraded(finding), "nothing critical is lost, but of 12 endpoints 1 degraded"),
        ] {
            let view = Arc::make_mut(&mut snapshot.endpoints[0]);
            (Arc::make_mut(&mut view.endpoint).severity, view.status) = (severity, status);
            assert_eq!(Summary::of(&snapshot).sentence(), said);
        }
    }

    #[test]
    fn a_certificate_without_an_end_keeps_a_printable_time() {
        assert_eq!(rfc3339_seconds(0), "1970-01-01T00:00:00Z");
        assert!(rfc3339_seconds(253_402_300_799).starts_with("9999-12-30"));
        assert!(rfc3339_seconds(i64::MIN).starts_with('-'));
    }
}
