//! The early warnings in force, from one snapshot: what the detectors found (with their thresholds in `early`), and from
//! which distance a certificate's or CRL's end and a clock's offset are one.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use ase_probes::{cause::Cause, class::Class};

use crate::early::{burn_rate, drift, phi};
use crate::{
    engine::snapshot::Snapshot,
    model::{
        catalog::{EndpointId, Host},
        diagnosis::Incident,
        endpoint::{EndpointView, Status, addresses, crl, earliest_expiry, ntp_offset},
    },
    net::duration::show,
    readers::summary::rfc3339_seconds,
    resolvers::compare::Worry,
};

/// A certificate or list that ends within this time is worth a warning: 21 days, as in blackbox_exporter's mixin.
const EXPIRY: i64 = 21 * 24 * 3600;
/// An overdue revocation list is a finding of the probe; one that is due within this time is a warning: 6 hours.
const CRL_EXPIRY: i64 = 6 * 3600;
/// Time servers that must see this machine's clock run away alike: one alone may run away itself.
const WITNESSES: usize = 2;

/// What an early warning is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A class spends its budget of lost time too fast.
    BurnRate,
    /// Successes of a class stay away longer than they used to.
    SuccessGap,
    /// Round trips rose.
    Latency,
    /// Not all addresses of a class answer.
    Addresses,
    /// This machine's clock is off or runs away.
    NtpDrift,
    /// A certificate ends soon.
    CertificateExpiry,
    /// A revocation list is due soon.
    CrlExpiry,
    /// The custom DNS and Azure DNS lead apart.
    DnsDivergence,
    /// Nothing of a class could be tested for three intervals.
    AgentBlind,
    /// Of a host and the one that takes its place only one works.
    Successor,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::BurnRate,
        Self::SuccessGap,
        Self::Latency,
        Self::Addresses,
        Self::NtpDrift,
        Self::CertificateExpiry,
        Self::CrlExpiry,
        Self::DnsDivergence,
        Self::AgentBlind,
        Self::Successor,
    ];

    /// Returns the metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::BurnRate => "burn_rate",
            Self::SuccessGap => "success_gap",
            Self::Latency => "latency",
            Self::Addresses => "addresses",
            Self::NtpDrift => "ntp_drift",
            Self::CertificateExpiry => "certificate_expiry",
            Self::CrlExpiry => "crl_expiry",
            Self::DnsDivergence => "dns_divergence",
            Self::AgentBlind => "agent_blind",
            Self::Successor => "successor",
        }
    }
}

/// One early warning.
#[derive(Clone, Debug, PartialEq)]
pub struct Warning {
    /// What it is about.
    pub kind: Kind,
    /// The class it concerns, if it concerns one.
    pub class: Option<Class>,
    /// The endpoint, or the compared name, it concerns.
    pub subject: Option<String>,
    /// What is the matter, in plain words.
    pub text: String,
    /// The open incident that tells the same, where one does: it is no early word any more.
    pub part_of: Option<PartOf>,
}

/// An open incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartOf {
    /// Its number.
    pub id: u64,
    /// Its cause.
    pub cause: Cause,
}

impl std::fmt::Display for PartOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "part of incident {} ({})", self.id, self.cause)
    }
}

/// All warnings in force.
pub fn of(snapshot: &Snapshot) -> Vec<Warning> {
    let mut warnings = Vec::new();
    of_classes(snapshot, &mut warnings);
    of_endpoints(snapshot, &mut warnings);
    of_names(snapshot, &mut warnings);
    if warnings.is_empty() || snapshot.incidents.open.is_empty() {
        return warnings;
    }
    let told = Told::all(snapshot);
    let bad = bad_by_class(snapshot);
    for warning in &mut warnings {
        let same = told.iter().find(|told| told.tells(warning, &bad));
        warning.part_of = same.map(|told| PartOf { id: told.incident.id, cause: told.incident.finding.cause });
    }
    warnings
}

