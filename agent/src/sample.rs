//! A small environment at one fixed moment, with an endpoint in every state, for the tests of the readers.

pub(crate) mod exports;
mod machine;
pub(crate) mod outlook;
pub(crate) mod shown;
mod troubled;
mod web;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use ase_probes::{
    cause::Cause,
    class::Class,
    dns,
    evidence::{Stop, TcpInfo, Trouble},
    http, ntp,
    outcome::{Outcome, Protocol},
    probe::Probe,
    resolve::Resolution,
    seen::{Phases, Seen},
    tcp, tds, tls,
    verdict::{Confidence, Finding, Phase, Verdict},
};

use crate::{
    engine::{
        histogram::Histogram,
        snapshot::{ClassView, SelfView, Snapshot},
    },
    model::{
        catalog::{
            About, Addresses, Basis, Catalog, Endpoint, EndpointId, ExpectAddress, Host, ResolvedBy, Severity, Slot,
            Stakes, Target, Workload,
        },
        endpoint::{EndpointView, Status, StoreView},
        settings::{ResolverSource, Resolvers},
        visit::{Untested, Visit},
    },
    resolvers::host_files::HostDns,
};

/// The moment of the sample: 2027-01-15T08:00:00Z.
pub(crate) const AT: Duration = Duration::from_secs(1_800_000_000);

const MS: fn(u64) -> Duration = Duration::from_millis;

/// Twelve endpoints of all seven classes and one slot.
pub(crate) fn snapshot() -> Snapshot {
    let endpoints = vec![
        resolver("10.0.0.4", dns::Transport::Udp),
        resolver("168.63.129.16", dns::Transport::Tcp),
        clock_server("ntp.ubuntu.com", None),
        clock_server("time.windows.com", Some(-0.000_25)),
        web::degraded_http(),
        web::healthy_https(),
        web::untestable_https(),
        web::warning_https(),
        troubled::lost_sql("asedb-a.database.windows.net", 40),
        troubled::lost_sql("asedb-b.database.windows.net", 41),
        troubled::accepting("10.1.0.8", Class::Monitoring),
        troubled::accepting("10.1.0.9", Class::Tcp),
    ];
    assemble(endpoints)
}

/// An environment with this many healthy HTTPS endpoints.
pub(crate) fn large(endpoints: usize) -> Snapshot {
    let make = |number: usize| {
        let mut view = web::healthy_https();
        let mut endpoint = (*view.endpoint).clone();
        endpoint.id = EndpointId(format!("host-{number}.example:443").into());
        view.endpoint = Arc::new(endpoint);
        view
    };
    Snapshot { names: Arc::default(), ..assemble((0..endpoints).map(make).collect()) }
}

/// Gives every endpoint this status, and the classes what follows from it.
pub(crate) fn set_all(snapshot: &mut Snapshot, status: Status) {
    for view in &mut snapshot.endpoints {
        Arc::make_mut(view).status = status;
    }
    snapshot.classes = classes(&snapshot.endpoints, &snapshot.catalog.slots);
}

/// Puts these endpoints into a snapshot.
pub(crate) fn assemble(views: Vec<EndpointView>) -> Snapshot {
    let views: Vec<_> = views.into_iter().map(Arc::new).collect();
    let slots = vec![Slot {
        name: "event_hub".to_owned(),
        class: Class::Monitoring,
        port: 443,
        purpose: "monitoring".to_owned(),
        hint: "list the environment's event hub namespace under `slots: event_hub:`".to_owned(),
        severity: Severity::Warning,
        source: "network-info.md".to_owned(),
        as_of: "2026-01-01".to_owned(),
    }];
    let catalog = Catalog {
        profile: "ase-v2".to_owned(),
        cloud: "public".to_owned(),
        edition: "2026-01-01".to_owned(),
        stakes: Stakes { suspends: true, means: "it is suspended when that lasts".to_owned() },
        falls_back: true,
        packs: Vec::new(),
        endpoints: views.iter().map(|view| Arc::clone(&view.endpoint)).collect(),
        slots,
    };
    let mut snapshot = Snapshot {
        number: 0,
        at: AT,
        agent: machine::agent(),
        machine: Arc::new(machine::facts()),
        resolvers: Resolvers {
            custom: vec![SocketAddr::new(address("10.0.0.4"), 53)],
            source: ResolverSource::File("/etc/resolv.conf".to_owned()),
            azure: SocketAddr::new(address("168.63.129.16"), 53),
        },
        classes: classes(&views, &catalog.slots),
        risk: Some(outlook::estimate()),
        incidents: outlook::incidents(),
        early: Some(outlook::early(&catalog)),
        store: StoreView {
            ok: Some(true),
            resets: 0,
            dropped: 0,
            recalled: Some(AT - Duration::from_secs(3660)),
            ..StoreView::default()
        },
        environment: Some(Arc::new(outlook::environment())),
        host_dns: HostDns {
            servers: vec![address("10.0.0.4")],
            suffixes: vec!["reddog.microsoft.com".to_owned()],
            ..HostDns::default()
        },
        resolver_loads: Arc::new(outlook::loads()),
        trial: Some(Arc::new(outlook::trial())),
        names: Arc::new(vec![Arc::new(outlook::bypassed()), Arc::new(outlook::uncompared())]),
        durations: Arc::new(durations(&views)),
        left_out: Vec::new(),
        exports: None,
        catalog: Arc::new(catalog),
        endpoints: views,
    };
    snapshot.exports = Some(exports::view(&snapshot));
    snapshot
}

