//! Why a dependency is lost: the closed set of causes, from the wire to the dashboard.
//! One definition renders as a metric label, a summary, advice and an owner; it knows no probe.

use std::fmt;

/// Where a fault lies, seen from this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// On the machine the agent runs on.
    Local,
    /// Between this machine and the peer.
    Path,
    /// At the peer.
    Remote,
    /// One exchange alone cannot tell.
    Unknown,
}

impl Side {
    /// Returns the metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Path => "path",
            Self::Remote => "remote",
            Self::Unknown => "unknown",
        }
    }
}

/// Who can mend a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Nobody: there is nothing to mend.
    Nobody,
    /// Whoever runs the machine the agent is on.
    ThisMachine,
    /// The team that owns NSGs, route tables and appliances.
    NetworkTeam,
    /// The team that owns the custom DNS servers.
    DnsTeam,
    /// The operator of the peer, often Azure itself.
    Peer,
}

impl Owner {
    /// Returns the words used in reports.
    pub fn label(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::ThisMachine => "this machine",
            Self::NetworkTeam => "network team",
            Self::DnsTeam => "DNS team",
            Self::Peer => "peer or platform",
        }
    }
}

impl Owner {
    /// Who that is, where the label alone names nobody to call.
    pub fn means(self) -> &'static str {
        match self {
            Self::Nobody => "there is nothing to mend",
            Self::ThisMachine => "whoever runs this agent's VM",
            Self::NetworkTeam => "who owns NSGs, route tables, appliances and tunnels",
            Self::DnsTeam => "who owns the custom DNS servers",
            Self::Peer => "whoever runs the service that was asked, often Azure itself",
        }
    }

    /// The label and who that is, for people.
    pub fn words(self) -> String {
        format!("{} ({})", self.label(), self.means())
    }
}

/// Everything the project says about one cause.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// The metric label: lower case, stable, never changed.
    pub label: &'static str,
    /// What happened, one sentence without a full stop.
    pub summary: &'static str,
    /// What to do next, one sentence without a full stop.
    pub next_step: &'static str,
    /// What to look at before anything is changed, without a full stop.
    pub check_first: &'static str,
    /// Where the fault usually lies.
    pub side: Side,
    /// Who mends it.
    pub owner: Owner,
    /// Whether the next step changes something; else it only looks.
    pub changes: bool,
}

/// What is said behind a step that is more than a look.
pub const CHANGES: &str = "(this changes something)";

impl Definition {
    /// The next step, marked where it changes something.
    pub fn next_words(&self) -> String {
        if self.changes { format!("{} {CHANGES}", self.next_step) } else { self.next_step.to_owned() }
    }
}

macro_rules! causes {
    ($($variant:ident, $label:literal, $side:ident, $owner:ident, $summary:literal, $next:literal,
        $check:literal;)+) => {
        /// Why an exchange did not prove its peer. The set is closed: 42 causes, labels never change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Cause {
            $(#[doc = $summary] $variant,)+
        }

        impl Cause {
            /// Every cause, in the order of the taxonomy.
            pub const ALL: &'static [Cause] = &[$(Cause::$variant,)+];

            /// Returns all that is said about this cause.
            pub fn definition(self) -> Definition {
                match self {
                    $(Cause::$variant => Definition {
                        label: $label,
                        summary: $summary,
                        next_step: $next,
                        check_first: $check,
                        side: Side::$side,
                        owner: Owner::$owner,
                        changes: Cause::$variant.has_step_that_changes(),
                    },)+
                }
            }
        }
    };
}