/// What an open incident is about, to be looked up: it may have ten thousand endpoints.
struct Told<'a> {
    incident: &'a Incident,
    ids: BTreeSet<&'a str>,
    /// The names of its endpoints.
    names: BTreeSet<&'a str>,
    /// How many endpoints of a class it has.
    classes: BTreeMap<Class, usize>,
}

impl<'a> Told<'a> {
    fn all(snapshot: &'a Snapshot) -> Vec<Self> {
        let views: BTreeMap<&EndpointId, &EndpointView> =
            snapshot.endpoints.iter().map(|view| (&view.endpoint.id, &**view)).collect();
        let of = |incident: &'a Incident| {
            let mut told = Self { incident, ids: BTreeSet::new(), names: BTreeSet::new(), classes: BTreeMap::new() };
            for (id, view) in incident.endpoints.iter().filter_map(|id| Some((id, *views.get(id)?))) {
                told.ids.insert(&*id.0);
                *told.classes.entry(view.endpoint.class).or_default() += 1;
                if let Host::Name(name) = &view.endpoint.target.host {
                    told.names.insert(name);
                }
            }
            told
        };
        snapshot.incidents.open.iter().map(|incident| of(incident)).collect()
    }

    /// Whether a warning tells nothing new beside it. What is said of a class is its matter where most of the class that is not
    /// well belongs to it.
    fn tells(&self, warning: &Warning, bad: &BTreeMap<Class, usize>) -> bool {
        let of_class = warning.class.and_then(|class| Some((self.classes.get(&class)?, bad.get(&class)?)));
        let subject = warning.subject.as_deref();
        match (warning.kind, self.incident.finding.cause) {
            (Kind::BurnRate | Kind::SuccessGap | Kind::AgentBlind, _) => {
                of_class.is_some_and(|(own, bad)| own * 2 > *bad)
            }
            (Kind::Latency, cause) => {
                matches!(cause, Cause::Slow | Cause::PacketLoss)
                    && warning.class.is_some_and(|class| self.classes.contains_key(&class))
            }
            (Kind::Addresses, _) => subject.is_some_and(|id| self.ids.contains(id)),
            (Kind::NtpDrift, cause) => cause == Cause::LocalClock,
            (Kind::DnsDivergence, cause) => {
                cause.label().starts_with("dns_") && subject.is_some_and(|name| self.names.contains(name))
            }
            (Kind::CertificateExpiry | Kind::CrlExpiry | Kind::Successor, _) => false,
        }
    }
}

/// Endpoints of each class that failed or could not be judged.
fn bad_by_class(snapshot: &Snapshot) -> BTreeMap<Class, usize> {
    let mut bad = BTreeMap::new();
    for view in &snapshot.endpoints {
        if matches!(view.status, Status::Failed(_) | Status::Unknown(_)) {
            *bad.entry(view.endpoint.class).or_default() += 1;
        }
    }
    bad
}

fn of_classes(snapshot: &Snapshot, warnings: &mut Vec<Warning>) {
    for (class, early) in snapshot.early.iter().flat_map(|early| &early.classes) {
        let mut warn = |kind, subject: Option<&EndpointId>, text| {
            let subject = subject.map(|id| id.0.to_string());
            warnings.push(Warning { kind, class: Some(*class), subject, text, part_of: None });
        };
        if let Some(pair) = burn_rate::alarm(&early.burn) {
            let (long, short, factor) = pair.rule();
            let (rate, label) = (early.burn[long as usize], long.label());
            let text = format!(
                "{rate:.1} times the budget of lost time over {label}, and still over {}; {factor} is the limit",
                short.label()
            );
            warn(Kind::BurnRate, None, text);
        }
        if early.phi.is_some_and(|phi| phi >= phi::SUSPECT) {
            warn(Kind::SuccessGap, None, "no success for far longer than usual".to_owned());
        }
        if early.latency.is_some_and(|ratio| ratio >= 1.0) {
            warn(Kind::Latency, early.slowest.as_ref(), "round trips rose and stay high".to_owned());
        }
        if early.is_blind() {
            warn(Kind::AgentBlind, None, format!("nothing of it could be tested for {}", seconds(early.untested)));
        }
    }
}

