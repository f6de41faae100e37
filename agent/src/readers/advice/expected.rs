//! What a command of an advice shows where the cause is right, and what its other results mean, in a few words: who has typed
//! it knows whether to go on.

use std::borrow::Cow;

use ase_probes::cause::Cause;

use super::known::Known;

/// What a command shows.
type Shows = fn(Cause) -> Option<&'static str>;

/// By what tells a command; the first row that fits counts.
const COMMANDS: [(&str, Shows); 26] = [
    ("nsg rule ", as_exported),
    ("route-table route ", as_exported),
    ("test-ip-flow", |_| Some("access Deny and its ruleName if an NSG drops it; Allow: look further")),
    ("AzurePlatformDNS", |_| Some("a rule with access Deny to AzurePlatformDNS; nothing if none is set")),
    ("list-effective-nsg", |_| Some("a rule with access Deny before any that allows this port; none: look further")),
    ("show-effective-route-table", |_| {
        Some(
            "State Active, 0.0.0.0/0: None, or a VirtualAppliance that is down; …Gateway: one behind it; Internet: no route",
        )
    }),
    ("show-next-hop", next_hop),
    ("DipAvailability", |_| Some("an instance far below 100; all near it: not this load balancer")),
    ("SNATPortUtilization", |_| Some("values near 100 while it lasts; far below: not its ports")),
    ("nameresolver --compare", compared),
    ("dig +tries=1 ", |_| Some("an answer, although nobody can be at this address")),
    ("com. NS", |_| Some("`status: NOERROR`: the zone of the name alone fails; SERVFAIL: it reaches no forwarder")),
    ("dig ", asked),
    ("openssl ", handshake),
    ("nstat -az", |_| Some("counters of drops that grow, or a rule that drops; else look further")),
    ("nft list ruleset", |cause| match cause {
        Cause::LocalFirewall => Some("a rule that fits with `drop` or `reject` in the output chain"),
        _ => Some("a rule that fits with `drop` or `reject`; none: look further"),
    }),
    ("timedatectl", |_| Some("`synchronized: no`, no source marked `^*`, or one that is wrong")),
    ("chronyc -n sources", |_| Some("that server marked `^x` (falseticker), if chrony asks it")),
    ("ip neigh", |_| Some("the next hop as FAILED or INCOMPLETE, or a link that is DOWN")),
    ("ip route", |_| Some("no route that fits, or one of type unreachable or blackhole")),
    ("tracepath", |_| {
        Some(
            "a pmtu below that of `ip link` (1500 as a rule); `no reply` alone says nothing in Azure; none: UDP is spared",
        )
    }),
    ("ping -c", |_| {
        Some("the largest size that passes plus 28 (IPv6 48) is the packet; all: ICMP is spared; none: it is blocked")
    }),
    ("tcpping", connects),
    ("/proc/pressure", |_| Some("a high `avg10`, or `st` above 0: the host takes time away")),
    ("LimitNOFILE", |_| Some("nearly as many files as LimitNOFILE")),
    ("ss -s", |_| Some("nearly as many connections as the range has ports")),
];

/// What this command shows where this is the cause; `None` where that is too much for a line, or the command is a change.
pub(super) fn of(command: &str, cause: Cause, known: &Known) -> Option<Cow<'static, str>> {
    if command.starts_with(&format!("dig @{} ", known.azure)) && cause == Cause::DnsServfail {
        return Some("an address: it is the custom DNS; SERVFAIL: the name's own zone, or the platform; NXDOMAIN: the custom DNS alone knows it".into());
    }
    if let Some(issuer) =
        known.issuer.as_ref().filter(|_| cause == Cause::TlsIntercepted && command.contains("openssl "))
    {
        return Some(format!("the issuer that the agent saw, {issuer}; another one: it comes and goes").into());
    }
    COMMANDS.iter().find(|(part, _)| command.contains(part)).and_then(|(_, shows)| shows(cause)).map(Cow::Borrowed)
}

fn as_exported(_: Cause) -> Option<&'static str> {
    Some("what is said here of it; anything else: it was changed since")
}

/// What lets nothing pass is a route or stands behind one; what meddles with flows stands on the way.
fn next_hop(cause: Cause) -> Option<&'static str> {
    Some(match cause {
        Cause::Dropped | Cause::Rejected | Cause::Unreachable => {
            "nextHopType None: a route drops it; VirtualAppliance, …Gateway: look there; Internet, Vnet…: no route is to blame"
        }
        _ => {
            "nextHopType VirtualAppliance: that device; …Gateway: one behind it; Internet, Vnet…: none by a route; None: no way"
        }
    })
}

/// Both sides as `ase-agent nameresolver --compare` shows them.
fn compared(cause: Cause) -> Option<&'static str> {
    Some(match cause {
        Cause::DnsNoReply => {
            "timeout by the custom DNS, an answer by Azure DNS; timeout by both: not this server alone"
        }
        Cause::DnsServfail => {
            "servfail by the custom DNS, an answer by Azure DNS; servfail by both: not this server alone"
        }
        Cause::DnsRefused => "refused by the custom DNS, an answer by Azure DNS",
        Cause::DnsNxdomain => "nxdomain by the custom DNS; by Azure DNS an answer, or nxdomain too",
        Cause::DnsNodata => "nodata by the custom DNS; by Azure DNS an answer, or nodata too",
        Cause::DnsDivergent => "two sides that lead to different places",
        Cause::DnsIntercepted => "answers that are not what these servers hold",
        Cause::Refused => "on both sides the address that refuses, or on one another",
        _ => return None,
    })
}

/// What `dig` says of the server that is to blame.
fn asked(cause: Cause) -> Option<&'static str> {
    Some(match cause {
        Cause::Dropped | Cause::Rejected | Cause::DnsNoReply => "`no servers could be reached`",
        Cause::Refused => "`connection refused`",
        Cause::DnsServfail => "`status: SERVFAIL`",
        Cause::DnsRefused => "`status: REFUSED`",
        Cause::DnsNxdomain => "`status: NXDOMAIN`",
        Cause::DnsNodata => "`status: NOERROR` with `ANSWER: 0`, or no address among the answers",
        Cause::DnsDivergent => "another address than Azure DNS gives",
        Cause::DnsIntercepted => "an answer that is not this server's own",
        _ => return None,
    })
}

fn handshake(cause: Cause) -> Option<&'static str> {
    Some(match cause {
        Cause::TlsBlocked => "`no peer certificate available`: openssl is cut off as well",
        Cause::MtuBlackhole => "`CONNECTED` and nothing more; a certificate: large packets pass again",
        Cause::TlsIntercepted => "an issuer that is no public authority: your own inspection's, or a stranger's",
        Cause::TlsCertInvalid => "dates that are over, another subject, or an issuer nobody trusts",
        Cause::TlsRejected => "an alert of the peer, for example `handshake failure`",
        Cause::LocalLimit => "the key, signature or version that this agent cannot judge",
        _ => return None,
    })
}

fn connects(cause: Cause) -> Option<&'static str> {
    Some(match cause {
        Cause::Refused => "`actively refused it` each time",
        Cause::PacketLoss => "some that fail, or take over 1000ms: they were sent again",
        Cause::Slow => "times well above the usual ones",
        _ => return None,
    })
}
