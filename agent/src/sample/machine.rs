//! The machine of the sample and the agent on it.

use ase_probes::local_facts::{LocalFacts, PortRange, Unread, Usage};

use super::*;
use crate::net::external_url::ExternalUrl;

/// `EAFNOSUPPORT` in `errno(3)`.
const EAFNOSUPPORT: i32 = 97;

/// A machine without connection tracking in a sandbox without netlink.
pub(super) fn facts() -> LocalFacts {
    let forbidden = Unread::Refused(EAFNOSUPPORT);
    LocalFacts {
        files: Ok(Usage { used: 23, limit: 16_384 }),
        port_range: Ok(PortRange { first: 32_768, last: 60_999 }),
        tcp_sockets: Ok(8),
        tcp_waiting: Ok(33),
        udp_sockets: Ok(5),
        tracked_flows: Err(Unread::Absent),
        source: Ok(Ok(address("10.0.1.4"))),
        next_hop: Err(forbidden),
        link: Err(forbidden),
        neighbour: Err(forbidden),
    }
}

pub(super) fn agent() -> SelfView {
    SelfView {
        vantage: "snet-mirror".to_owned(),
        external_url: ExternalUrl::parse("https://monitor.example/ase").ok(),
        started: AT - Duration::from_secs(3600),
        ready: true,
        schedule_lag: MS(3),
        schedule_wait: MS(40),
        schedule_delays: delays(),
        in_flight: 2,
        sockets: 3840,
        budget_spent: 5,
        reload_ok: true,
        loaded: AT - Duration::from_secs(3600),
        origin: "built-in defaults".to_owned(),
        warnings: vec!["no configuration file; resolvers come from /etc/resolv.conf".to_owned()],
        reload_from: Vec::new(),
    }
}

fn delays() -> Histogram {
    let mut delays = Histogram::default();
    [1, 1, 2, 3].into_iter().for_each(|late| delays.observe(MS(late)));
    delays
}
