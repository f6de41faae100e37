//! What an incident of DNS servers says of the questions: which names were asked in vain, over which transports, and what
//! Azure DNS does meanwhile.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ase_probes::{
    cause::Cause,
    dns::{Question, Transport},
    probe::Probe,
};

use crate::{
    diagnosis::neighbours::Neighbours,
    model::{
        catalog::{Endpoint, Host},
        endpoint::{EndpointView, Status},
    },
};

/// Names that are said; the others are counted.
const NAMED: usize = 3;

/// The lines, from the endpoints that an incident of this cause explains, and those among them whose name did not resolve;
/// none where the cause is no server's that leaves names unresolved.
pub(super) fn lines(
    cause: Cause,
    asked: &[&Endpoint],
    unresolved: &[&Endpoint],
    around: &Neighbours<'_>,
) -> Vec<String> {
    let does = match cause {
        Cause::DnsServfail => "answers SERVFAIL",
        Cause::DnsRefused => "answers REFUSED",
        Cause::DnsNoReply => "gives no answer",
        _ => return Vec::new(),
    };
    let mut servers: BTreeMap<IpAddr, Vec<&Question>> = BTreeMap::new();
    for (server, question) in asked.iter().filter_map(|endpoint| server(endpoint)) {
        servers.entry(server).or_default().push(question);
    }
    let of_servers = servers.iter().map(|(server, questions)| {
        let names: BTreeSet<&str> = questions.iter().map(|question| question.name.trim_end_matches('.')).collect();
        let names: Vec<&str> = names.into_iter().collect();
        let over = over(questions.iter().map(|question| question.transport));
        let other = answering(*server, around).map(|over| format!("; {over} it answers")).unwrap_or_default();
        format!("{server} {does} {over}, asked for {}{other}", listed(&names))
    });
    let of_names = {
        let names: BTreeSet<&str> = unresolved.iter().filter_map(|endpoint| name(endpoint)).collect();
        let names: Vec<&str> = names.into_iter().collect();
        (!names.is_empty()).then(|| format!("it leaves unresolved {}", listed(&names)))
    };
    let of_azure = if servers.contains_key(&around.platform) { None } else { azure(around) };
    of_servers.chain(of_names).chain(of_azure).collect()
}

fn server(endpoint: &Endpoint) -> Option<(IpAddr, &Question)> {
    match (&endpoint.target.host, &endpoint.target.probe) {
        (Host::Address(address), Probe::Dns(question)) => Some((*address, question)),
        _ => None,
    }
}

fn name(endpoint: &Endpoint) -> Option<&str> {
    match &endpoint.target.host {
        Host::Name(name) => Some(name),
        Host::Address(_) => None,
    }
}

/// What Azure DNS does, which tells whether the fault is the custom server's own.
fn azure(around: &Neighbours<'_>) -> Option<String> {
    let server = around.platform;
    let fails = views(server, around).filter(|(view, _)| matches!(view.status, Status::Failed(_)));
    let failing: Vec<Transport> = fails.map(|(_, question)| question.transport).collect();
    match answering(server, around) {
        Some(answering) if failing.is_empty() => Some(format!("Azure DNS ({server}) answers meanwhile {answering}")),
        Some(answering) => {
            Some(format!("Azure DNS ({server}) answers {answering}, and not {}", over(failing.into_iter())))
        }
        None if failing.is_empty() => None,
        None => Some(format!("Azure DNS ({server}) fails as well: it is not this server alone")),
    }
}

/// Over which transports a server answers, where it does.
fn answering(server: IpAddr, around: &Neighbours<'_>) -> Option<String> {
    let works = views(server, around).filter(|(view, _)| view.status == Status::Healthy);
    let transports: Vec<Transport> = works.map(|(_, question)| question.transport).collect();
    (!transports.is_empty()).then(|| over(transports.into_iter()))
}

/// The endpoints that ask a server.
fn views<'a>(server: IpAddr, around: &Neighbours<'a>) -> impl Iterator<Item = (&'a EndpointView, &'a Question)> {
    let asked = move |view: &'a EndpointView| {
        let (address, question) = self::server(&view.endpoint)?;
        (address == server).then_some((view, question))
    };
    around.views.iter().filter_map(move |view| asked(view))
}

