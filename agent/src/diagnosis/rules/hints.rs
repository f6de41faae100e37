//! What to look at first, in plain words, where that is more than a cause's own advice.

pub(super) const ONE_OF_SEVERAL: &str = "one of several instances behind a load balancer fails, or has other rules than the rest: \
    check each appliance instance's health probe and that the last policy change reached all of them";
pub(super) const NEW_FLOWS: &str = "new flows fail now and then while others pass: look at SNAT port use and the session count of \
    the NAT gateway, load balancer or firewall on the path";
pub(super) const CAME_SLOWLY: &str = "the answer had begun to come when time ran out: a path that is slow, policed or full, or a \
    server that stalls";
pub(super) const COMES_AND_GOES: &str = "it works again within seconds and is lost again: look for what changes every few seconds, as a \
    route that is learned and withdrawn, a failover that never settles, two machines with one address, a service that restarts";
pub(super) const SOME_INSTANCES: &str = "some answers are right and others are not, within seconds: one of several instances of the service \
    is bad, or it is restarted or deployed again and again; its load balancer's health probe should have noticed";
/// Where one port is silent and a flow that was open before lives on.
pub const PORT_RULE: &str = "an outbound NSG rule for this port is the first suspect: a flow that was open before the fault lives on, \
    and a change of NSG rules ends none";
/// Where everything new is silent and what was open lives on.
pub const ALL_RULE: &str = "an outbound NSG rule that denies the Internet is the first suspect: a flow that was open before the \
    fault lives on, and a change of NSG rules ends none";
/// Where everything is silent and what was open died.
pub const ROUTE: &str = "a route for 0.0.0.0/0 to None or to an appliance that is down is the first suspect: flows that were \
    open before died with it, as they do not after a change of NSG rules";
/// Where one port is silent and others work.
pub const PORT_DENIED: &str = "a rule for this port is the first suspect: an outbound NSG rule, or the network rules of the \
    firewall on the path";
pub(super) const PLATFORM_DENIED: &str = "an NSG rule that denies the tag AzurePlatformDNS is the first suspect, then a firewall on this \
    machine: no route and no appliance touches this address, the host itself serves it";
/// Where nothing outside answers.
pub const EGRESS_DENIED: &str = "a route for 0.0.0.0/0 to None, an appliance that is down, or an NSG rule that denies the Internet \
    are the first suspects; `az network nic show-effective-route-table` tells the route";
pub(super) const TRACKING_FULL: &str = "connection tracking of this machine is full or nearly so, and netfilter drops new flows then: raise \
    net.netfilter.nf_conntrack_max, or find what opens so many flows";
pub(super) const PORTAL: &str = "hosts that have nothing to do with each other give the same page: a portal or proxy answers in their \
    place";
pub(super) const IGNORES_SOME: &str = "the server answers some questions and ignores others of the same kind, and answers over TCP: it is overloaded, or limits how many questions of one client it answers";
pub(super) const OLD_TLS: &str = "older versions or cipher suites of TLS are the first thing to check: this agent offers TLS 1.2 and 1.3 \
    with AEAD suites, and Windows ends without an alert where nothing is common";
/// A certificate whose dates are over, or did not come yet.
pub const OVER: &str = "the certificate has expired, or is not valid yet: the dates stand below";
pub(super) const OWN_CLOCK: &str = "every clock that was asked agrees, and differs from this machine's";
pub(super) const LED_ASTRAY: &str =
    "whatever answers DNS here does so for every address, and its answers lead to the wrong place";
pub(super) const OTHER_NAMES: &str =
    "the certificate is for other names: the name leads to the wrong server, or that has the wrong certificate";
/// Where a host is silent on one of its ports.
pub const HOST_PORT: &str = "the host works on another port: a rule for this host and port, or the service itself";
/// Where datagrams alone are silent.
pub const UDP_RULE: &str = "UDP 53 is dropped and TCP 53 passes: a rule that names the protocol";
/// Where connections are made and the hello is never acknowledged.
pub const HELLO_DROPPED: &str =
    "the handshake passes and the ClientHello is never acknowledged: an inspection rule drops it";
/// Where one request of several is dropped.
pub const REQUEST_DROPPED: &str =
    "another request passes at the same address: an inspection rule drops this one; look at the IDPS log";
/// The advice where one host is silent.
pub const ONE_HOST: &str = "this host is silent while others on its port answer: its own firewall, its service, or a rule or route for its address";
/// The same where several are.
pub const SOME_HOSTS: &str = "these hosts are silent while others on their port answer: look for a rule or route that means \
    their addresses, then at the hosts themselves";
