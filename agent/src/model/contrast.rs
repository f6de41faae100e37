//! Contrasts: questions whose answer tells possible causes apart. Some are answered by what neighbouring endpoints show
//! anyway, others by a follow-up measurement.

/// How a contrast is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ask {
    /// By what other endpoints show: their visits are brought forward.
    Neighbours,
    /// By a TCP connection to 192.0.2.1 on the endpoint's port (D3).
    TcpCanary,
    /// By a datagram to 192.0.2.1 on the endpoint's port (D4).
    UdpCanary,
    /// By a DNS question to 192.0.2.1 (D4), whatever the endpoint's port.
    DnsCanary,
    /// By asking the platform's own address (D13).
    Control,
    /// By the same question in small segments (D7).
    SmallSegments,
    /// By a DNS question that needs no large answer (D8).
    SmallDatagram,
    /// By another server name at the same address (D9).
    OtherName,
    /// By a hello with the same name and more versions and cipher suites of TLS (D9).
    OldTls,
    /// By the same DNS question over TCP (D10).
    DnsOverTcp,
    /// By several source ports (D11).
    SourcePorts,
    /// By the flow that was held open since before the fault (D12).
    HeldFlow,
    /// By a socket that hears answers from other addresses (D14).
    AnySource,
    /// By what this machine says about itself (D20, D21).
    ThisMachine,
    /// By a host name that nobody has, at the same address (D22).
    BogusHost,
    /// By a connection whose packets die after a few hops (D5).
    FewHops,
    /// By the comparison of both resolvers.
    Comparison,
    /// By a sample of the SQL redirect ports.
    RedirectPorts,
    /// By the visits of the last minutes.
    Memory,
}

impl Ask {
    /// Whether it is asked of the peer that failed, so that the answer is about that one and tells of others by likeness only.
    pub fn is_of_the_peer(self) -> bool {
        match self {
            Self::SmallSegments
            | Self::SmallDatagram
            | Self::OtherName
            | Self::OldTls
            | Self::DnsOverTcp
            | Self::SourcePorts
            | Self::AnySource
            | Self::BogusHost
            | Self::FewHops
            | Self::RedirectPorts => true,
            Self::Neighbours
            | Self::TcpCanary
            | Self::UdpCanary
            | Self::DnsCanary
            | Self::Control
            | Self::HeldFlow
            | Self::ThisMachine
            | Self::Comparison
            | Self::Memory => false,
        }
    }
}

macro_rules! contrasts {
    ($($variant:ident $ask:ident $yes:literal $no:literal;)+) => {
        /// A question whose answer tells causes apart.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Contrast { $(#[doc = $yes] $variant,)+ }

        impl Contrast {
            /// Every contrast.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// How it is answered.
            pub const fn ask(self) -> Ask {
                match self { $(Self::$variant => Ask::$ask,)+ }
            }

            /// Says the answer in plain words.
            pub fn words(self, answer: bool) -> &'static str {
                match (self, answer) { $((Self::$variant, true) => $yes, (Self::$variant, false) => $no,)+ }
            }
        }
    };
}

