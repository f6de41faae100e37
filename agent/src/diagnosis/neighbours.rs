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
        let custom = &survey.custom;
        let is_compared = |address: &IpAddr| match class {
            _ if differs => custom.addresses.contains(address),
            // What only the custom DNS gave, and gives no more, may have been what was wrong.
            ComparisonClass::Identical => custom.addresses.contains(address) || azure.recent.contains(address),
            _ => custom.recent.contains(address),
        };
        if led_to.is_empty() || led_to.iter().any(is_compared) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolvers::{
        compare::{Answer, Circumstances, classify},
        names::Cadence,
        survey::Survey,
    };

    const NAME: &str = "a.example";

    /// What both servers gave, when each was asked once.
    fn survey(custom: &str, azure: &str) -> Survey {
        let (custom, azure) = (Answer::with(&[], &[custom]), Answer::with(&[], &[azure]));
        let known = Circumstances::default();
        let comparison = classify(NAME, &custom, &azure, &known);
        let (server, azure_server) = (([10, 0, 0, 4], 53).into(), ([168, 63, 129, 16], 53).into());
        Survey {
            name: NAME.to_owned(),
            server,
            azure_server,
            custom,
            azure,
            known,
            comparison,
            annotations: Vec::new(),
        }
    }

    #[test]
    fn that_the_servers_agree_again_says_nothing_of_an_address_that_one_of_them_gave_before() {
        let start = ase_probes::clock::now();
        let mut names = Comparisons::new([NAME.to_owned()], Cadence::Every(Duration::from_secs(300)), start);
        for (second, custom) in [(0, "20.0.0.1"), (300, "20.9.9.9"), (600, "20.0.0.1")] {
            let now = start + Duration::from_secs(second);
            assert_eq!(names.take_due(now).len(), 1);
            names.take_in(0, survey(custom, "20.0.0.1"), Duration::from_secs(second), now);
        }
        let platform = [168, 63, 129, 16].into();
        let around = Neighbours { views: &[], names: &names, platform, now: Duration::from_secs(601) };
        let disagree = |led_to: &str| {
            let led_to = [led_to.parse().expect("an address")];
            around.comparison(&Host::Name(NAME.into()), &led_to).get(Contrast::ResolversDisagree)
        };
        assert_eq!((disagree("20.0.0.1"), disagree("20.9.9.9")), (Some(false), None));
    }
}
