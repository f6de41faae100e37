//! Custom DNS against Azure DNS: the classes that two answers can make together, their advice and how much they worry.
//! Pure: answers in, comparison out.
//!
//! The custom DNS decides what apps see, Azure DNS what the platform sees. Addresses that rotate, content networks and
//! private endpoints differ lawfully; a missing privatelink forwarder, a shadowed zone or a sinkhole does not.

use ase_probes::cause::Cause;

mod annotation;
mod answer;
mod history;
mod rules;

pub use annotation::{Annotation, annotate};
pub use answer::{Answer, DnsOutcome, zone_to_forward};
pub use history::{History, Published};
pub use rules::{Circumstances, Inventor, TlsConfirmation, classify};

/// How a comparison should worry its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Worry {
    /// Nothing to do.
    Fine,
    /// Worth a look.
    Warn,
    /// Apps are led astray or not led at all.
    Bad,
}

/// Which server a one-sided finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Server {
    /// The custom DNS.
    Custom,
    /// Azure DNS, 168.63.129.16.
    Azure,
}

/// Why two different answers lead to the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Equivalence {
    /// They share an address.
    Overlap,
    /// They share a canonical name.
    SameChain,
    /// Both end under a suffix whose addresses vary by design.
    Managed,
    /// Both addresses belong to one origin.
    SameOrigin,
    /// A certificate for the name verifies at both.
    TlsConfirmed,
}

