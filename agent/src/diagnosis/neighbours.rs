//! What the cases are shown of the rest: every endpoint and every compared name, at one moment.

use std::{net::IpAddr, sync::Arc, time::Duration};

use ase_probes::cause::Cause;

use crate::{
    model::{
        catalog::Host,
        contrast::{Contrast, Contrasts},
        endpoint::EndpointView,
    },
    net::address::is_private,
    resolvers::{
        compare::{ComparisonClass, Outcome as Answered, Worry},
        names::{Comparisons, NameView},
    },
};

/// All endpoints and names at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Neighbours<'a> {
    /// Every endpoint, in the catalogue's order.
    pub views: &'a [Arc<EndpointView>],
    /// Every name that is compared.
    pub names: &'a Comparisons,
    /// The platform's own address, which no route and by default no NSG touches.
    pub platform: IpAddr,
    /// The wall clock, since the Unix epoch.
    pub now: Duration,
}

impl Neighbours<'_> {
    /// The cause behind a comparison in force that should worry somebody although the endpoint works.
    pub fn comparison_cause(&self, host: &Host) -> Option<Cause> {
        self.compared(host)?.published.as_ref().and_then(|comparison| comparison.cause())
    }

    /// What the last comparison of a host's name answers about an endpoint that its name led to these addresses; to none,
    /// where it did not resolve. A reference that does not answer says nothing, and a comparison of other answers says
    /// nothing about these.
    pub fn comparison(&self, host: &Host, led_to: &[IpAddr]) -> Contrasts {
        let Some(survey) = self.compared(host).and_then(|view| view.last.as_ref()) else { return Contrasts::default() };
        let azure = &survey.azure;
        if azure.outcome.is_failure() {
            return Contrasts::default();
        }
        let is_found = !azure.addresses.is_empty();
        let class = survey.comparison.class;
        let differs = survey.comparison.worry > Worry::Fine || survey.known.parted;
        let mut known: Contrasts = [
            (Contrast::AzureResolves, azure.outcome == Answered::Answer && is_found),
            (Contrast::AzureAnswersPrivate, is_found && azure.addresses.iter().all(|address| is_private(*address))),
            (Contrast::PrivateZoneGap, class == ComparisonClass::PrivateZoneGap),
        ]
        .into_iter()
        .collect();
        let compared = if differs { &survey.custom.addresses } else { &survey.custom.recent };
        if led_to.is_empty() || led_to.iter().any(|address| compared.contains(address)) {
            let is_raced = class == ComparisonClass::Intercepted && !survey.known.intercepted;
            known.learn(Contrast::AnswersRaced, is_raced);
            known.learn(Contrast::AnswersInvented, class == ComparisonClass::NxdomainRewrite);
            known.learn(Contrast::ResolversDisagree, differs && !survey.custom.addresses.is_empty() && is_found);
        }
        known
    }

    fn compared(&self, host: &Host) -> Option<&NameView> {
        match host {
            Host::Name(name) => self.names.find(name),
            Host::Address(_) => None,
        }
    }
}
