//! What is known of each DNS server beyond whether it answers and how fast, as series: throttling, invented names, flags.

use std::net::SocketAddr;

use super::{Page, flag};
use crate::{
    engine::snapshot::Snapshot,
    readers::{resolver_health, resolver_health::ResolverHealth},
    resolvers::load::{Load, OUTCOMES},
};

/// The flags of an answer, in the order of [`flags`].
const FLAGS: [&str; 4] = ["aa", "ad", "ra", "tc"];

/// Adds the series.
pub(super) fn render(page: &mut Page, snapshot: &Snapshot) {
    let servers: Vec<(String, ResolverHealth<'_>)> =
        resolver_health::of(snapshot).into_iter().map(|health| (label(health.server), health)).collect();
    let loads: Vec<(String, &Load)> =
        snapshot.resolver_loads.iter().map(|(server, load)| (label(*server), load)).collect();
    answers(page, &loads);
    page.gauges(
        "ase_dns_resolver_throttled",
        "Whether the server lost our questions in the last ten minutes only in seconds with many of them, and recovered.",
        loads.iter().map(|(server, load)| ([("resolver", server.as_str())], flag(load.throttling().is_some()))),
    );
    let facts = servers.iter().flat_map(|(server, health)| {
        let values = flags(health);
        FLAGS.into_iter().zip(values).map(move |(name, value)| ([("resolver", server.as_str()), ("flag", name)], value))
    });
    page.gauges(
        "ase_dns_resolver_flag",
        "Flags of the server's last answer over UDP: aa authority, ad validated, ra recursion offered, tc cut; NaN without one.",
        facts,
    );
    let mut gauges = |name: &str, help: &str, value: fn(&ResolverHealth<'_>) -> f64| {
        page.gauges(
            name,
            help,
            servers.iter().map(|(server, health)| ([("resolver", server.as_str())], value(health))),
        );
    };
    gauges(
        "ase_dns_resolver_edns_payload_bytes",
        "The EDNS payload size that the server offers in its last answer over UDP; 0 without EDNS, NaN without an answer.",
        |health| health.udp_answer().map_or(f64::NAN, |answer| answer.edns_payload.map_or(0.0, f64::from)),
    );
    gauges(
        "ase_dns_resolver_transports_agree",
        "Whether the server's last answers over UDP and TCP are of the same kind; NaN while one is missing.",
        |health| health.agree().map_or(f64::NAN, flag),
    );
    gauges(
        "ase_dns_resolver_invents_names",
        "Whether the server gave an address for a name that cannot exist (NXDOMAIN rewriting); NaN while that is not known.",
        |health| health.invents.map_or(f64::NAN, flag),
    );
    page.gauge(
        "ase_dns_intercepted",
        "Whether something answered DNS at an address where no server can be; NaN while that was not asked.",
        snapshot.trial.as_ref().and_then(|trial| trial.intercepted).map_or(f64::NAN, flag),
    );
}

fn answers(page: &mut Page, loads: &[(String, &Load)]) {
    let rows = loads.iter().flat_map(|(server, load)| {
        OUTCOMES.map(|outcome| ([("resolver", server.as_str()), ("outcome", outcome.label())], load.count(outcome)))
    });
    page.counters(
        "ase_dns_answers_total",
        "How the server answered the agent's questions; the A and AAAA questions for one name count once.",
        rows,
    );
}

fn flags(health: &ResolverHealth<'_>) -> [f64; 4] {
    health.udp_answer().map_or([f64::NAN; 4], |answer| {
        [answer.authoritative, answer.authentic, answer.recursion_available, answer.truncated].map(flag)
    })
}

/// The server's address, with the port where it is not 53.
fn label(server: SocketAddr) -> String {
    if server.port() == 53 { server.ip().to_string() } else { server.to_string() }
}
