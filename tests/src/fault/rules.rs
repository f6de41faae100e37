//! Fault rules as data: which packets, and what becomes of them.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use ase_agent::net::duration::HumanDuration;
use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Visitor},
};

/// A file for `ase-lab subnet --fault`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FaultFile {
    /// The path without faults.
    pub path: Path,
    /// The rules, in order.
    pub r#box: Vec<Rule>,
}

/// The path without faults: the same for every packet.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Path {
    /// Decides every dice throw and every flow hash.
    pub seed: u64,
    /// Routers between the guest and the internet.
    pub hops: u8,
    /// Round trip to the internet.
    pub rtt: HumanDuration,
}

impl Default for Path {
    fn default() -> Self {
        Self { seed: 1, hops: 9, rtt: HumanDuration(Duration::from_millis(5)) }
    }
}

/// What becomes of some packets.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Which packets; all of them if it is absent.
    #[serde(default)]
    pub r#match: Match,
    /// What becomes of them.
    pub r#do: Action,
}

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// From the guest.
    Out,
    /// To the guest.
    In,
}

/// A protocol above IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP.
    Icmp,
}

/// What a TCP segment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SegmentKind {
    /// It opens a connection.
    Syn,
    /// It accepts one.
    SynAck,
    /// It carries data.
    Data,
    /// It only acknowledges.
    Ack,
    /// It ends the sender's half, perhaps with data.
    Fin,
    /// It breaks the connection.
    Rst,
}

/// Which packets; every key narrows, and lists are alternatives.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Match {
    /// Which way; both if absent.
    pub direction: Option<Direction>,
    /// The protocol above IP.
    pub protocol: Option<Protocol>,
    /// The far end: address, prefix, a name that the lab serves, or `internet`: all but the VNet and the platform.
    #[serde(deserialize_with = "one_or_more")]
    pub host: Vec<String>,
    /// Far ends that are left out, written like `host`.
    #[serde(deserialize_with = "one_or_more")]
    pub not_host: Vec<String>,
    /// The far end's port, or a range like 11000-11999.
    #[serde(deserialize_with = "one_or_more")]
    pub port: Vec<String>,
    /// The guest's own port, or a range.
    #[serde(deserialize_with = "one_or_more")]
    pub guest_port: Vec<String>,
    /// What a TCP segment is for.
    pub segment: Option<SegmentKind>,
    /// Packets longer than this, in bytes with the IP header.
    pub longer_than: Option<usize>,
    /// Packets shorter than this, in bytes with the IP header.
    pub shorter_than: Option<usize>,
    /// Fragments only.
    pub fragment: bool,
    /// The server name of a ClientHello, or its end after `*`.
    #[serde(deserialize_with = "one_or_more")]
    pub sni: Vec<String>,
    /// A text in the payload.
    pub holds: Option<String>,
    /// This part of all flows by their addresses and ports, in percent: always the same flows.
    pub flow_share: Option<f64>,
    /// Only flows that began after the rule came into force.
    pub new_flows: bool,
    /// Only the first packets that match all else.
    pub first: Option<u64>,
    /// Only the packets after so many that match all else.
    pub after: Option<u64>,
}

