//! The early warnings in force, from one snapshot: what the detectors found (with their thresholds in `early`), and from
//! which distance a certificate's or CRL's end and a clock's offset are one.

use std::time::Duration;

use ase_probes::{cause::Cause, class::Class};

use crate::early::{burn_rate, drift, phi};
use crate::{
    engine::snapshot::Snapshot,
    model::{
        catalog::EndpointId,
        endpoint::{EndpointView, addresses, crl, earliest_expiry, ntp_offset},
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
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::BurnRate,
        Self::SuccessGap,
        Self::Latency,
        Self::Addresses,
        Self::NtpDrift,
        Self::CertificateExpiry,
        Self::CrlExpiry,
        Self::DnsDivergence,
        Self::AgentBlind,
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
}

/// All warnings in force.
pub fn of(snapshot: &Snapshot) -> Vec<Warning> {
    let mut warnings = Vec::new();
    of_classes(snapshot, &mut warnings);
    of_endpoints(snapshot, &mut warnings);
    of_names(snapshot, &mut warnings);
    warnings
}

fn of_classes(snapshot: &Snapshot, warnings: &mut Vec<Warning>) {
    for (class, early) in snapshot.early.iter().flat_map(|early| &early.classes) {
        let mut warn = |kind, subject: Option<&EndpointId>, text| {
            let subject = subject.map(|id| id.0.to_string());
            warnings.push(Warning { kind, class: Some(*class), subject, text });
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
        if let Some(phi) = early.phi.filter(|phi| *phi >= phi::SUSPECT) {
            warn(Kind::SuccessGap, None, format!("no success for longer than ever before (phi {phi:.1})"));
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
            warnings.push(Warning { kind, class, subject, text });
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
                warn(Kind::CertificateExpiry, format!("{what} ends {}", rfc3339_seconds(end)));
            }
        }
        if let Some(due) = crl(view).and_then(|crl| crl.next_update).filter(|due| due.saturating_sub(now) < CRL_EXPIRY)
        {
            warn(Kind::CrlExpiry, format!("its revocation list is due {}", rfc3339_seconds(due)));
        }
        if let Some(text) = clock_trouble(snapshot, view) {
            warn(Kind::NtpDrift, text);
        }
    }
}

/// What is wrong with this machine's own clock, as far as it is known to be this one: one server that differs from it may be
/// the one that is wrong.
fn clock_trouble(snapshot: &Snapshot, view: &EndpointView) -> Option<String> {
    let is_ours = view.diagnosis.as_ref().is_some_and(|diagnosis| diagnosis.finding.cause == Cause::LocalClock);
    if let Some(offset) = ntp_offset(view).filter(|_| is_ours) {
        return Some(format!("this machine's clock is off by {offset:+.3} s"));
    }
    let drifts = &snapshot.early.as_ref()?.drifts;
    let slope = *drifts.get(&view.endpoint.id).filter(|slope| slope.abs() >= drift::WORRYING)?;
    // The same way, and at half to twice the pace.
    let is_alike = |other: &&f64| (0.5..=2.0).contains(&(**other / slope));
    let witnesses = drifts.values().filter(is_alike).count();
    (witnesses >= WITNESSES && witnesses * 2 > drifts.len())
        .then(|| format!("this machine's clock runs away by {:.0} parts per million", slope * 1e6))
}

fn of_names(snapshot: &Snapshot, warnings: &mut Vec<Warning>) {
    for view in snapshot.names.iter() {
        if let Some(comparison) = view.published.as_ref().filter(|comparison| comparison.worry != Worry::Fine) {
            let (subject, text) = (Some(view.name.to_string()), comparison.reason.clone());
            warnings.push(Warning { kind: Kind::DnsDivergence, class: Some(Class::Dns), subject, text });
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
