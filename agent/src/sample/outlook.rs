//! Samples of what goes beyond one endpoint: compared names and the risk.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use ase_probes::{
    cause::Cause,
    class::Class,
    verdict::{Confidence, Finding, Phase},
};

use super::{AT, address};
use crate::{
    early::{ClassEarly, EarlyView},
    imports::{
        environment::{AddressKind, Environment},
        memory::Memory,
    },
    model::{
        assumptions::Assumptions,
        catalog::{Catalog, EndpointId},
        contrast::Contrast,
        diagnosis::{Alternative, Incident, Judged, Ledger, Origin, Scope},
    },
    resolvers::{
        compare::{Answer, Circumstances, Comparison, ComparisonClass, DnsOutcome, Worry, classify},
        load::Loads,
        names::NameView,
        survey::Survey,
        trial::{ServerTrial, Trial},
    },
    risk::estimate::{Estimate, Loss, Risk},
};

/// What both servers said about a name, as a survey finds it.
pub(crate) fn survey(name: &str, (custom, azure): (Answer, Answer), known: Circumstances) -> Survey {
    Survey {
        name: name.to_owned(),
        server: SocketAddr::new(address("10.0.0.4"), 53),
        azure_server: SocketAddr::new(address("168.63.129.16"), 53),
        comparison: classify(name, &custom, &azure, &known),
        custom,
        azure,
        known,
        annotations: Vec::new(),
    }
}

/// A private endpoint that the custom DNS bypasses.
pub(super) fn bypassed() -> NameView {
    let custom = Answer::with(&["db.privatelink.database.windows.net"], &["203.0.113.50"]);
    let custom = Answer { recent: custom.addresses.clone(), ..custom };
    let azure = Answer::with(&["db.privatelink.database.windows.net"], &["10.0.2.5"]);
    let known = Circumstances::default();
    let comparison = Comparison {
        class: ComparisonClass::PrivateBypass,
        worry: Worry::Bad,
        rule: 15,
        equivalence: None,
        reason: "Azure DNS leads to a private endpoint, the custom DNS to the public address".to_owned(),
    };
    let name = "db.database.windows.net";
    let server = SocketAddr::new(address("10.0.0.4"), 53);
    let (annotations, asked) = (Vec::new(), name.to_owned());
    let survey = Survey {
        name: asked,
        server,
        azure_server: SocketAddr::new(address("168.63.129.16"), 53),
        custom,
        azure,
        known,
        comparison: comparison.clone(),
        annotations,
    };
    NameView {
        name: name.into(),
        last: Some(Arc::new(survey)),
        published: Some(comparison),
        changes: 1,
        since: AT,
        suspect: BTreeSet::new(),
    }
}

/// TCP 1433 dropped for every host, and what was counted before.
pub(super) fn incidents() -> Ledger {
    let open = Incident {
        id: 3,
        component: "TCP 1433 to every host".to_owned(),
        finding: Finding::new(Cause::Dropped, Phase::Connect, Confidence::Likely),
        scope: Scope::Port,
        hint: Some("a rule for this port is the first suspect"),
        endpoints: ["asedb-a", "asedb-b"]
            .map(|host| EndpointId(format!("{host}.database.windows.net:1433").into()))
            .to_vec(),
        hides: Vec::new(),
        evidence: vec![
            Contrast::SamePortWorks.words(false).to_owned(),
            Contrast::OtherPortsWork.words(true).to_owned(),
            "203.0.113.40:1433: connect phase: no answer before the deadline after 4000 ms".to_owned(),
        ],
        alternatives: vec![Alternative { cause: Cause::LocalFirewall, open: Contrast::ControlAnswers, answer: false }],
        judged: vec![Judged {
            rule: "R10",
            origin: Origin::Observed,
            contrasts: vec![Contrast::OtherPortsWork.words(true).to_owned()],
            endpoints: 2,
        }],
        since: AT - Duration::from_secs(755),
        published: AT - Duration::from_secs(746),
    };
    let opened = [(Cause::Dropped, 2), (Cause::DnsNxdomain, 1)].into_iter().collect();
    Ledger { open: vec![Arc::new(open)], closed: Vec::new(), opened, ..Ledger::default() }
}

/// An environment that runs, and whose outbound address changed a day ago.
pub(super) fn environment() -> Memory {
    let day = Duration::from_secs(86_400);
    let with = |outbound: &str| Environment {
        name: "ase-1".to_owned(),
        kind: Some("ASEV2".to_owned()),
        status: Some("Ready".to_owned()),
        suspended: Some(false),
        addresses: [(AddressKind::Outbound, [address(outbound)].into())].into(),
    };
    let (before, _) = Memory::note(None, with("203.0.113.40"), AT - day * 2);
    Memory::note(Some(before), with("203.0.113.41"), AT - day).0
}

/// The custom DNS lost a few questions, Azure DNS none.
pub(super) fn loads() -> Loads {
    let (custom, azure) = (SocketAddr::new(address("10.0.0.4"), 53), SocketAddr::new(address("168.63.129.16"), 53));
    let mut loads = Loads::new([custom, azure]);
    for (server, outcome) in
        [(custom, DnsOutcome::Answer), (custom, DnsOutcome::Timeout), (azure, DnsOutcome::Nxdomain)]
    {
        loads.hear(server, outcome, AT);
    }
    loads
}

/// Neither server invents names, and nothing intercepts.
pub(super) fn trial() -> Trial {
    let tried = |server| ServerTrial {
        server: SocketAddr::new(address(server), 53),
        outcome: DnsOutcome::Nxdomain,
        is_raced: false,
    };
    Trial { at: AT, intercepted: Some(false), servers: ["10.0.0.4", "168.63.129.16"].map(tried).into() }
}

/// A name before its first comparison.
pub(super) fn uncompared() -> NameView {
    NameView {
        name: "login.live.com".into(),
        last: None,
        published: None,
        changes: 0,
        since: Duration::ZERO,
        suspect: BTreeSet::new(),
    }
}

/// SQL was lost for an hour, everything else is well.
pub(super) fn estimate() -> Estimate {
    let mut risk = Risk::new(Assumptions::default(), Class::ALL);
    risk.step(risk.sequence() + 1, &BTreeMap::from([(Class::Sql, Loss::Known(1.0))]), Duration::from_secs(3600));
    risk.estimate()
}

/// SQL was lost for the last hour and never answered; round trips of the first HTTPS endpoint rise.
pub(super) fn early(catalog: &Catalog) -> EarlyView {
    let class = |class: Class| {
        let sql = ClassEarly { burn: [200.0, 200.0, 200.0, 100.0 / 3.0, 25.0 / 9.0], ..ClassEarly::default() };
        match class {
            Class::Sql => sql,
            Class::Https => ClassEarly {
                phi: Some(0.25),
                latency: Some(1.5),
                slowest: Some(EndpointId("login.microsoftonline.com:443".into())),
                ..ClassEarly::default()
            },
            Class::Dns | Class::Ntp | Class::Http | Class::Monitoring | Class::Tcp => {
                ClassEarly { phi: Some(0.125), latency: Some(0.0), ..ClassEarly::default() }
            }
        }
    };
    let classes = catalog.endpoints.iter().map(|endpoint| (endpoint.class, class(endpoint.class))).collect();
    EarlyView { classes, drifts: Arc::new(BTreeMap::from([(EndpointId("time.windows.com:123".into()), 12e-6)])) }
}