contrasts! {
    CanaryAccepts TcpCanary
        "the control 192.0.2.1, where nobody can be (RFC 5737), accepts connections on this port: something on the path answers for others"
        "the control 192.0.2.1, where nobody can be (RFC 5737), does not accept connections on this port: no proxy on the path does for others";
    CanaryRefuses TcpCanary
        "the control 192.0.2.1, where nobody can be (RFC 5737), refuses connections on this port: a box on the path rejects for others"
        "the control 192.0.2.1, where nobody can be (RFC 5737), does not refuse connections on this port, as it should be";
    UdpCanaryAnswers UdpCanary
        "the control 192.0.2.1, where nobody can be (RFC 5737), answers on this port: something on the path answers for others"
        "the control 192.0.2.1, where nobody can be (RFC 5737), does not answer on this port, as it should be";
    DnsCanaryAnswers DnsCanary
        "the control 192.0.2.1, where nobody can be (RFC 5737), answers DNS questions: something on the path resolves names for others"
        "the control 192.0.2.1, where nobody can be (RFC 5737), does not answer DNS questions, as it should be";
    ControlAnswers Control
        "the platform's own address answers: network card, host and resolver stub are fine"
        "the platform's own address does not answer either";
    SamePortWorks Neighbours
        "other hosts work on the same port"
        "no other host works on the same port";
    OtherPortsWork Neighbours
        "other ports work on other hosts outside this network"
        "no other port works on other hosts outside this network either";
    AnythingWorks Neighbours
        "something else works"
        "nothing works at all";
    SameHostWorks Neighbours
        "the same host works on another port"
        "the same host does not work on its other ports either";
    HostHttpBlocked Neighbours
        "port 80 of the same host shows the block page of a firewall at the same time"
        "port 80 of the same host shows no block page, or is not watched";
    PlainHttpBlocked Neighbours
        "port 80 shows the block page of a firewall at the same time"
        "port 80 shows no block page";
    SmallSegmentsPass SmallSegments
        "the same question passes in segments of 536 bytes"
        "the same question fails in segments of 536 bytes too";
    FullSegmentsArrived Memory
        "full segments arrived before the silence: large packets pass"
        "no full segment arrived";
    AnswerBegan Memory
        "the peer's answer had begun to come before time ran out: nobody keeps the question from it"
        "nothing of an answer came";
    SmallDatagramPasses SmallDatagram
        "without EDNS the same question gets a cut answer: small datagrams pass, large ones vanish"
        "without EDNS the same question gets no cut answer";
    PlainDnsPasses SmallDatagram
        "without EDNS the same question is answered whole"
        "without EDNS the same question is not answered whole";
    OtherNamePasses OtherName
        "another server name passes at the same address: the name decides"
        "another server name fails at the same address too";
    OldTlsAnswers OldTls
        "the peer answers a hello that offers more versions, cipher suites and curves of TLS than this agent speaks"
        "the peer does not answer a hello that offers more of TLS than this agent speaks either";
    DnsOverTcpAnswers DnsOverTcp
        "the same server answers over TCP"
        "the same server does not answer over TCP either";
    DnsOverTcpAccepts DnsOverTcp
        "the server's host accepts connections on TCP 53"
        "the server's host does not accept connections on TCP 53";
    PortDecides SourcePorts
        "the source port decides: each port always fails or always works"
        "the source port does not decide";
    NewFlowsMixed SourcePorts
        "of several new flows at once some work and some do not"
        "several new flows at once all go the same way";
    NewFlowsPass SourcePorts
        "several new flows at once all passed"
        "one flow was let in, and of several new ones right after it not all were";
    HeldFlowLives HeldFlow
        "the flow that was open before the fault still lives: established flows pass, new ones do not"
        "the flow that was open before the fault is dead as well: packets of established flows vanish too";
    HeldFlowReset HeldFlow
        "the flow that was open before was reset"
        "the flow that was open before was not reset";
    OthersAnswer AnySource
        "the answer comes, but from another address than the one asked"
        "no other address answers either";
    NextHopDownElsewhere Neighbours
        "other endpoints show that the next hop does not answer on the link"
        "no other endpoint shows that the next hop is down";
    FirewallElsewhere Neighbours
        "other endpoints show that a firewall on this machine is in the way"
        "no other endpoint shows a firewall on this machine";
    SetupElsewhere Neighbours
        "other endpoints show that this machine cannot send"
        "no other endpoint shows that this machine cannot send";
    LinkUp ThisMachine
        "the network card has a link"
        "the network card has no link";
    TrackingFull ThisMachine
        "connection tracking of this machine is full, or nearly so"
        "connection tracking of this machine has room";
    BogusHostSamePage BogusHost
        "a host name that nobody has gets the same page at this address"
        "a host name that nobody has gets another answer at this address";
    AnsweredNearby FewHops
        "a packet that lives for two hops only gets the same answer: it comes from close by"
        "a packet that lives for two hops only gets no such answer: it comes from further away";
    AzureResolves Comparison
        "Azure DNS resolves the name"
        "Azure DNS does not resolve the name either";
    AnswersRaced Comparison
        "somebody on the path answers DNS questions before the server does"
        "nobody answers before the server";
    AnswersInvented Comparison
        "names that cannot exist get an address, beside this one and elsewhere"
        "the DNS server invents no answers";
    PrivateZoneGap Comparison
        "the custom DNS hosts the privatelink zone, and the zone lacks this name"
        "no privatelink zone on the custom DNS lacks the name";
    AzureAnswersPrivate Comparison
        "Azure DNS has a private address for the name"
        "Azure DNS has no private address for the name";
    ResolversDisagree Comparison
        "the custom DNS and Azure DNS lead to different places"
        "the custom DNS and Azure DNS agree on the name";
    LedAstray Comparison
        "the custom DNS leads astray: Azure DNS's answer is the one that the name proves, or that both gave before"
        "nothing shows that the custom DNS leads astray";
    ClockWrong Neighbours
        "at least three independent clocks agree with each other and not with this machine"
        "independent clocks agree with this machine";
    DatesHold Neighbours
        "by the time that other clocks agree on, the dates that do not hold here do"
        "by the time that other clocks agree on, the dates do not hold either";
    IssuerShared Neighbours
        "unrelated hosts show certificates of the same unknown issuer"
        "other hosts' certificates verify, or have other issuers";
    IssuersPlural Neighbours
        "no certificate verifies, whatever its issuer"
        "some certificates verify";
    PageShared Neighbours
        "unrelated hosts at other addresses give the same page: somebody on the path answers for all of them"
        "no unrelated host gives the same page";
    PageNamesFilter Memory
        "the page says of itself that a filter wrote it"
        "the page does not say that a filter wrote it";
    ForeignRedirect Memory
        "the answer leads to a host of another domain"
        "the answer does not lead elsewhere";
    SomeFlowsDie Memory
        "the path loses some flows for good, as source ports showed here, lately on this port, or at several hosts"
        "source ports do not show that the path loses some flows for good";
    Intermittent Memory
        "visits fail and succeed in turn"
        "visits do not alternate between failure and success";
    ComesAndGoes Memory
        "again and again visits fail and pass when they are made again, before anything could be confirmed"
        "what fails does not come and go before it can be confirmed";
    RightAddress Memory
        "the address is fixed, or where this service worked before: no answer of DNS leads astray"
        "nothing shows that the address is the right one";
    PeerAnswered Memory
        "what came was an answer of the peer itself, and not the right one: the flow passed"
        "what failed was no answer of the peer itself";
    AlwaysConnects Memory
        "every connection was made: what failed came later"
        "not every connection was made";
    AsksThePlatform Memory
        "the peer is the platform's own address, which the host itself serves"
        "the peer is another host than the platform's own address";
    AsksTheTime Memory
        "the question is the time"
        "the question is a name";
    ByDatagram Memory
        "the question is a datagram"
        "the question is a connection";
    OnlyHandshakesRepeat Memory
        "only first packets of new flows have to be sent again, those of established flows never"
        "new flows are taken at the first try";
    HandshakesRepeatOnPorts Memory
        "on several ports first packets of new flows have to be sent again, while those of established flows never have"
        "first packets of new flows are not sent again on several ports";
    OwnHandshakesRepeat Memory
        "first packets to this host have to be sent again and again, while others on its port are taken at the first try"
        "first packets to this host are taken at the first try";
    LossyPath Memory
        "packets are sent again on several endpoints' connections: at least one in fifty is lost"
        "hardly any packet is sent again";
    BeyondLoss Memory
        "no connection on this port was answered for longer than the measured loss explains"
        "the measured loss may explain the silence on this port";
    RoundTripGrew Memory
        "the last round trips are several times what they were; after an hour of that they count as usual"
        "round trips are what they were";
    CanaryAcceptedBefore Memory
        "the control 192.0.2.1, where nobody can be (RFC 5737), accepted connections before the fault and is silent now: the appliance that answered is gone"
        "the control 192.0.2.1, where nobody can be (RFC 5737), never accepted connections";
    RedirectPortsSilent RedirectPorts
        "none of the sampled ports 11000-11999 answers at the gateway's address, not even with a refusal"
        "the sampled ports 11000-11999 answer";
}