macro_rules! classes {
    ($($(#[$doc:meta])+ $variant:ident $label:literal $worry:ident;)+) => {
        /// What the two answers mean together. The set is closed; the labels are those of `ase_dns_comparison`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ComparisonClass { $($(#[$doc])+ $variant,)+ }

        impl ComparisonClass {
            /// Every class.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Returns the metric label.
            pub fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }

            /// Returns how worrying the class is unless the comparison says otherwise.
            pub fn worry(self) -> Worry {
                match self { $(Self::$variant => Worry::$worry,)+ }
            }
        }
    };
}

classes! {
    /// The same addresses by the same names.
    Identical "identical" Fine;
    /// Different addresses of the same service.
    Equivalent "equivalent" Fine;
    /// Both say that the name has no address.
    IdenticalNegative "identical_negative" Fine;
    /// The custom DNS leads to a private endpoint, as intended.
    PrivateOverride "private_override" Fine;
    /// Only the custom DNS knows the name, with private addresses.
    PrivateOnly "private_only" Warn;
    /// Only the custom DNS knows the name, with public addresses.
    AzureNegative "azure_negative" Warn;
    /// Azure DNS does not answer: the reference is missing.
    AzureFailed "azure_failed" Warn;
    /// The custom DNS still gives an address that Azure DNS gave long ago.
    Stale "stale" Warn;
    /// Different addresses, and nothing proves that they are the same service.
    DivergentUnverified "divergent_unverified" Warn;
    /// Neither server answers.
    BothFailed "both_failed" Bad;
    /// The custom DNS does not answer.
    CustomFailed "custom_failed" Bad;
    /// The custom DNS denies a public name.
    CustomNegative "custom_negative" Bad;
    /// The custom DNS hosts the privatelink zone without this record.
    PrivateZoneGap "private_zone_gap" Bad;
    /// The custom DNS denies a name that has a private endpoint.
    PrivateZoneMissing "private_zone_missing" Bad;
    /// The custom DNS leads to the public address although a private endpoint exists.
    PrivateBypass "private_bypass" Bad;
    /// The custom DNS leads to a private address that nobody declared.
    PrivateUnexpected "private_unexpected" Bad;
    /// A server invents answers for names that do not exist.
    NxdomainRewrite "nxdomain_rewrite" Bad;
    /// The custom DNS leads into a sinkhole.
    Sinkholed "sinkholed" Bad;
    /// The custom DNS leads to a server that cannot prove the name.
    Hijack "hijack" Bad;
    /// Something on the path answers in a server's place.
    Intercepted "intercepted" Bad;
}

impl ComparisonClass {
    /// What to do about it, one sentence; `None` where there is nothing to do.
    pub fn advice(self) -> Option<&'static str> {
        match self {
            Self::Identical | Self::Equivalent | Self::IdenticalNegative | Self::PrivateOverride => None,
            Self::PrivateOnly | Self::PrivateUnexpected => Some(
                "if this private address is intended, declare the name or its suffix under `dns.private`; else remove the record",
            ),
            Self::AzureNegative => Some("the platform cannot resolve this name; check that only apps need it"),
            Self::AzureFailed => Some("check for an NSG rule that denies the tag AzurePlatformDNS"),
            Self::Stale => Some("flush the custom DNS's cache and remove its TTL override or serve-expired setting"),
            Self::DivergentUnverified => Some("compare both addresses with the owner of the name"),
            Self::BothFailed => {
                Some("check port 53 and the tag AzurePlatformDNS; until one side answers nothing can be compared")
            }
            Self::CustomFailed => {
                Some("check the custom DNS and its forwarders; forward what it does not host to 168.63.129.16")
            }
            Self::CustomNegative => {
                Some("remove the zone that shadows the public name, or forward it to 168.63.129.16")
            }
            Self::PrivateZoneGap => {
                Some("add the record to the privatelink zone, or forward the zone to 168.63.129.16")
            }
            Self::PrivateZoneMissing | Self::PrivateBypass => Some(
                "forward the service's public zone to 168.63.129.16, not the privatelink zone alone; a Windows forwarder needs a time-out above 4 s",
            ),
            Self::NxdomainRewrite => Some("switch off the search page or NXDOMAIN rewriting on that server"),
            Self::Sinkholed => Some("ask the owner of the custom DNS why this name is on a block list"),
            Self::Hijack => Some("correct the record on the custom DNS"),
            Self::Intercepted => {
                Some("find the device that redirects port 53; other comparisons mean nothing until then")
            }
        }
    }

    /// The cause of an incident that the class alone makes, whether the endpoint behind the name works or not.
    pub fn cause(self) -> Option<Cause> {
        match self {
            Self::Stale
            | Self::PrivateZoneMissing
            | Self::PrivateBypass
            | Self::PrivateUnexpected
            | Self::Sinkholed
            | Self::Hijack => Some(Cause::DnsDivergent),
            Self::NxdomainRewrite | Self::Intercepted => Some(Cause::DnsIntercepted),
            Self::Identical
            | Self::Equivalent
            | Self::IdenticalNegative
            | Self::PrivateOverride
            | Self::PrivateOnly
            | Self::AzureNegative
            | Self::AzureFailed
            | Self::DivergentUnverified
            | Self::BothFailed
            | Self::CustomFailed
            | Self::CustomNegative
            | Self::PrivateZoneGap => None,
        }
    }

    /// Whether contrast measurements could change the class: nonce names for one-sided answers.
    pub(crate) fn may_be_invented(self) -> bool {
        matches!(self, Self::PrivateOnly | Self::AzureNegative | Self::CustomNegative)
    }

    /// Whether contrast measurements could change the class: the canary and handshakes for disjoint answers.
    pub(crate) fn may_be_confirmed(self) -> bool {
        matches!(self, Self::PrivateUnexpected | Self::DivergentUnverified | Self::Stale)
    }
}

/// The meaning of one pair of answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The class.
    pub class: ComparisonClass,
    /// How worrying it is here.
    pub worry: Worry,
    /// The number of the rule that decided, 0 to 21.
    pub rule: u8,
    /// Why two different answers are the same, where they are.
    pub equivalence: Option<Equivalence>,
    /// Why, in plain words.
    pub reason: String,
}

impl Comparison {
    /// The cause of an incident that it makes: that of its class, and of a difference that nothing verifies where the custom
    /// DNS alone has left what both gave.
    pub fn cause(&self) -> Option<Cause> {
        let is_astray = self.class == ComparisonClass::DivergentUnverified && self.worry == Worry::Bad;
        self.class.cause().or(is_astray.then_some(Cause::DnsDivergent))
    }
}
