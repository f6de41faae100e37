//! Which class the answers of the custom DNS and Azure DNS make together: rules, first match wins. C is the custom DNS, Z
//! is Azure DNS.

use std::{collections::BTreeSet, net::IpAddr};

use super::{Answer, Comparison, ComparisonClass as Class, Equivalence, Worry, zone_to_forward};
use crate::net::address::{AddressKind, kind_of};

/// What a handshake for the name showed at addresses of both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsConfirmation {
    /// A certificate for the name verifies at an address of C.
    pub custom: bool,
    /// A certificate for the name verifies at an address of Z.
    pub azure: bool,
}

/// Who answers names that cannot exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Inventor {
    /// The custom DNS.
    Custom,
    /// Azure DNS.
    Azure,
    /// Somebody on the path, who is merely faster than an honest server.
    Path,
}

/// What is known beside the two answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// The canary says that something answers DNS in everybody's place.
    pub intercepted: bool,
    /// Who answers names that cannot exist with the same addresses, wherever they would lie.
    pub invents: Option<Inventor>,
    /// The operator expects this name to be private.
    pub expected_private: bool,
    /// The platform asks for this name itself, and Azure DNS alone: what only the custom DNS knows is lost to it.
    pub of_the_platform: bool,
    /// Apps that the custom DNS leaves without an answer get none of Azure DNS.
    pub no_fallback: bool,
    /// Suffixes whose addresses vary by design.
    pub managed: BTreeSet<String>,
    /// Addresses that the operator knows to be sinkholes.
    pub sinkholes: BTreeSet<IpAddr>,
    /// The origin that all addresses of both sides belong to, where the configuration names one.
    pub same_origin: Option<String>,
    /// Handshakes at both sides' addresses; `None` if not made, or if a transparent proxy answers for everybody.
    pub tls: Option<TlsConfirmation>,
    /// All addresses of C are ones that Z gave long ago and gives no more.
    pub stale: bool,
    /// C and Z shared an address in every round before, and share none now. It makes no class: where addresses vary by
    /// design they may part for good reasons, and only an endpoint that fails makes it a suspicion.
    pub parted: bool,
    /// C alone left what both gave in every round before, which never changed. Where no certificate can tell, that makes
    /// a difference a worry.
    pub astray: bool,
}

/// Says what two answers for `name` mean together.
pub fn classify(name: &str, custom: &Answer, azure: &Answer, known: &Circumstances) -> Comparison {
    let pair = Pair { name, custom, azure, known };
    let ladder: [Rule<'_>; 7] = [
        Pair::interception,
        Pair::failures,
        Pair::negatives,
        Pair::sinks_and_mixtures,
        Pair::common_addresses,
        Pair::private_against_public,
        Pair::disjoint,
    ];
    let comparison = ladder.iter().find_map(|rule| rule(&pair)).unwrap_or_else(|| pair.unverified());
    pair.for_whom_it_counts(comparison)
}

/// One step of the ladder: a comparison, or nothing to say.
type Rule<'a> = fn(&Pair<'a>) -> Option<Comparison>;

struct Pair<'a> {
    name: &'a str,
    custom: &'a Answer,
    azure: &'a Answer,
    known: &'a Circumstances,
}

fn says(class: Class, rule: u8, reason: impl Into<String>) -> Comparison {
    Comparison { class, worry: class.worry(), rule, equivalence: None, reason: reason.into() }
}

fn equivalent(why: Equivalence, rule: u8, reason: impl Into<String>) -> Comparison {
    Comparison { equivalence: Some(why), ..says(Class::Equivalent, rule, reason) }
}