impl Contrast {
    /// Whether it is a circumstance of the question and no evidence: it gets no line either way.
    pub fn is_circumstance(self) -> bool {
        matches!(self, Self::AsksTheTime | Self::AsksThePlatform | Self::ByDatagram)
    }

    /// Whether a no is the usual case and worth no line.
    pub fn is_dull(self) -> bool {
        matches!(
            self,
            Self::NextHopDownElsewhere
                | Self::AnswersRaced
                | Self::AnswersInvented
                | Self::PrivateZoneGap
                | Self::LedAstray
                | Self::AnythingWorks
                | Self::HostHttpBlocked
                | Self::FirewallElsewhere
                | Self::SetupElsewhere
                | Self::TrackingFull
                | Self::Intermittent
                | Self::ComesAndGoes
                | Self::RightAddress
                | Self::PeerAnswered
                | Self::AlwaysConnects
                | Self::LossyPath
                | Self::BeyondLoss
                | Self::OnlyHandshakesRepeat
                | Self::HandshakesRepeatOnPorts
                | Self::OwnHandshakesRepeat
                | Self::DnsCanaryAnswers
                | Self::RoundTripGrew
                | Self::ForeignRedirect
                | Self::PageNamesFilter
                | Self::CanaryAcceptedBefore
                | Self::HeldFlowReset
                | Self::PlainDnsPasses
                | Self::FullSegmentsArrived
                | Self::AnswerBegan
                | Self::PortDecides
                | Self::SomeFlowsDie
                | Self::NewFlowsMixed
        )
    }
}