causes! {
    None, "none", Unknown, Nobody,
        "the peer proved itself", "nothing to do",
        "nothing";
    Unknown, "unknown", Unknown, NetworkTeam,
        "the exchange failed in a way that no rule explains", "read the evidence lines and run `ase-agent check` again",
        "whether the failure repeats, and whether other endpoints fail at the same time";
    LocalFdLimit, "local_fd_limit", Local, ThisMachine,
        "this machine has no free file descriptors", "raise LimitNOFILE of the unit or find the leak; the dependency itself was not tested",
        "`ls /proc/$(pidof ase-agent)/fd | wc -l` against `LimitNOFILE`";
    LocalPorts, "local_ports", Local, ThisMachine,
        "this machine has no free local ports", "widen net.ipv4.ip_local_port_range or reduce the connections to this destination",
        "`ss -s` for the sockets in use, and what opens them";
    LocalFirewall, "local_firewall", Local, ThisMachine,
        "a firewall on this machine refuses the packet", "allow the flow in the output chain of this machine's firewall",
        "`nft list ruleset` on this machine, output and input chains";
    LocalRoute, "local_route", Local, ThisMachine,
        "this machine has no route to the destination", "renew the DHCP lease of this machine or add the route that is missing",
        "`ip route` and `ip rule` on this machine, and when the lease was renewed last";
    LocalClock, "local_clock", Local, ThisMachine,
        "the clock of this machine is wrong", "start its time service or mend the sources until one is chosen, then step the clock; till then no certificate verdict is reliable",
        "`timedatectl` and `chronyc sources` on this machine";
    LocalSetup, "local_setup", Local, ThisMachine,
        "this machine or the agent's sandbox is not set up for the probe", "check the CA bundle, resolv.conf, memory and the unit's sandbox options",
        "the agent's warnings at start (`journalctl`), and `systemctl show ase-agent` for limits";
    LocalLimit, "local_limit", Local, ThisMachine,
        "the peer uses something that this agent cannot do or check; the peer may be well", "ask it with another client, for example `openssl s_client -connect HOST:PORT`; the agent itself cannot judge it",
        "what the evidence names as beyond the agent: a key, a signature, a version or a cipher suite of TLS";
    LocalStall, "local_stall", Local, ThisMachine,
        "the agent was not run while it waited for an answer", "look for a CPU quota, steal time, a paused or suspended VM; the dependency itself was not tested",
        "`/proc/pressure/cpu`, the steal column of `vmstat 1`, and the VM's activity log around that time";
    NextHopDown, "next_hop_down", Path, NetworkTeam,
        "the next hop does not answer on the link", "check the NIC and the subnet's gateway; in Azure redeploy the VM or open a ticket",
        "`ip neigh` and `ip link` on this machine, and the VM's health in the portal";
    Unreachable, "unreachable", Path, NetworkTeam,
        "a router on the path has no route to the destination", "ask the owner of the router named in the evidence for its route to the destination",
        "where the next hop leads, and whether the device named in the evidence is meant to be on this path";
    Rejected, "rejected", Path, NetworkTeam,
        "a firewall on the path rejects the flow", "allow the flow on the device named in the evidence",
        "whether the next hop is the device named in the evidence, and whether its rule is meant to reject: it logs it";
    Dropped, "dropped", Path, NetworkTeam,
        "packets vanish without any answer", "check outbound NSG rules for the port, then the route table's next hop, then the appliance's network rules",
        "what was changed on rules, routes or appliances when it began, and whether other subnets reach the destination";
    MtuBlackhole, "mtu_blackhole", Path, NetworkTeam,
        "small packets pass and large ones vanish", "clamp the MSS on the appliance to the packet size that passes minus 40 (IPv6: 60), or let ICMP type 3 code 4 reach the sender",
        "which packet size passes (`ping -s` takes it minus 28, IPv6 minus 48), then the MTU of the VPN or tunnel, and ICMP there";
    PacketLoss, "packet_loss", Path, NetworkTeam,
        "packets are lost now and then", "check the utilisation and the drop counters of the appliance or gateway on the path",
        "whether it is lost now as well, and whether the loss follows the time of day or a single path";
    FlowHashLoss, "flow_hash_loss", Path, NetworkTeam,
        "some flows always fail and others always work", "find the broken instance behind the load-balanced appliance, or finish its rule roll-out",
        "which appliance is the next hop, how many instances stand behind its load balancer, and which are healthy";
    FlowTableFull, "flow_table_full", Path, NetworkTeam,
        "new flows fail while established ones live", "add SNAT ports (public addresses, NAT gateway) or scale the appliance out",
        "which device is the next hop, and its SNAT and session counts at the time of the failures";
    AsymmetricReply, "asymmetric_reply", Path, NetworkTeam,
        "the answer comes from another address than the one asked", "correct the NAT or the multi-homed server named in the evidence",
        "where the next hop leads, and which device there translates addresses for this destination";
    Slow, "slow", Path, NetworkTeam,
        "the peer answers, but far slower than usual", "compare the path and its load with the time before",
        "the round trip now, and that of the same peer an hour and a day before";
    Refused, "refused", Remote, Peer,
        "the destination refuses the connection", "check that the name resolves to the right address and that the service listens there",
        "whether the address in the evidence is the service's own";
    Reset, "reset", Unknown, NetworkTeam,
        "an established connection was reset", "see which appliance is the next hop, and look there for an idle time-out or a policy change at that moment",
        "how long the connection had been idle when it was reset";
    ProxiedBlind, "proxied_blind", Path, NetworkTeam,
        "something on the path accepts the connection, the peer itself was not reached", "allow the destination with a network rule on the appliance, or by a service endpoint",
        "whether the next hop is an appliance, and meant to see this: SQL, Storage and Event Hub are not supported behind one";
    DnsNoReply, "dns_no_reply", Remote, DnsTeam,
        "the DNS server's host is alive but queries stay unanswered", "restart or unblock the DNS service on that server",
        "whether `dig` stays unanswered as well, and whether other clients of that server are answered";
    DnsServfail, "dns_servfail", Remote, DnsTeam,
        "the DNS server cannot resolve the name (SERVFAIL)", "mend the server's forwarders; a server within Azure can forward to 168.63.129.16",
        "what Azure DNS says of the name (SERVFAIL as well: it is not this server), and whether the server resolves names of other zones";
    DnsRefused, "dns_refused", Remote, DnsTeam,
        "the DNS server refuses the query (REFUSED)", "allow recursion for this subnet on the DNS server",
        "what each server answers, then the server's recursion and access lists for this subnet";
    DnsNxdomain, "dns_nxdomain", Remote, DnsTeam,
        "the DNS server says that the name does not exist", "compare with Azure DNS; add the record to the zone that denies it, or forward that zone to 168.63.129.16",
        "what each server answers, and which zone is named as the authority for the denial";
    DnsNodata, "dns_nodata", Remote, DnsTeam,
        "the name exists but has no address", "complete the record in the zone that the evidence names",
        "what each server answers, and whether the record was removed on purpose";
    DnsIntercepted, "dns_intercepted", Path, NetworkTeam,
        "something on the path answers DNS in the server's place", "remove the port 53 redirection; resolver comparisons mean nothing until then",
        "what each server answers, and whether the redirection of port 53 is meant for this subnet";
    DnsDivergent, "dns_divergent", Remote, DnsTeam,
        "the custom DNS and Azure DNS lead to different places", "forward the zone to 168.63.129.16 or correct the record on the custom DNS",
        "what each server answers, and whether the difference is meant, for example by a private endpoint";
    DnsNoTcp, "dns_no_tcp", Path, NetworkTeam,
        "the answer was truncated and DNS over TCP fails", "open TCP 53 to the DNS server",
        "whether an NSG rule lets TCP 53 pass: it may have been left out where UDP 53 is allowed";
    TlsBlocked, "tls_blocked", Path, NetworkTeam,
        "the connection is cut as soon as the server name is sent", "allow HTTPS to this name on the appliance (application rule)",
        "whether `openssl` is cut off as well, which appliance is the next hop, and what its log says of this server name";
    TlsIntercepted, "tls_intercepted", Path, NetworkTeam,
        "the certificate was made by an inspecting device, not by the peer's authority", "if the issuer is your own, exempt the environment's dependencies from TLS inspection; if not, leave it to security",
        "whether the issuer of the certificate is your own inspection authority; if not, tell security: a stranger reads along";
    TlsCertInvalid, "tls_cert_invalid", Remote, Peer,
        "the peer's certificate does not verify", "check the name, the address it resolves to and the certificate's dates and issuer",
        "this machine's clock, and whether the name leads to the right address";
    TlsRejected, "tls_rejected", Remote, Peer,
        "the peer itself does not encrypt with this agent", "compare versions and cipher suites of TLS and the server name with what the peer supports",
        "whether the address belongs to the service of this name";
    HttpBlocked, "http_blocked", Path, NetworkTeam,
        "a firewall or proxy answers with a block page", "allow the host on the appliance named in the answer",
        "which appliance is the next hop, what its log says of this host, and whether its list of allowed ones has it";
    HttpStatus, "http_status", Remote, Peer,
        "the service answers with an unexpected status or content", "check the service's health; a network change will not help",
        "what it answers, and whether the path and the expectation in the configuration are still right";
    NtpDenied, "ntp_denied", Remote, Peer,
        "the time server refuses or limits this client", "ask less often or use another time server",
        "what it answers, and how many clients share this machine's public address";
    NtpUnsynced, "ntp_unsynced", Remote, Peer,
        "the time server has no valid time itself", "use another time server until this one is synchronised",
        "what it says of itself, then its own upstream, on that server: `chronyc tracking` or its log";
    NtpWrongTime, "ntp_wrong_time", Remote, Peer,
        "the time server's time disagrees with the others", "remove this server from the time sources",
        "whether at least three other servers agree with each other";
    SqlRedirectBlocked, "sql_redirect_blocked", Path, NetworkTeam,
        "the SQL gateway answers but the redirect ports do not", "allow TCP 11000-11999 to the Sql service tag or set the connection policy to Proxy",
        "whether an NSG rule lets TCP 11000 pass, and the connection policy of the server: Proxy needs 1433 only";
    ProtocolViolation, "protocol_violation", Unknown, NetworkTeam,
        "the answer breaks the protocol or a safety limit", "find out which device answers at this address and port",
        "what it answers, and whether a proxy or load balancer stands at this address and port";
}

