//! On which terms a caller has visits made: which addresses may be reached, from where, with which authorities, and what may
//! be spent.

use std::{net::IpAddr, sync::Arc};

use ase_probes::{egress::Egress, probe::Probe, tls::Trust};

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

    /// Whether an address may be asked that was reached in this way.
    pub fn allows(&self, address: IpAddr, by: Reached) -> bool {
        self.policy.allows(address, by)
    }
}

/// The policy of the settings; a port that the operator or the profile has asked over HTTP is one for redirects, too.
fn policy(settings: &Settings) -> AddressPolicy {
    let mut policy = settings.policy.clone();
    let endpoints = settings.catalog.endpoints.iter().map(|endpoint| &endpoint.target);
    let web = endpoints.filter(|target| matches!(target.probe, Probe::Http(_)));
    policy.redirect_ports.extend(web.map(|target| target.port));
    policy
}