fn classes(views: &[Arc<EndpointView>], slots: &[Slot]) -> Vec<ClassView> {
    let view_of = |class: Class| {
        let of = |test: fn(Status) -> bool| {
            views.iter().filter(|view| view.endpoint.class == class && test(view.status)).count()
        };
        let failed = |view: &&Arc<EndpointView>| matches!(view.status, Status::Failed(_));
        let worst = views.iter().filter(|view| view.endpoint.class == class).filter(failed);
        ClassView {
            class,
            endpoints: of(|_| true),
            up: of(|status| matches!(status, Status::Healthy | Status::Degraded(_))),
            failed: of(|status| matches!(status, Status::Failed(_))),
            unknown: of(|status| matches!(status, Status::Unknown(_))),
            worst: worst.map(|view| view.endpoint.severity).max(),
            not_configured: slots.iter().filter(|slot| slot.class == class).count(),
        }
    };
    let all = Class::ALL.into_iter().map(view_of);
    all.filter(|class| class.endpoints + class.not_configured > 0).collect()
}

fn durations(views: &[Arc<EndpointView>]) -> BTreeMap<(Class, Phase), Histogram> {
    let mut durations: BTreeMap<(Class, Phase), Histogram> = BTreeMap::new();
    for view in views {
        for visit in view.last.iter() {
            durations.entry((view.endpoint.class, Phase::None)).or_default().observe(visit.took);
            for (phase, elapsed) in visit.outcomes.iter().flat_map(|outcome| outcome.phases.iter()) {
                durations.entry((view.endpoint.class, phase)).or_default().observe(elapsed);
            }
        }
    }
    durations
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("the sample's addresses are well-formed")
}

fn endpoint(host: &str, port: u16, class: Class, probe: Probe) -> Endpoint {
    let fixed = host.parse::<IpAddr>();
    Endpoint {
        id: EndpointId(format!("{host}:{port}").into()),
        class,
        target: Target {
            host: fixed.map_or_else(|_| Host::Name(host.to_owned()), Host::Address),
            port,
            probe,
            addresses: Addresses::First,
            expect_address: ExpectAddress::Any,
            resolved_by: ResolvedBy::Custom,
            timeout: Duration::from_secs(5),
        },
        severity: Severity::Critical,
        interval: Duration::from_secs(30),
        about: About {
            documented_as: None,
            successor: None,
            purpose: "management".to_owned(),
            workload: Workload::Any,
            pack: None,
            basis: Basis::Documented,
            source: "network-info.md".to_owned(),
            as_of: "2026-01-01".to_owned(),
            note: None,
        },
    }
}