impl Cause {
    /// Returns the metric label.
    pub fn label(self) -> &'static str {
        self.definition().label
    }

    /// Finds the cause with this label.
    pub fn from_label(label: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|cause| cause.label() == label)
    }

    /// Whether what is to be done next is more than to look or to ask.
    fn has_step_that_changes(self) -> bool {
        !matches!(
            self,
            Self::None
                | Self::Unknown
                | Self::LocalSetup
                | Self::LocalLimit
                | Self::LocalStall
                | Self::Unreachable
                | Self::Dropped
                | Self::PacketLoss
                | Self::Slow
                | Self::Refused
                | Self::Reset
                | Self::TlsCertInvalid
                | Self::TlsRejected
                | Self::HttpStatus
                | Self::ProtocolViolation
        )
    }

    /// Tells whether the cause is a fault of this machine, which never counts against a dependency.
    pub fn is_local(self) -> bool {
        self.definition().side == Side::Local
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_set_has_forty_two_distinct_labels() {
        let labels: BTreeSet<_> = Cause::ALL.iter().map(|c| c.label()).collect();
        assert_eq!(labels.len(), 42);
        assert_eq!(Cause::ALL.len(), 42);
    }

    #[test]
    fn labels_are_safe_for_metrics_and_lead_back() {
        for cause in Cause::ALL {
            assert!(cause.label().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
            assert_eq!(Cause::from_label(cause.label()), Some(*cause));
        }
        assert_eq!(Cause::from_label("gremlins"), None);
    }

    #[test]
    fn local_causes_are_exactly_the_local_group() {
        for cause in Cause::ALL {
            assert_eq!(cause.is_local(), cause.label().starts_with("local_"), "{cause}");
        }
    }

    #[test]
    fn a_next_step_is_marked_where_it_is_more_than_a_look() {
        for (cause, is_marked) in
            [(Cause::DnsServfail, true), (Cause::MtuBlackhole, true), (Cause::Dropped, false), (Cause::Unknown, false)]
        {
            assert_eq!(cause.definition().next_words().ends_with(CHANGES), is_marked, "{cause}");
        }
        let looks = ["check", "see ", "compare", "ask the", "ask it", "look", "find out", "read", "nothing"];
        for cause in Cause::ALL {
            let step = cause.definition();
            let is_look = looks.iter().any(|look| step.next_step.starts_with(look));
            assert!(step.changes || is_look, "{cause}: ({}) is more than a look", step.next_step);
        }
    }

    #[test]
    fn every_owner_is_somebody_to_call() {
        assert_eq!(Owner::ThisMachine.words(), "this machine (whoever runs this agent's VM)");
    }

    #[test]
    fn every_sentence_fits_a_report_line() {
        for cause in Cause::ALL {
            let d = cause.definition();
            for text in [d.summary, d.next_step, d.check_first] {
                assert!(!text.is_empty() && !text.ends_with('.'), "{cause}");
            }
            assert!(d.summary.len() <= 100 && d.next_step.len() <= 140 && d.check_first.len() <= 140, "{cause}");
        }
    }
}