fn over(transports: impl Iterator<Item = Transport>) -> String {
    let label = |transport| match transport {
        Transport::Udp => "UDP",
        Transport::Tcp => "TCP",
    };
    let mut labels: Vec<&str> = transports.map(label).collect();
    labels.sort_unstable_by(|one, other| other.cmp(one));
    labels.dedup();
    format!("over {}", labels.join(" and "))
}

/// The first names, and how many more there are.
fn listed(names: &[&str]) -> String {
    let first = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => first,
        1 => format!("{first} and 1 more name"),
        more => format!("{first} and {more} more names"),
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use ase_probes::verdict::{Confidence, Finding, Phase};

    use super::*;
    use crate::{
        resolvers::names::{Cadence, Comparisons},
        sample,
    };

    const AZURE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(168, 63, 129, 16));

    /// The sample's endpoint with this start of its id, asked over this transport, in this status.
    fn asked(start: &str, transport: Transport, status: Status) -> Arc<EndpointView> {
        let snapshot = sample::snapshot();
        let view =
            snapshot.endpoints.iter().find(|view| view.endpoint.id.0.starts_with(start)).expect("it is in the sample");
        let mut view = EndpointView::clone(view);
        let mut endpoint = (*view.endpoint).clone();
        if let Probe::Dns(question) = &mut endpoint.target.probe {
            (question.transport, question.name) = (transport, "management.azure.com.".to_owned());
        }
        (view.endpoint, view.status) = (Arc::new(endpoint), status);
        Arc::new(view)
    }

    fn told(azure: Status, over_tcp: Status, unresolved: &[&str]) -> Vec<String> {
        let lost = Status::Failed(Finding::new(Cause::DnsServfail, Phase::Dns, Confidence::Confirmed));
        let views = [
            asked("10.0.0.4:53", Transport::Udp, lost),
            asked("10.0.0.4:53", Transport::Tcp, over_tcp),
            asked("168.63.129.16:53", Transport::Tcp, azure),
        ];
        let names = Comparisons::new([], Cadence::Once, ase_probes::clock::now());
        let around = Neighbours { views: &views, names: &names, platform: AZURE, now: Duration::ZERO };
        let snapshot = sample::snapshot();
        let model = &snapshot.endpoints[0].endpoint;
        let named = |name: &&str| {
            let mut endpoint = (**model).clone();
            endpoint.target.host = Host::Name((*name).to_owned());
            endpoint
        };
        let unresolved: Vec<Endpoint> = unresolved.iter().map(named).collect();
        let lost: Vec<&Endpoint> =
            views[..2].iter().filter(|view| view.status == lost).map(|view| &*view.endpoint).collect();
        lines(Cause::DnsServfail, &lost, &unresolved.iter().collect::<Vec<_>>(), &around)
    }

    #[test]
    fn a_server_that_cannot_resolve_is_told_with_names_transports_and_what_azure_dns_does() {
        let lost = Status::Failed(Finding::new(Cause::DnsServfail, Phase::Dns, Confidence::Confirmed));
        let said = told(Status::Healthy, lost, &["a.example", "b.example", "c.example", "d.example", "a.example"]);
        assert_eq!(
            said,
            [
                "10.0.0.4 answers SERVFAIL over UDP and TCP, asked for management.azure.com",
                "it leaves unresolved a.example, b.example, c.example and 1 more name",
                "Azure DNS (168.63.129.16) answers meanwhile over TCP",
            ]
        );
        let said = told(lost, Status::Healthy, &[]);
        assert_eq!(
            said,
            [
                "10.0.0.4 answers SERVFAIL over UDP, asked for management.azure.com; over TCP it answers",
                "Azure DNS (168.63.129.16) fails as well: it is not this server alone",
            ]
        );
    }

    #[test]
    fn of_any_other_cause_nothing_is_said() {
        let names = Comparisons::new([], Cadence::Once, ase_probes::clock::now());
        let around = Neighbours { views: &[], names: &names, platform: AZURE, now: Duration::ZERO };
        assert!(lines(Cause::Dropped, &[], &[], &around).is_empty());
    }
}