/// A healthy view of an endpoint after ten visits, the last of which brought `outcome`.
fn healthy(endpoint: Endpoint, outcome: Outcome) -> EndpointView {
    let resolution = match &endpoint.target.host {
        Host::Name(name) => Some(resolved(name, &[outcome.address.ip()], Vec::new())),
        Host::Address(_) => None,
    };
    let visit = Visit {
        began: AT - Duration::from_secs(12),
        took: outcome.phases.total(),
        phases: outcome.phases,
        result: Ok(outcome.verdict),
        outcomes: vec![outcome],
        resolution,
        unasked: Vec::new(),
        failed: Vec::new(),
        confirmed_by: 0,
        led_into_silence: false,
        remarks: Vec::new(),
    };
    EndpointView {
        endpoint: Arc::new(endpoint),
        status: Status::Healthy,
        since: AT - Duration::from_secs(3590),
        last: Some(Arc::new(visit)),
        attempts: 10,
        failures: BTreeMap::new(),
        diagnosis: None,
        last_success: Some(AT - Duration::from_secs(11)),
        reach: 0xff,
        handed_over: 0,
    }
}

fn outcome(host: IpAddr, port: u16, times: &[(Phase, Duration)], protocol: Protocol) -> Outcome {
    let mut phases = Phases::default();
    times.iter().for_each(|(phase, elapsed)| phases.record(*phase, *elapsed));
    let round_trip = times.first().map(|(_, elapsed)| *elapsed);
    let seen = Seen { round_trip, ..Seen::default() };
    Outcome { address: SocketAddr::new(host, port), phases, verdict: Verdict::Healthy, seen, protocol }
}

fn resolver(server: &str, transport: dns::Transport) -> EndpointView {
    let question = dns::Question::liveness("management.azure.com".to_owned(), transport);
    let protocol = answered(dns::Rcode::NoError, vec![address("203.0.113.7")]);
    healthy(
        endpoint(server, 53, Class::Dns, Probe::Dns(question)),
        outcome(address(server), 53, &[(Phase::Dns, MS(2))], protocol),
    )
}

fn answered(rcode: dns::Rcode, addresses: Vec<IpAddr>) -> Protocol {
    let answer = dns::Answer {
        rcode,
        authoritative: false,
        truncated: false,
        recursion_available: true,
        authentic: false,
        chain: Vec::new(),
        dead_end: None,
        addresses,
        hosts: Vec::new(),
        min_ttl: Some(Duration::from_secs(60)),
        soa_zone: None,
        edns_payload: Some(1232),
        extended_errors: Vec::new(),
        oddity: None,
        length: 65,
    };
    Protocol::Dns(Box::new(dns::Reply { answer: Some(answer), ..dns::Reply::default() }))
}

/// The custom DNS's answer about a name.
fn resolved(name: &str, addresses: &[IpAddr], failures: Vec<Outcome>) -> Resolution {
    Resolution {
        name: name.to_owned(),
        addresses: addresses.to_vec(),
        server: Some(SocketAddr::new(address("10.0.0.4"), 53)),
        elapsed: MS(2),
        failures,
        finding: None,
    }
}

/// A time server that is healthy with this offset in seconds, or was not visited yet.
fn clock_server(name: &str, offset: Option<f64>) -> EndpointView {
    let endpoint = endpoint(name, 123, Class::Ntp, Probe::Ntp(ntp::Question));
    let packet = offset.map(|offset| ntp::Packet {
        leap: 0,
        version: 4,
        stratum: 3,
        reference_id: [25, 66, 230, 1],
        root_delay: MS(20),
        root_dispersion: MS(5),
        offset,
        delay: MS(8),
        has_timestamps: true,
        ..ntp::Packet::default()
    });
    let known = packet.is_some();
    let reply = ntp::Reply { packet, strays: 0 };
    let protocol = Protocol::Ntp(Box::new(reply));
    let view = healthy(endpoint, outcome(address("20.101.57.9"), 123, &[(Phase::Ntp, MS(8))], protocol));
    if known {
        return view;
    }
    EndpointView {
        status: Status::Unknown(Untested::NotYet),
        last: None,
        attempts: 0,
        diagnosis: None,
        last_success: None,
        reach: 0,
        handed_over: 0,
        ..view
    }
}

const CONNECT: ase_probes::evidence::Operation = ase_probes::evidence::Operation::Connect;

fn stopped(host: IpAddr, port: u16, trouble: Trouble, elapsed: Duration, finding: Finding) -> Outcome {
    let mut outcome = outcome(host, port, &[(finding.phase, elapsed)], Protocol::Nothing);
    outcome.verdict = finding.failed();
    outcome.seen.round_trip = None;
    outcome.seen.stop = Some(Stop { phase: finding.phase, trouble, elapsed });
    outcome
}