fn of_endpoints(snapshot: &Snapshot, warnings: &mut Vec<Warning>) {
    let now = i64::try_from(snapshot.at.as_secs()).unwrap_or(i64::MAX);
    for view in &snapshot.endpoints {
        let mut warn = |kind, text| {
            let (class, subject) = (Some(view.endpoint.class), Some(view.endpoint.id.0.to_string()));
            warnings.push(Warning { kind, class, subject, text, part_of: None });
        };
        let (healthy, probed) = addresses(view);
        if healthy > 0 && healthy < probed {
            warn(Kind::Addresses, format!("{healthy} of {probed} addresses answer"));
        }
        if let Some(expiry) = earliest_expiry(view) {
            let end = expiry.certificate.not_after;
            if end.saturating_sub(now) < EXPIRY {
                let subject = &expiry.certificate.subject;
                let what =
                    if expiry.is_leaf { "its certificate" } else { &format!("the certificate {subject} of its chain") };
                let verb = if end < now { "ended" } else { "ends" };
                warn(Kind::CertificateExpiry, format!("{what} {verb} {}", rfc3339_seconds(end)));
            }
        }
        if let Some(due) = crl(view).and_then(|crl| crl.next_update).filter(|due| due.saturating_sub(now) < CRL_EXPIRY)
        {
            warn(Kind::CrlExpiry, format!("its revocation list is due {}", rfc3339_seconds(due)));
        }
        if let Some(text) = clock_trouble(snapshot, view) {
            warn(Kind::NtpDrift, text);
        }
        if let Some(text) = parted_from_successor(snapshot, view) {
            warn(Kind::Successor, text);
        }
    }
}

/// What is wrong with this machine's own clock, as far as it is known to be this one: one server that differs from it may be
/// the one that is wrong.
fn clock_trouble(snapshot: &Snapshot, view: &EndpointView) -> Option<String> {
    let is_ours = view.diagnosis.as_ref().is_some_and(|diagnosis| diagnosis.finding.cause == Cause::LocalClock);
    if let Some(offset) = ntp_offset(view).filter(|_| is_ours) {
        let side = if offset > 0.0 { "behind" } else { "ahead of" };
        return Some(format!("this machine's clock is {:.3} s {side} this server's", offset.abs()));
    }
    let drifts = &snapshot.early.as_ref()?.drifts;
    let slope = *drifts.get(&view.endpoint.id).filter(|slope| slope.abs() >= drift::WORRYING)?;
    // The same way, and at half to twice the pace.
    let is_alike = |other: &&f64| (0.5..=2.0).contains(&(**other / slope));
    let witnesses = drifts.values().filter(is_alike).count();
    (witnesses >= WITNESSES && witnesses * 2 > drifts.len())
        .then(|| format!("this machine's clock runs away by {:.0} parts per million", slope * 1e6))
}

/// How a host that is being replaced and its successor differ: rules that know only one of them are old, or too new.
fn parted_from_successor(snapshot: &Snapshot, view: &EndpointView) -> Option<String> {
    let (successor, port) = (view.endpoint.about.successor.as_ref()?, view.endpoint.target.port);
    let is_successor = |other: &&EndpointView| {
        let target = &other.endpoint.target;
        target.port == port && matches!(&target.host, Host::Name(name) if name == successor)
    };
    let other = snapshot.endpoints.iter().map(|other| &**other).find(is_successor)?;
    match (works(view.status)?, works(other.status)?) {
        (true, false) => Some(format!("it works, and {successor}, which takes its place, does not: allow both")),
        (false, true) => Some(format!("it fails, and {successor}, which takes its place, works")),
        (true, true) | (false, false) => None,
    }
}

