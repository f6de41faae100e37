//! Groups of endpoints that fail together, and the scope of each.

use super::*;
use crate::{
    model::{
        endpoint::{EndpointView, Status},
        visit::Visit,
    },
    sample,
};
use ase_probes::{
    outcome::{Outcome, Protocol},
    seen::{Phases, Seen},
    verdict::{Confidence, Verdict},
};
use std::sync::Arc;

const ONSET: Duration = Duration::from_secs(1000);
const PLATFORM: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(168, 63, 129, 16));

/// Hosts outside, each with these ports; `fails` says which endpoints fail.
fn views(hosts: &[&str], ports: &[u16], fails: impl Fn(&str, u16) -> bool) -> Vec<Arc<EndpointView>> {
    let model = Arc::clone(&sample::snapshot().endpoints[0]);
    let mut views = Vec::new();
    for (number, host) in (1u8..).zip(hosts) {
        for port in ports {
            let mut endpoint = (*model.endpoint).clone();
            endpoint.target.host = Host::Name((*host).to_owned());
            endpoint.target.port = *port;
            endpoint.id = crate::model::catalog::EndpointId(format!("{host}:{port}").into());
            endpoint.target.probe = ase_probes::probe::Probe::Tcp(ase_probes::tcp::Question::default());
            let verdict = if fails(host, *port) { Verdict::Failed(dropped()) } else { Verdict::Healthy };
            let address = SocketAddr::from(([20, 0, 0, number], *port));
            let outcome = Outcome {
                address,
                phases: Phases::default(),
                verdict,
                seen: Seen::default(),
                protocol: Protocol::Nothing,
            };
            let visit = Visit {
                began: ONSET + Duration::from_secs(1),
                took: Duration::from_secs(4),
                phases: Phases::default(),
                resolution: None,
                outcomes: vec![outcome],
                unasked: Vec::new(),
                failed: Vec::new(),
                confirmed_by: 0,
                remarks: Vec::new(),
                result: Ok(verdict),
            };
            let mut view = EndpointView::clone(&model);
            view.endpoint = endpoint.into();
            view.status = Status::from(verdict);
            view.last = Some(Arc::new(visit));
            views.push(Arc::new(view));
        }
    }
    views
}

fn dropped() -> Finding {
    Finding::new(Cause::Dropped, Phase::Connect, Confidence::Possible)
}

/// The scopes of the groups that these endpoints' failures make, with how many each explains.
fn groups(views: &[Arc<EndpointView>]) -> Vec<(Scope, usize)> {
    let endpoints: Vec<_> = views.iter().map(|view| Arc::clone(&view.endpoint)).collect();
    let mut around = Neighbourhood::new(&endpoints, PLATFORM);
    for (index, view) in views.iter().enumerate() {
        around.take_in(index, view.last.as_ref().expect("every view was visited"));
    }
    let failing: Vec<Failing> = (0..views.len())
        .filter(|index| matches!(views[*index].status, Status::Failed(_)))
        .map(|index| Failing { index, finding: dropped(), peer: None, is_resolving: false, since: ONSET })
        .collect();
    let groups = localise(&failing, &around);
    let mut explained: Vec<usize> = groups.iter().flat_map(|group| group.members.clone()).collect();
    explained.sort_unstable();
    assert_eq!(explained, (0..failing.len()).collect::<Vec<_>>(), "every failure is in exactly one group");
    groups.iter().map(|group| (group.component.scope(), group.members.len())).collect()
}

#[test]
fn the_most_general_component_that_no_success_used_is_named() {
    let hosts = ["a.example", "b.example", "c.example"];
    let ports = [80, 443, 1433];
    assert_eq!(groups(&views(&hosts, &ports, |_, port| port == 1433)), [(Scope::Port, 3)]);
    assert_eq!(groups(&views(&hosts, &ports, |host, _| host == "b.example")), [(Scope::Host, 3)]);
    assert_eq!(groups(&views(&hosts, &ports, |_, _| true)), [(Scope::Egress, 9)]);
    assert_eq!(groups(&views(&hosts, &ports, |host, port| (host, port) == ("a.example", 80))), [(Scope::Endpoint, 1)]);
}

#[test]
fn two_broken_components_make_two_groups() {
    let hosts = ["a.example", "b.example", "c.example"];
    let both = views(&hosts, &[80, 443, 1433], |host, port| port == 1433 || (host == "a.example" && port == 80));
    assert_eq!(groups(&both), [(Scope::Port, 3), (Scope::Endpoint, 1)]);
    let two_ports = views(&hosts, &[80, 443, 1433], |_, port| port != 443);
    assert_eq!(groups(&two_ports), [(Scope::Port, 3), (Scope::Port, 3)]);
}

#[test]
fn one_host_alone_on_a_port_is_no_proof_against_the_port() {
    assert_eq!(groups(&views(&["a.example"], &[80, 443], |_, port| port == 443)), [(Scope::Endpoint, 1)]);
}

#[test]
fn a_success_from_before_the_fault_excludes_nothing() {
    let mut all = views(&["a.example", "b.example", "c.example"], &[443], |host, _| host != "c.example");
    let view = Arc::make_mut(&mut all[2]);
    let mut visit = (**view.last.as_ref().expect("every view was visited")).clone();
    visit.began = ONSET - Duration::from_secs(20);
    view.last = Some(Arc::new(visit));
    assert_eq!(groups(&all), [(Scope::Port, 2)]);
}

proptest::proptest! {
    #[test]
    fn every_failure_is_explained_exactly_once(mask in proptest::collection::vec(proptest::bool::ANY, 12)) {
        let hosts = ["a.example", "b.example", "c.example", "d.example"];
        let ports = [80u16, 443, 1433];
        let at = |host: &str, port: u16| {
            let row = hosts.iter().position(|other| *other == host).unwrap_or(0);
            let column = ports.iter().position(|other| *other == port).unwrap_or(0);
            mask[row * ports.len() + column]
        };
        groups(&views(&hosts, &ports, at));
    }
}
