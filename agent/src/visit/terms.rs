//! On which terms a caller has visits made: which addresses may be reached, from where, with which authorities, and what may
//! be spent.

use std::{net::IpAddr, sync::Arc};

use ase_probes::{egress::Egress, local_facts, probe::Probe, tls::Trust};

use crate::{
    model::settings::Settings,
    net::policy::{AddressPolicy, Reached},
    visit::{flow_budget::SharedFlows, rests::SharedRests},
};

/// On which terms visits are made.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Which addresses may be reached.
    pub policy: AddressPolicy,
    /// Source address and interface.
    pub egress: Egress,
    /// The authorities that certificates are verified against.
    pub trust: Trust,
    /// New flows that may still be opened; callers share it.
    pub flows: Arc<SharedFlows>,
    /// The public time servers that may not be asked yet; callers share it.
    pub rests: Arc<SharedRests>,
}

impl Terms {
    /// The operator's terms, as the settings say.
    pub fn of(settings: &Settings) -> Self {
        Self {
            policy: policy(settings),
            egress: settings.egress.clone(),
            trust: settings.trust.clone(),
            flows: Arc::new(SharedFlows::new(settings.pace.flows_per_destination)),
            rests: Arc::default(),
        }
    }

    /// The addresses of a name in the order in which they are asked: as resolved, but for a family to which this machine has
    /// no route, which comes after the other one. That is said.
    pub fn order(&self, addresses: &[IpAddr], remarks: &mut Vec<String>) -> Vec<IpAddr> {
        let mut ordered = addresses.to_vec();
        if let Some(without) = without_route(&ordered, |address| local_facts::has_route(address, &self.egress)) {
            let family = if without.is_ipv4() { "IPv6" } else { "IPv4" };
            remarks
                .push(format!("this machine has no route to {without}: the name's addresses of {family} come first"));
            ordered.sort_by_key(|address| address.is_ipv4() == without.is_ipv4());
        }
        ordered
    }

    /// Whether an address may be asked that was reached in this way.
    pub fn allows(&self, address: IpAddr, by: Reached) -> bool {
        self.policy.allows(address, by)
    }
}

/// The first address, where this machine has no route to it but one to the first of the other family. Names of one family, and
/// those whose first address has a route, are not looked at further.
fn without_route(addresses: &[IpAddr], has_route: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let first = *addresses.first()?;
    let other = *addresses.iter().find(|address| address.is_ipv4() != first.is_ipv4())?;
    (!has_route(first) && has_route(other)).then_some(first)
}

/// The policy of the settings; a port that the operator or the profile has asked over HTTP is one for redirects, too.
fn policy(settings: &Settings) -> AddressPolicy {
    let mut policy = settings.policy.clone();
    let endpoints = settings.catalog.endpoints.iter().map(|endpoint| &endpoint.target);
    let web = endpoints.filter(|target| matches!(target.probe, Probe::Http(_)));
    policy.redirect_ports.extend(web.map(|target| target.port));
    policy
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|text| text.parse().expect("a literal")).collect()
    }

    #[test]
    fn only_a_family_without_a_route_gives_way_and_only_to_one_that_has_one() {
        let (both, v4) = (addresses(&["20.0.0.1", "20.0.0.2", "2a01::1"]), addresses(&["20.0.0.1", "20.0.0.2"]));
        let (to_v4, to_v6) = (|address: IpAddr| address.is_ipv4(), |address: IpAddr| address.is_ipv6());
        assert_eq!(without_route(&both, to_v6), Some(both[0]));
        assert_eq!(without_route(&both, to_v4), None, "the first is asked as ever");
        assert_eq!((without_route(&both, |_| true), without_route(&both, |_| false)), (None, None));
        assert_eq!((without_route(&v4, to_v6), without_route(&[], to_v6)), (None, None), "there is no other");
    }
}