/// What becomes of a packet. Those that let it live hand it to the next rule.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Action {
    /// It vanishes.
    Drop,
    /// It passes, and no later rule sees it.
    Pass,
    /// It comes later.
    Delay {
        /// By this much.
        by: HumanDuration,
        /// And up to this much more, by chance.
        #[serde(default)]
        jitter: Option<HumanDuration>,
    },
    /// It vanishes with this probability, in percent.
    Lose(f64),
    /// It comes more than once.
    Duplicate {
        /// How long after the first.
        #[serde(default)]
        after: Option<HumanDuration>,
    },
    /// It is overtaken by those behind it.
    Reorder {
        /// With this probability.
        percent: f64,
        /// So long.
        by: HumanDuration,
    },
    /// One byte of its payload changes.
    Corrupt {
        /// With this probability.
        percent: f64,
        /// Whether the checksums are made right again, as by a broken device.
        #[serde(default)]
        repaired: bool,
    },
    /// Its source becomes this address. It must match packets to the guest.
    ReplyFrom(IpAddr),
    /// Its flow goes to another host, whose answers seem to come from the one that was asked.
    Redirect {
        /// Address or name.
        to: String,
    },
    /// It vanishes, unless it is to pass, and its sender gets an ICMP error; of IPv6, an ICMPv6 error, whose types and codes
    /// are others.
    Icmp {
        /// The type.
        r#type: u8,
        /// The code.
        code: u8,
        /// The MTU of 3/4; of ICMPv6, of 2/0.
        #[serde(default)]
        mtu: u16,
        /// Who complains: the number of a hop, an address, or `destination`.
        #[serde(default)]
        from: Option<From>,
        /// Whether it goes on all the same: the error is forged.
        #[serde(default)]
        pass: bool,
    },
    /// It vanishes, and the connection is reset.
    Reset {
        /// Who is told.
        #[serde(default)]
        to: ResetTo,
        /// The hop where it happens; the peer itself is one beyond the last.
        #[serde(default)]
        hop: Option<u8>,
    },
    /// Something on the path completes the handshake for the peer.
    Accept {
        /// What follows.
        then: Then,
        /// The hop where it happens.
        #[serde(default)]
        hop: Option<u8>,
    },
    /// Packets longer than `bytes` vanish.
    Mtu {
        /// The longest that passes, with the IP header.
        bytes: u16,
        /// Whether the sender learns of it by ICMP 3/4, or ICMPv6 2/0.
        #[serde(default)]
        icmp: bool,
    },
    /// Source NAT with few ports: so many flows to one destination and port at a time, the others vanish.
    Nat {
        /// How many.
        ports: usize,
        /// How long a port rests after its flow.
        hold: HumanDuration,
    },
    /// A session table: so many flows at a time, the others vanish.
    Sessions {
        /// How many.
        cap: usize,
        /// How long an entry stays after its flow.
        hold: HumanDuration,
    },
    /// A flow that was idle so long is forgotten.
    Idle {
        /// How long.
        after: HumanDuration,
        /// Whether its next packet is answered with RST.
        #[serde(default)]
        reset: bool,
    },
    /// A token bucket.
    Rate {
        /// Bytes per second.
        bytes: u32,
        /// Bytes that pass at once.
        burst: u32,
        /// The longest wait; what would wait longer vanishes.
        queue: HumanDuration,
    },
    /// A query gets a forged answer with this address, from the hop of an appliance.
    ForgeDns {
        /// The address in the answer.
        address: Ipv4Addr,
        /// Whether the query goes on to the server too.
        #[serde(default)]
        pass: bool,
    },
}

/// Who complains by ICMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The router at this hop.
    Hop(u8),
    /// This address.
    Address(IpAddr),
    /// The host that the packet was for.
    Destination,
}

/// Who learns of a reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResetTo {
    /// The guest.
    #[default]
    Guest,
    /// Both ends.
    Both,
}

/// What follows when something accepted for the peer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Then {
    /// The first data is acknowledged, nothing else.
    Silence,
    /// The first data is answered with RST.
    Reset,
    /// The first data is answered with FIN.
    Close,
    /// The connection ends right after the handshake.
    CloseAtOnce,
    /// The first data is answered with this text and FIN.
    Text(String),
    /// The first data is answered like Azure Firewall does where no application rule allows it.
    AzureFirewallDeny,
    /// It connects to the peer and passes everything on.
    Relay,
}

impl<'de> Deserialize<'de> for From {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let words = one_or_more(deserializer)?;
        let [word] = words.as_slice() else { return Err(D::Error::custom("from must be one value")) };
        let hop = || word.parse().ok().filter(|hop| (1..=60).contains(hop)).map(Self::Hop);
        let address = || word.parse().ok().map(Self::Address);
        let destination = || (word == "destination").then_some(Self::Destination);
        hop().or_else(address).or_else(destination).ok_or_else(|| {
            D::Error::custom(format!("from ({word}) must be a hop from 1 to 60, an address or the word destination"))
        })
    }
}

/// Reads one word or number, or a list of them.
fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct Words;
    impl<'de> Visitor<'de> for Words {
        type Value = Vec<String>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a word, a number, or a list of them")
        }
        fn visit_str<E: Error>(self, word: &str) -> Result<Self::Value, E> {
            Ok(vec![word.to_owned()])
        }
        fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
            Ok(vec![number.to_string()])
        }
        fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
            Ok(vec![number.to_string()])
        }
        fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
            Ok(vec![number.to_string()])
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut words = Vec::new();
            while let Some(Inner(inner)) = list.next_element()? {
                words.extend(inner);
            }
            Ok(words)
        }
    }
    struct Inner(Vec<String>);
    impl<'de> Deserialize<'de> for Inner {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            one_or_more(deserializer).map(Self)
        }
    }
    deserializer.deserialize_any(Words)
}