fn works(status: Status) -> Option<bool> {
    match status {
        Status::Healthy | Status::Degraded(_) => Some(true),
        Status::Failed(_) => Some(false),
        Status::Unknown(_) => None,
    }
}

fn of_names(snapshot: &Snapshot, warnings: &mut Vec<Warning>) {
    for view in snapshot.names.iter() {
        if let Some(comparison) = view.published.as_ref().filter(|comparison| comparison.worry != Worry::Fine) {
            let (subject, text) = (Some(view.name.to_string()), comparison.reason.clone());
            let (kind, class) = (Kind::DnsDivergence, Some(Class::Dns));
            warnings.push(Warning { kind, class, subject, text, part_of: None });
        }
    }
}

fn seconds(time: Duration) -> String {
    show(Duration::from_secs(time.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        early::EarlyView,
        model::diagnosis::{Diagnosis, Origin, Scope},
        sample,
    };
    use ase_probes::verdict::{Confidence, Finding, Phase};

    fn kinds(snapshot: &Snapshot) -> Vec<Kind> {
        of(snapshot).iter().map(|warning| warning.kind).collect()
    }

    #[test]
    fn the_sample_has_one_of_each_that_a_snapshot_alone_can_show() {
        let mut snapshot = sample::snapshot();
        snapshot.early = None;
        assert_eq!(kinds(&snapshot), [Kind::Addresses, Kind::DnsDivergence]);
        snapshot.at += Duration::from_secs(9_000_000);
        assert_eq!(kinds(&snapshot), [Kind::Addresses, Kind::CertificateExpiry, Kind::DnsDivergence]);
    }

    #[test]
    fn a_host_and_its_successor_that_differ_are_a_warning() {
        let mut snapshot = sample::snapshot();
        snapshot.early = None;
        let host = "crl.microsoft.com".to_owned();
        let (old, new) = (5, snapshot.endpoints.iter().position(|view| *view.endpoint.id.0 == *"crl.microsoft.com:80"));
        let new = new.expect("it is in the sample");
        let mut endpoint = (*snapshot.endpoints[old].endpoint).clone();
        (endpoint.about.successor, endpoint.target.port) = (Some(host), 80);
        std::sync::Arc::make_mut(&mut snapshot.endpoints[old]).endpoint = std::sync::Arc::new(endpoint);
        let lost = snapshot.endpoints[8].status;
        let mut told = |old_status, new_status| {
            std::sync::Arc::make_mut(&mut snapshot.endpoints[old]).status = old_status;
            std::sync::Arc::make_mut(&mut snapshot.endpoints[new]).status = new_status;
            of(&snapshot).into_iter().find(|warning| warning.kind == Kind::Successor).map(|warning| warning.text)
        };
        assert_eq!(told(Status::Healthy, Status::Healthy), None);
        assert_eq!(told(lost, lost), None, "then the fault is another");
        assert!(told(Status::Healthy, lost).is_some_and(|text| text.contains("allow both")));
        assert!(told(lost, Status::Healthy).is_some_and(|text| text.contains("takes its place, works")));
    }

    #[test]
    fn each_detector_has_its_warning() {
        let mut snapshot = sample::snapshot();
        let class = crate::early::ClassEarly {
            burn: [200.0, 50.0, 20.0, 3.0, 0.3],
            phi: Some(9.0),
            latency: Some(1.2),
            slowest: Some(snapshot.endpoints[0].endpoint.id.clone()),
            untested: Duration::from_secs(120),
        };
        let runs_away = |index: usize, slope: f64| (snapshot.endpoints[index].endpoint.id.clone(), slope);
        let drifts = [runs_away(3, -0.001), runs_away(2, -0.0011)].into();
        let drifts = std::sync::Arc::new(drifts);
        snapshot.early = Some(EarlyView { classes: [(Class::Dns, class)].into(), drifts });
        let found = kinds(&snapshot);
        let wanted =
            [Kind::BurnRate, Kind::SuccessGap, Kind::Latency, Kind::AgentBlind, Kind::Addresses, Kind::NtpDrift];
        for kind in wanted {
            assert!(found.contains(&kind), "{kind:?} is missing in {found:?}");
        }
        assert!(
            of(&snapshot)[0].text.starts_with("20.0 times the budget of lost time over 1h"),
            "{:?}",
            of(&snapshot)[0]
        );
    }

    #[test]
    fn what_an_open_incident_tells_as_well_is_no_early_word() {
        let mut snapshot = sample::snapshot();
        let hit = snapshot.incidents.open[0].endpoints[0].clone();
        let class =
            snapshot.endpoints.iter().find(|view| view.endpoint.id == hit).expect("it is watched").endpoint.class;
        let silent = crate::early::ClassEarly { phi: Some(74.3), ..crate::early::ClassEarly::default() };
        let classes = [(class, silent.clone()), (Class::Monitoring, silent)].into();
        snapshot.early = Some(EarlyView { classes, ..EarlyView::default() });
        let gaps = |snapshot: &Snapshot| -> Vec<(Option<Class>, Option<String>)> {
            let gaps = of(snapshot).into_iter().filter(|warning| warning.kind == Kind::SuccessGap);
            gaps.inspect(|gap| assert!(!gap.text.contains("phi"), "{gap:?}"))
                .map(|gap| (gap.class, gap.part_of.map(|incident| incident.to_string())))
                .collect()
        };
        let part = Some("part of incident 3 (dropped)".to_owned());
        assert_eq!(gaps(&snapshot), [(Some(class), part), (Some(Class::Monitoring), None)]);
        snapshot.incidents.open.clear();
        assert_eq!(gaps(&snapshot), [(Some(class), None), (Some(Class::Monitoring), None)]);
    }

    #[test]
    fn one_time_server_that_runs_away_or_is_wrong_says_nothing_about_this_machines_clock() {
        let mut snapshot = sample::snapshot();
        let ids: Vec<EndpointId> = snapshot.endpoints.iter().map(|view| view.endpoint.id.clone()).collect();
        let mut warned = |slopes: &[f64]| {
            let drifts = ids.iter().cloned().zip(slopes.iter().copied()).collect();
            snapshot.early = Some(EarlyView { drifts: std::sync::Arc::new(drifts), ..EarlyView::default() });
            kinds(&snapshot).into_iter().filter(|kind| *kind == Kind::NtpDrift).count()
        };
        assert_eq!(warned(&[0.001]), 0, "it alone");
        assert_eq!(warned(&[0.001, 0.0, 0.0]), 0, "two others keep time with us");
        assert_eq!(warned(&[0.001, -0.001]), 0, "each its own way");
        assert_eq!(warned(&[0.001, 0.001, 0.0, 0.0]), 0, "half of them");
        assert_eq!(warned(&[0.001, 0.0012, 0.0]), 2);
        let server = snapshot.endpoints.iter().position(|view| ntp_offset(view).is_some()).expect("a time server");
        let judged = |snapshot: &mut Snapshot, cause| {
            let diagnosis = Diagnosis {
                finding: Finding::new(cause, Phase::Ntp, Confidence::Confirmed),
                rule: "R33",
                origin: Origin::Inferred,
                scope: Scope::Endpoint,
                hint: None,
                contrasts: Vec::new(),
                alternatives: Vec::new(),
            };
            std::sync::Arc::make_mut(&mut snapshot.endpoints[server]).diagnosis = Some(std::sync::Arc::new(diagnosis));
            snapshot.early = None;
            kinds(snapshot).contains(&Kind::NtpDrift)
        };
        assert!(!judged(&mut snapshot, Cause::NtpWrongTime));
        assert!(judged(&mut snapshot, Cause::LocalClock));
    }
}
