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
        compare::{ComparisonClass, DnsOutcome},
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

    /// Both servers' answers in the last comparison of a host's name, in plain words, where they differ.
    pub fn answers(&self, host: &Host) -> Option<String> {
        self.compared(host)?.last.as_ref().filter(|survey| survey.differs()).map(|survey| survey.said())
    }

    /// What the last comparison of a host's name answers about an endpoint that its name led to these addresses; to none,
    /// where it did not resolve. A reference that does not answer says nothing, and a comparison of other answers says
    /// nothing about these.
    pub fn comparison(&self, host: &Host, led_to: &[IpAddr]) -> Contrasts {
        let Some(view) = self.compared(host) else { return Contrasts::default() };
        let Some(survey) = &view.last else { return Contrasts::default() };
        let azure = &survey.azure;
        if azure.outcome.is_failure() {
            return Contrasts::default();
        }
        let is_found = !azure.addresses.is_empty();
        let class = survey.comparison.class;
        let differs = survey.differs();
        let mut known: Contrasts = [
            (Contrast::AzureResolves, azure.outcome == DnsOutcome::Answer && is_found),
            (Contrast::AzureAnswersPrivate, is_found && azure.addresses.iter().all(|address| is_private(*address))),
            (Contrast::PrivateZoneGap, class == ComparisonClass::PrivateZoneGap),
        ]
        .into_iter()
        .collect();
        let custom = &survey.custom;
        let is_compared = |address: &IpAddr| match differs {
            true => custom.addresses.contains(address),
            // What the custom DNS gave while something was wrong, and gives no more, may have been just that.
            false => custom.recent.contains(address) && !view.suspect.contains(address),
        };
        if led_to.is_empty() || led_to.iter().any(is_compared) {
            let is_raced = class == ComparisonClass::Intercepted && !survey.known.intercepted;
            known.learn(Contrast::AnswersRaced, is_raced);
            known.learn(Contrast::AnswersInvented, class == ComparisonClass::NxdomainRewrite);
            let is_apart = differs && !survey.custom.addresses.is_empty() && is_found;
            known.learn(Contrast::ResolversDisagree, is_apart);
            // Where addresses differ from place to place by design, a mere difference tells nothing.
            let is_astray = survey.comparison.cause() == Some(Cause::DnsDivergent) || survey.known.parted;
            known.learn(Contrast::LedAstray, is_apart && is_astray);
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
    use crate::{
        resolvers::{
            compare::{Answer, Circumstances},
            names::Cadence,
        },
        sample::outlook::survey,
    };

    const NAME: &str = "a.example";

    /// What a contrast answers about an endpoint that the name led to an address, after these rounds: the answer of the
    /// custom DNS and of Azure DNS.
    fn answer(contrast: Contrast, chain: &[&str], rounds: &[(&str, &str)], led_to: &str) -> Option<bool> {
        let start = ase_probes::clock::now();
        let mut names = Comparisons::new([NAME.to_owned()], Cadence::Every(Duration::from_secs(300)), start);
        for (round, (custom, azure)) in (0u32..).zip(rounds) {
            let since = Duration::from_secs(300) * round;
            assert_eq!(names.take_due(start + since).len(), 1);
            let answers = (Answer::with(chain, &[custom]), Answer::with(chain, &[azure]));
            names.take_in(0, survey(NAME, answers, Circumstances::default()), since, start + since);
        }
        let around = Neighbours {
            views: &[],
            names: &names,
            platform: [168, 63, 129, 16].into(),
            now: Duration::from_secs(601),
        };
        around.comparison(&Host::Name(NAME.into()), &[led_to.parse().expect("an address")]).get(contrast)
    }

    #[test]
    fn that_the_servers_agree_again_says_nothing_of_an_address_that_one_of_them_gave_before() {
        let hijack = [("20.0.0.1", "20.0.0.1"), ("20.9.9.9", "20.0.0.1"), ("20.0.0.1", "20.0.0.1")];
        let disagree = |led_to| answer(Contrast::ResolversDisagree, &[], &hijack, led_to);
        assert_eq!((disagree("20.0.0.1"), disagree("20.9.9.9")), (Some(false), None));
        // The same where the sides give different addresses of one service, which they do by an alias; and where they part
        // without a class of its own.
        let equivalent = [("20.0.0.1", "20.0.0.2"), ("20.0.0.3", "20.0.0.2"), ("20.0.0.1", "20.0.0.2")];
        let disagree = |led_to| answer(Contrast::ResolversDisagree, &["cdn.example"], &equivalent, led_to);
        assert_eq!((disagree("20.0.0.1"), disagree("20.0.0.3")), (Some(false), Some(false)), "nothing was wrong");
        let parted =
            [("20.0.0.1", "20.0.0.1"), ("20.0.0.1", "20.0.0.1"), ("20.9.9.9", "20.0.0.1"), ("20.0.0.1", "20.0.0.1")];
        let disagree = |led_to| answer(Contrast::ResolversDisagree, &["cdn.example"], &parted, led_to);
        assert_eq!((disagree("20.0.0.1"), disagree("20.9.9.9")), (Some(false), None));
    }

    #[test]
    fn a_mere_difference_is_no_sign_that_the_custom_dns_leads_astray_and_a_parting_is() {
        let geo = [("20.0.0.1", "20.9.9.9"); 3];
        let of = |rounds: &[(&str, &str)]| {
            [Contrast::ResolversDisagree, Contrast::LedAstray]
                .map(|one| answer(one, &[], rounds, rounds[rounds.len() - 1].0))
        };
        assert_eq!(of(&geo), [Some(true), Some(false)]);
        let parted = [("20.0.0.1", "20.0.0.1"), ("20.0.0.1", "20.0.0.1"), ("20.9.9.9", "20.0.0.1")];
        assert_eq!(of(&parted), [Some(true), Some(true)]);
    }
}
