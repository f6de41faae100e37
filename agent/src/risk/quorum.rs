//! How much of a class is lost: how many of its endpoints it needs, and how many of those are known to be lost.

use std::collections::BTreeMap;

use ase_probes::{cause::Side, class::Class};

use crate::{
    model::{
        catalog::{Endpoint, Host, Severity},
        endpoint::Status,
        settings::Resolvers,
    },
    risk::{estimate::Loss, hysteresis::Counted},
};

/// An endpoint as its class's quorum sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its class.
    pub class: Class,
    /// Whether it is Azure DNS. The platform asks Azure DNS, apps ask the custom DNS: losing either is losing DNS.
    pub is_azure_dns: bool,
    /// How bad its loss is.
    pub severity: Severity,
    /// How it counts.
    pub counted: Counted,
}

impl Member {
    /// The member that an endpoint is.
    pub fn of(endpoint: &Endpoint, counted: Counted, resolvers: &Resolvers) -> Self {
        let is_azure_dns = endpoint.class == Class::Dns
            && endpoint.target.host == Host::Address(resolvers.azure.ip())
            && endpoint.target.port == resolvers.azure.port();
        Self { class: endpoint.class, is_azure_dns, severity: endpoint.severity, counted }
    }
}

impl From<Status> for Counted {
    /// How a confirmed status counts, without hysteresis. A fault of this machine is no loss.
    fn from(status: Status) -> Self {
        match status {
            Status::Healthy | Status::Degraded(_) => Self::Up,
            Status::Failed(finding) if finding.side == Side::Local => Self::Untested { was_down: false },
            Status::Failed(_) => Self::Down,
            Status::Unknown(_) => Self::Untested { was_down: false },
        }
    }
}

/// The lost share of every class that has members.
pub fn losses(members: impl IntoIterator<Item = Member>) -> BTreeMap<Class, Loss> {
    let mut groups: BTreeMap<(Class, bool), Vec<Member>> = BTreeMap::new();
    for member in members {
        groups.entry((member.class, member.is_azure_dns)).or_default().push(member);
    }
    let mut losses = BTreeMap::new();
    for ((class, _), group) in groups {
        let loss = loss_of(class, &group);
        losses.entry(class).and_modify(|earlier| *earlier = worse(*earlier, loss)).or_insert(loss);
    }
    losses
}

/// A known loss beats what is unknown; being well needs both to be known.
fn worse(one: Loss, other: Loss) -> Loss {
    match (one, other) {
        (Loss::Known(a), Loss::Known(b)) => Loss::Known(a.max(b)),
        (Loss::Known(known), Loss::Unknown) | (Loss::Unknown, Loss::Known(known)) if known > 0.0 => Loss::Known(known),
        (Loss::Known(_) | Loss::Unknown, Loss::Unknown) | (Loss::Unknown, Loss::Known(_)) => Loss::Unknown,
    }
}

/// Only the most severe members count: losing a profiler upload suspends nobody. Only what was seen to be lost is a
/// loss, so that nothing this machine prevents can raise it; and a class is well only if nothing that was lost when it
/// was last tested could still make it lost.
fn loss_of(class: Class, group: &[Member]) -> Loss {
    let worst = group.iter().map(|member| member.severity).max().unwrap_or(Severity::Info);
    let counted = || group.iter().filter(|member| member.severity == worst).map(|member| member.counted);
    let count = |test: fn(Counted) -> bool| counted().filter(|counted| test(*counted)).count();
    let (all, down) = (counted().count(), count(|counted| counted == Counted::Down));
    let was_down = count(|counted| counted == Counted::Untested { was_down: true });
    let up = count(|counted| counted == Counted::Up);
    let needed = needed(class, all);
    let lost = |down: usize| needed.saturating_sub(all - down);
    match lost(down) {
        0 if up + down == 0 || lost(down + was_down) > 0 => Loss::Unknown,
        lost => Loss::Known(lost as f64 / needed as f64),
    }
}

/// How many of `n` endpoints a class needs, at least one.
pub fn needed(class: Class, n: usize) -> usize {
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

    const UP: Counted = Counted::Up;
    const DOWN: Counted = Counted::Down;
    const UNTESTED: Counted = Counted::Untested { was_down: false };
    const WAS_DOWN: Counted = Counted::Untested { was_down: true };

    fn member(class: Class, counted: Counted) -> Member {
        Member { class, is_azure_dns: false, severity: Severity::Critical, counted }
    }

    fn loss(class: Class, counted: &[Counted]) -> Loss {
        losses(counted.iter().map(|counted| member(class, *counted)))[&class]
    }

    #[test]
    fn each_class_has_its_quorum() {
        let rows: &[(Class, &[Counted], Loss)] = &[
            (Class::Sql, &[UP, DOWN], Loss::Known(0.5)),
            (Class::Ntp, &[UP, DOWN], Loss::Known(0.0)),
            (Class::Ntp, &[DOWN, DOWN], Loss::Known(1.0)),
            (Class::Https, &[UP, UP, UP, UP, DOWN], Loss::Known(0.0)),
            (Class::Https, &[UP, UP, UP, DOWN, DOWN], Loss::Known(0.25)),
            (Class::Monitoring, &[UP, DOWN, DOWN], Loss::Known(0.0)),
            (Class::Sql, &[UNTESTED, UNTESTED], Loss::Unknown),
            (Class::Sql, &[UNTESTED, DOWN], Loss::Known(0.5)),
            (Class::Sql, &[UNTESTED, UP], Loss::Known(0.0)),
            (Class::Sql, &[WAS_DOWN, UP], Loss::Unknown),
            (Class::Ntp, &[WAS_DOWN, UP], Loss::Known(0.0)),
        ];
        for (class, counted, expected) in rows {
            assert_eq!(loss(*class, counted), *expected, "{class}: {counted:?}");
        }
    }

    #[test]
    fn what_this_machine_cannot_test_makes_no_loss_of_the_rest() {
        let mut counted = vec![UP; 10];
        counted[0] = DOWN;
        assert_eq!(loss(Class::Https, &counted), Loss::Known(0.0));
        counted[1..].fill(UNTESTED);
        assert_eq!(loss(Class::Https, &counted), Loss::Known(0.0));
    }

    #[test]
    fn lesser_endpoints_do_not_count_beside_critical_ones() {
        let lesser = Member { severity: Severity::Warning, ..member(Class::Sql, DOWN) };
        assert_eq!(losses([member(Class::Sql, UP), lesser])[&Class::Sql], Loss::Known(0.0));
        assert_eq!(losses([lesser])[&Class::Sql], Loss::Known(1.0));
    }

    #[test]
    fn losing_azure_dns_alone_is_losing_dns() {
        let azure = |counted| Member { is_azure_dns: true, ..member(Class::Dns, counted) };
        let dns = |custom, other| losses([member(Class::Dns, custom), azure(other)])[&Class::Dns];
        assert_eq!(dns(UP, DOWN), Loss::Known(1.0));
        assert_eq!(dns(DOWN, UNTESTED), Loss::Known(1.0));
        assert_eq!(dns(UP, UNTESTED), Loss::Unknown);
        assert_eq!(dns(UP, UP), Loss::Known(0.0));
    }
}