/// A set of contrasts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContrastSet(u64);

impl ContrastSet {
    /// Whether a contrast belongs to it.
    pub fn contains(self, contrast: Contrast) -> bool {
        self.0 & bit(contrast) != 0
    }

    /// Every member, in the order of [`Contrast::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Contrast> {
        Contrast::ALL.iter().copied().filter(move |contrast| self.contains(*contrast))
    }
}

impl FromIterator<Contrast> for ContrastSet {
    fn from_iter<T: IntoIterator<Item = Contrast>>(contrasts: T) -> Self {
        Self(contrasts.into_iter().fold(0, |bits, contrast| bits | bit(contrast)))
    }
}

/// The answers that are known, by contrast. As small as two words, since each case is compared with its last answers
/// again and again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contrasts {
    known: u64,
    yes: u64,
}

const _: () = assert!(Contrast::ALL.len() <= 64, "one bit for each contrast");

/// The bit that stands for a contrast.
fn bit(contrast: Contrast) -> u64 {
    1 << contrast as u32
}

impl Contrasts {
    /// The answer, if it is known.
    pub fn get(&self, contrast: Contrast) -> Option<bool> {
        (self.known & bit(contrast) != 0).then_some(self.yes & bit(contrast) != 0)
    }

    /// Learns an answer.
    pub fn learn(&mut self, contrast: Contrast, answer: bool) {
        self.known |= bit(contrast);
        if answer {
            self.yes |= bit(contrast);
        } else {
            self.yes &= !bit(contrast);
        }
    }

    /// Learns an answer if there is one.
    pub fn learn_if(&mut self, contrast: Contrast, answer: Option<bool>) {
        if let Some(answer) = answer {
            self.learn(contrast, answer);
        }
    }

    /// Learns everything that `other` knows; what both know is taken from `other`.
    pub fn extend(&mut self, other: &Self) {
        self.yes = self.yes & !other.known | other.yes;
        self.known |= other.known;
    }

    /// Every known answer, in the order of [`Contrast::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Contrast, bool)> + '_ {
        Contrast::ALL.iter().filter_map(|contrast| Some((*contrast, self.get(*contrast)?)))
    }
}

impl FromIterator<(Contrast, bool)> for Contrasts {
    fn from_iter<T: IntoIterator<Item = (Contrast, bool)>>(answers: T) -> Self {
        let mut known = Self::default();
        answers.into_iter().for_each(|(contrast, answer)| known.learn(contrast, answer));
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    use crate::net::address::of_family;

    #[test]
    fn what_is_said_of_the_canary_can_be_said_of_the_one_of_ipv6() {
        let peer = std::net::Ipv6Addr::LOCALHOST.into();
        for contrast in
            Contrast::ALL.iter().filter(|contrast| matches!(contrast.ask(), Ask::TcpCanary | Ask::UdpCanary))
        {
            for answer in [true, false] {
                let said = of_family(peer, contrast.words(answer));
                assert!(said.starts_with("the control 2001:db8::1, where nobody can be (RFC 3849)"), "{said}");
            }
        }
    }

    #[test]
    fn the_control_is_never_named_without_what_it_is() {
        for (contrast, answer) in Contrast::ALL.iter().flat_map(|contrast| [(contrast, true), (contrast, false)]) {
            let said = contrast.words(answer);
            let is_told = said.contains("the control 192.0.2.1, where nobody can be (RFC 5737), ");
            assert_eq!(said.contains("192.0.2.1"), is_told, "{said}");
        }
    }

    proptest::proptest! {
        #[test]
        fn answers_are_kept_as_a_map_would_keep_them(
            said in proptest::collection::vec((0..Contrast::ALL.len(), proptest::bool::ANY), 0..40),
            more in proptest::collection::vec((0..Contrast::ALL.len(), proptest::bool::ANY), 0..40),
        ) {
            let named = |said: Vec<(usize, bool)>| said.into_iter().map(|(index, answer)| (Contrast::ALL[index], answer));
            let mut map: BTreeMap<Contrast, bool> = named(said.clone()).collect();
            let mut known: Contrasts = named(said).collect();
            map.extend(named(more.clone()));
            known.extend(&named(more).collect());
            proptest::prop_assert_eq!(known.iter().collect::<Vec<_>>(), map.into_iter().collect::<Vec<_>>());
        }
    }
}
