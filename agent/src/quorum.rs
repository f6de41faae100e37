//! How much of a class is lost: how many of its endpoints it needs, and how many of those it has.

use std::collections::BTreeMap;

use ase_probes::class::Class;

use crate::{
    catalog::{Host, Severity},
    risk::Loss,
    settings::Resolvers,
    snapshot::{EndpointView, Status},
};

/// The lost share of every class that has endpoints.
pub fn losses<'a>(views: impl IntoIterator<Item = &'a EndpointView>, resolvers: &Resolvers) -> BTreeMap<Class, Loss> {
    let mut groups: BTreeMap<(Class, bool), Vec<&EndpointView>> = BTreeMap::new();
    for view in views {
        groups.entry((view.endpoint.class, is_azure_dns(view, resolvers))).or_default().push(view);
    }
    let mut losses = BTreeMap::new();
    for ((class, _), group) in groups {
        let loss = loss_of(class, &group);
        losses.entry(class).and_modify(|earlier| *earlier = worse(*earlier, loss)).or_insert(loss);
    }
    losses
}

/// The platform asks Azure DNS, apps ask the custom DNS: losing either is losing DNS.
fn is_azure_dns(view: &EndpointView, resolvers: &Resolvers) -> bool {
    let endpoint = &view.endpoint;
    endpoint.class == Class::Dns
        && endpoint.host == Host::Address(resolvers.azure.ip())
        && endpoint.port == resolvers.azure.port()
}

fn worse(one: Loss, other: Loss) -> Loss {
    match (one, other) {
        (Loss::Known(a), Loss::Known(b)) => Loss::Known(a.max(b)),
        (Loss::Known(known), Loss::Unknown) | (Loss::Unknown, Loss::Known(known)) => Loss::Known(known),
        (Loss::Unknown, Loss::Unknown) => Loss::Unknown,
    }
}

/// Only the most severe endpoints count: losing a profiler upload suspends nobody. What could not be tested is neither
/// good nor bad and is left out.
fn loss_of(class: Class, group: &[&EndpointView]) -> Loss {
    let worst = group.iter().map(|view| view.endpoint.severity).max().unwrap_or(Severity::Info);
    let counted: Vec<&EndpointView> = group.iter().copied().filter(|view| view.endpoint.severity == worst).collect();
    let known = || counted.iter().filter(|view| !matches!(view.status, Status::Unknown(_)));
    let up = known().filter(|view| !matches!(view.status, Status::Failed(_))).count();
    match known().count() {
        0 => Loss::Unknown,
        known => {
            let needed = needed(class, known);
            Loss::Known(needed.saturating_sub(up) as f64 / needed as f64)
        }
    }
}

/// How many of `n` endpoints a class needs, at least one.
fn needed(class: Class, n: usize) -> usize {
    let share = match class {
        Class::Dns | Class::Monitoring => return 1,
        Class::Ntp | Class::Http => n.div_ceil(2),
        Class::Https => (n * 4).div_ceil(5),
        Class::Sql | Class::Tcp => n,
    };
    share.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use ase_probes::{
        cause::Cause,
        verdict::{Confidence, Finding, Phase},
    };

    fn with(class: Class, statuses: &[Status]) -> Vec<EndpointView> {
        let snapshot = sample::snapshot();
        let model =
            snapshot.endpoints.iter().find(|view| view.endpoint.class == class).expect("the sample has all classes");
        let copy = |status: &Status| {
            let mut view = EndpointView::clone(model);
            let mut endpoint = (*view.endpoint).clone();
            endpoint.severity = Severity::Critical;
            view.endpoint = endpoint.into();
            view.status = *status;
            view
        };
        statuses.iter().map(copy).collect()
    }

    fn loss(class: Class, statuses: &[Status]) -> Loss {
        losses(&with(class, statuses), &sample::snapshot().resolvers)[&class]
    }

    const UP: Status = Status::Healthy;
    const UNTESTED: Status = Status::Unknown(crate::visit::Untested::NotYet);

    fn down() -> Status {
        Status::Failed(Finding::new(Cause::Dropped, Phase::Connect, Confidence::Possible))
    }

    #[test]
    fn each_class_has_its_quorum() {
        let rows: &[(Class, &[Status], Loss)] = &[
            (Class::Sql, &[UP, down()], Loss::Known(0.5)),
            (Class::Ntp, &[UP, down()], Loss::Known(0.0)),
            (Class::Ntp, &[down(), down()], Loss::Known(1.0)),
            (Class::Https, &[UP, UP, UP, UP, down()], Loss::Known(0.0)),
            (Class::Https, &[UP, UP, UP, down(), down()], Loss::Known(0.25)),
            (Class::Monitoring, &[UP, down(), down()], Loss::Known(0.0)),
            (Class::Sql, &[UNTESTED, UNTESTED], Loss::Unknown),
            (Class::Sql, &[UNTESTED, down()], Loss::Known(1.0)),
        ];
        for (class, statuses, expected) in rows {
            assert_eq!(loss(*class, statuses), *expected, "{class}: {statuses:?}");
        }
    }

    #[test]
    fn lesser_endpoints_do_not_count_beside_critical_ones() {
        let mut views = with(Class::Sql, &[UP, down()]);
        let mut lesser = (*views[1].endpoint).clone();
        lesser.severity = Severity::Warning;
        views[1].endpoint = lesser.into();
        assert_eq!(losses(&views, &sample::snapshot().resolvers)[&Class::Sql], Loss::Known(0.0));
    }

    #[test]
    fn losing_azure_dns_alone_is_losing_dns() {
        let resolvers = sample::snapshot().resolvers;
        let mut views = with(Class::Dns, &[UP, down()]);
        let mut azure = (*views[1].endpoint).clone();
        azure.host = Host::Address(resolvers.azure.ip());
        azure.port = resolvers.azure.port();
        views[1].endpoint = azure.into();
        let mut custom = (*views[0].endpoint).clone();
        custom.host = Host::Address(std::net::IpAddr::from([10, 99, 0, 1]));
        views[0].endpoint = custom.into();
        assert_eq!(losses(&views, &resolvers)[&Class::Dns], Loss::Known(1.0));
    }
}