impl Pair<'_> {
    /// Rule 0: each of them proves that somebody else answers. An answer that cannot be read does not.
    fn interception(&self) -> Option<Comparison> {
        let reason = if self.known.intercepted {
            "an address where no DNS server can be answers DNS"
        } else if self.custom.conflicting || self.azure.conflicting {
            "one question got two different answers"
        } else {
            match self.known.invents? {
                Inventor::Path => "somebody on the path answers for a name that cannot exist, and the server denies it",
                Inventor::Custom | Inventor::Azure => return None,
            }
        };
        Some(says(Class::Intercepted, 0, reason))
    }

    /// Rules 1 and 2.
    fn failures(&self) -> Option<Comparison> {
        let (c, z) = (self.custom, self.azure);
        let said = |answer: &Answer| answer.in_words();
        match (c.outcome.is_failure(), z.outcome.is_failure()) {
            (true, true) => {
                Some(says(Class::BothFailed, 1, format!("custom DNS: {}, Azure DNS: {}", said(c), said(z))))
            }
            (true, false) => Some(says(Class::CustomFailed, 2, format!("custom DNS: {}, Azure DNS answers", said(c)))),
            (false, true) => {
                Some(says(Class::AzureFailed, 2, format!("Azure DNS: {}, the custom DNS answers", said(z))))
            }
            (false, false) => None,
        }
    }

    /// Rules 3 to 9.
    fn negatives(&self) -> Option<Comparison> {
        let (c, z) = (self.custom.outcome, self.azure.outcome);
        match (c.is_negative(), z.is_negative()) {
            (true, true) => {
                let (c, z) = (self.custom.in_words(), self.azure.in_words());
                Some(says(Class::IdenticalNegative, 3, format!("custom DNS: {c}, Azure DNS: {z}")))
            }
            (false, true) => Some(self.invented(Inventor::Custom).unwrap_or_else(|| self.azure_denies())),
            (true, false) => Some(self.invented(Inventor::Azure).unwrap_or_else(|| self.custom_denies())),
            (false, false) => None,
        }
    }

    fn invented(&self, by: Inventor) -> Option<Comparison> {
        let server = match by {
            Inventor::Custom => "the custom DNS",
            Inventor::Azure => "Azure DNS",
            Inventor::Path => return None,
        };
        (self.known.invents == Some(by)).then(|| {
            says(Class::NxdomainRewrite, 4, format!("{server} gives the same addresses for names that cannot exist"))
        })
    }

    fn azure_denies(&self) -> Comparison {
        if self.all(self.custom, AddressKind::Private) {
            let worry = if self.known.expected_private { Worry::Fine } else { Worry::Warn };
            Comparison {
                worry,
                ..says(Class::PrivateOnly, 5, "only the custom DNS knows the name, with private addresses")
            }
        } else {
            says(
                Class::AzureNegative,
                9,
                "only the custom DNS knows the name; the platform, which asks Azure DNS, does not",
            )
        }
    }

    fn custom_denies(&self) -> Comparison {
        if self.all(self.azure, AddressKind::Private) {
            return says(
                Class::PrivateZoneMissing,
                6,
                "Azure DNS leads to a private endpoint, the custom DNS denies the name",
            );
        }
        if self.azure.names_privatelink() || self.custom.names_privatelink() {
            return says(Class::PrivateZoneGap, 7, "the custom DNS hosts the privatelink zone without this record");
        }
        let zone = self.custom.soa_zone.as_ref().map(|zone| format!("; it claims the zone {zone}")).unwrap_or_default();
        says(Class::CustomNegative, 8, format!("the custom DNS denies a public name: {}{zone}", self.custom.in_words()))
    }

    /// Rule 10, and mixed kinds in one answer.
    fn sinks_and_mixtures(&self) -> Option<Comparison> {
        if self.any(self.custom, AddressKind::Sink) && !self.any(self.azure, AddressKind::Sink) {
            return Some(says(Class::Sinkholed, 10, "the custom DNS leads into a sinkhole"));
        }
        let mixed = |answer: &Answer| self.any(answer, AddressKind::Private) && self.any(answer, AddressKind::Public);
        (mixed(self.custom) || mixed(self.azure)).then(|| {
            says(
                Class::DivergentUnverified,
                10,
                "mixed_private_public: one answer holds private and public addresses, so the path changes from connection to connection",
            )
        })
    }

    /// Rules 11 and 12. What the custom DNS gives now is compared with all that Azure DNS gives in turn: a union of both
    /// sides would hide a change of the one.
    fn common_addresses(&self) -> Option<Comparison> {
        let (c, z) = (&self.custom.addresses, &self.azure.recent);
        let same = *c == self.azure.addresses || self.custom.recent == *z && c.is_subset(z);
        if same && self.custom.chain == self.azure.chain {
            return Some(says(Class::Identical, 11, "the same addresses by the same names"));
        }
        (!c.is_disjoint(z)).then(|| equivalent(Equivalence::Overlap, 12, "the answers share an address"))
    }

    /// Rules 13 to 15.
    fn private_against_public(&self) -> Option<Comparison> {
        let private = |answer: &Answer| self.all(answer, AddressKind::Private);
        let public = |answer: &Answer| self.all(answer, AddressKind::Public);
        if private(self.custom) && public(self.azure) {
            let intended =
                self.custom.names_privatelink() || self.azure.names_privatelink() || self.known.expected_private;
            return Some(if intended { self.overridden() } else { self.unexpected() });
        }
        (public(self.custom) && private(self.azure)).then(|| {
            let zone = self.privatelink_zone().map(|zone| {
                format!(": forward the zone {} to 168.63.129.16, not {zone} alone", zone_to_forward(&zone))
            });
            says(
                Class::PrivateBypass,
                15,
                format!(
                    "Azure DNS leads to a private endpoint, the custom DNS to the public address{}",
                    zone.unwrap_or_default()
                ),
            )
        })
    }

    fn overridden(&self) -> Comparison {
        says(
            Class::PrivateOverride,
            13,
            "the custom DNS leads to a private endpoint, as a privatelink zone or the configuration intends",
        )
    }

    fn unexpected(&self) -> Comparison {
        let proved = self.known.tls.is_some_and(|tls| tls.custom);
        let (worry, detail) =
            if proved { (Worry::Warn, "; a certificate for the name verifies there") } else { (Worry::Bad, "") };
        let reason = format!("the custom DNS leads to a private address that nobody declared{detail}");
        Comparison { worry, ..says(Class::PrivateUnexpected, 14, reason) }
    }

    /// Rules 16 to 20.
    fn disjoint(&self) -> Option<Comparison> {
        if self.share_canonical_name() {
            return Some(equivalent(Equivalence::SameChain, 16, "both lead through the same canonical name"));
        }
        let refuted = self.known.tls.is_some_and(|tls| !tls.custom);
        if self.known.stale && refuted {
            return Some(self.stale());
        }
        if let Some(suffix) = self.managed_suffix() {
            return Some(equivalent(Equivalence::Managed, 17, format!("addresses under {suffix} vary by design")));
        }
        if let Some(origin) = &self.known.same_origin {
            return Some(equivalent(Equivalence::SameOrigin, 18, format!("both addresses belong to {origin}")));
        }
        match self.known.tls {
            Some(TlsConfirmation { custom: true, azure: true }) => {
                Some(equivalent(Equivalence::TlsConfirmed, 19, "a certificate for the name verifies at both addresses"))
            }
            Some(TlsConfirmation { custom: false, azure: true }) => Some(says(
                Class::Hijack,
                19,
                "a certificate for the name verifies at Azure DNS's address and not at the custom DNS's",
            )),
            Some(TlsConfirmation { custom: false, azure: false }) if self.known.astray => Some(self.astray(19)),
            Some(TlsConfirmation { azure: false, .. }) => {
                Some(says(Class::DivergentUnverified, 19, "the name is proved at neither side's addresses"))
            }
            None => self.known.stale.then(|| self.stale()),
        }
    }

    /// History beats rule 19: a released address fails its handshake like a hijacked one, but Azure DNS itself once gave
    /// it, and the cure is a flushed cache, not a corrected record. That apps are led astray shows in the worry.
    fn stale(&self) -> Comparison {
        let astray = self.known.tls == Some(TlsConfirmation { custom: false, azure: true });
        let (worry, detail) = if astray {
            (Worry::Bad, "; a certificate for the name verifies only at Azure DNS's address")
        } else {
            (Worry::Warn, "")
        };
        let reason = format!("the custom DNS gives addresses that Azure DNS gave long ago and gives no more{detail}");
        Comparison { worry, ..says(Class::Stale, 20, reason) }
    }

    /// Neither side's address can prove a name without TLS. Where one side alone has left what both gave, and the other
    /// still gives it, that side leads astray.
    fn astray(&self, rule: u8) -> Comparison {
        let reason =
            "the custom DNS left the address that both gave in every round before, and Azure DNS still gives it";
        Comparison { worry: Worry::Bad, ..says(Class::DivergentUnverified, rule, reason) }
    }

    /// Rule 21.
    fn unverified(&self) -> Comparison {
        if self.known.astray {
            return self.astray(21);
        }
        says(Class::DivergentUnverified, 21, "different addresses, and nothing proves that they are the same service")
    }

    /// What the same two answers mean to who asks but one of the servers.
    fn for_whom_it_counts(&self, found: Comparison) -> Comparison {
        const ASKS: &str = "the platform resolves this name by Azure DNS alone";
        let told = |worry: Worry, more: &str| {
            let reason = format!("{}; {more}", found.reason);
            Comparison { worry: worry.max(found.worry), reason, ..found.clone() }
        };
        match found.class {
            Class::PrivateOnly | Class::AzureNegative if self.known.of_the_platform => told(
                Worry::Bad,
                &format!(
                    "{ASKS} and does not find it: link its private zone to the virtual network, or name it publicly"
                ),
            ),
            Class::PrivateOverride | Class::PrivateUnexpected if self.known.of_the_platform => told(
                Worry::Warn,
                &format!(
                    "{ASKS} and goes past that address to the public one: link the private zone to the virtual network"
                ),
            ),
            Class::CustomFailed | Class::CustomNegative if self.known.no_fallback => {
                told(found.worry, "apps here do not fall back to Azure DNS")
            }
            _ => found,
        }
    }

    fn share_canonical_name(&self) -> bool {
        self.custom.chain.iter().any(|name| self.azure.chain.contains(name))
    }

    fn managed_suffix(&self) -> Option<&str> {
        let end = |answer: &'_ Answer| answer.chain.last().map_or(self.name, String::as_str).to_owned();
        let (c, z) = (end(self.custom), end(self.azure));
        self.known.managed.iter().map(String::as_str).find(|suffix| is_under(&c, suffix) && is_under(&z, suffix))
    }

    fn privatelink_zone(&self) -> Option<String> {
        self.azure.private_zone().or_else(|| self.custom.private_zone())
    }

    fn all(&self, answer: &Answer, kind: AddressKind) -> bool {
        !answer.addresses.is_empty() && answer.addresses.iter().all(|ip| kind_of(*ip, &self.known.sinkholes) == kind)
    }

    fn any(&self, answer: &Answer, kind: AddressKind) -> bool {
        answer.addresses.iter().any(|ip| kind_of(*ip, &self.known.sinkholes) == kind)
    }
}

/// Whether a name is the suffix or lies below it.
fn is_under(name: &str, suffix: &str) -> bool {
    name == suffix || name.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.'))
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
