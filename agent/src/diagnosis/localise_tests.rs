//! Groups of endpoints that fail together, and the scope of each.

use super::*;
use crate::{
    model::{
        endpoint::{EndpointView, Status},
        target::ResolvedBy,
        visit::Visit,
    },
    sample,
};
use ase_probes::{
    evidence::TcpInfo,
    outcome::{Outcome, Protocol},
    seen::{Phases, Seen},
    verdict::{Confidence, Phase, Verdict},
};
use std::sync::Arc;

pub(super) const ONSET: Duration = Duration::from_secs(1000);
pub(super) const PLATFORM: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(168, 63, 129, 16));

/// Hosts outside, each with these ports; `fails` says which endpoints fail.
pub(super) fn views(hosts: &[&str], ports: &[u16], fails: impl Fn(&str, u16) -> bool) -> Vec<Arc<EndpointView>> {
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
                led_into_silence: false,
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

pub(super) fn dropped() -> Finding {
    Finding::new(Cause::Dropped, Phase::Connect, Confidence::Possible)
}

pub(super) fn failing(index: usize) -> Failing {
    let (servers, router) = (Vec::new(), None);
    Failing {
        index,
        finding: dropped(),
        peer: None,
        servers,
        router,
        is_resolving: false,
        since: ONSET,
        noticed: ONSET,
        is_confirmed: true,
        comes_and_goes_with_others: false,
    }
}

/// What the components of the groups that these failures make are called.
pub(super) fn components(views: &[Arc<EndpointView>], failing: &[Failing]) -> Vec<String> {
    let endpoints: Vec<_> = views.iter().map(|view| Arc::clone(&view.endpoint)).collect();
    let mut around = Neighbourhood::new(&endpoints, PLATFORM);
    for (index, view) in views.iter().enumerate() {
        let visit = view.last.as_ref().expect("every view was visited");
        around.take_in(index, visit, visit.began);
    }
    localise(failing, &around, &|_| false).iter().map(|group| group.component.to_string()).collect()
}

/// The scopes of the groups that these endpoints' failures make, with how many each explains.
fn groups(views: &[Arc<EndpointView>]) -> Vec<(Scope, usize)> {
    let endpoints: Vec<_> = views.iter().map(|view| Arc::clone(&view.endpoint)).collect();
    let mut around = Neighbourhood::new(&endpoints, PLATFORM);
    for (index, view) in views.iter().enumerate() {
        let visit = view.last.as_ref().expect("every view was visited");
        around.take_in(index, visit, visit.began);
    }
    let failing: Vec<Failing> =
        (0..views.len()).filter(|index| matches!(views[*index].status, Status::Failed(_))).map(failing).collect();
    let groups = localise(&failing, &around, &|_| false);
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

/// A name that these DNS servers did not resolve.
fn unresolved(index: usize, servers: &[&str]) -> Failing {
    let servers: Vec<SocketAddr> = servers.iter().map(|server| server.parse().expect("a server")).collect();
    let finding = Finding::new(Cause::DnsServfail, Phase::Dns, Confidence::Confirmed);
    Failing { finding, peer: servers.last().copied(), servers, is_resolving: true, ..failing(index) }
}

#[test]
fn names_that_every_server_failed_are_lost_with_all_of_them() {
    let all = views(&["a.example", "b.example"], &[443], |_, _| true);
    let both = ["10.0.0.53:53", "10.0.0.54:53"];
    let lost = [unresolved(0, &both), unresolved(1, &both)];
    assert_eq!(components(&all, &lost), ["both DNS servers, 10.0.0.53 and 10.0.0.54"]);
    let cut_short = [unresolved(0, &both), unresolved(1, &both[..1])];
    assert_eq!(components(&all, &cut_short), ["both DNS servers, 10.0.0.53 and 10.0.0.54"], "one ran out of time");
    let one = [unresolved(0, &both[..1]), unresolved(1, &both[..1])];
    assert_eq!(components(&all, &one), ["the DNS server 10.0.0.53"]);
}

/// Two DNS servers, another one that answers, and a name; nobody's visit but the third server's shows that it works.
fn two_servers() -> Vec<Arc<EndpointView>> {
    let mut all =
        views(&["10.0.0.53", "10.0.0.54", "168.63.129.16", "a.example"], &[53], |host, _| host != "168.63.129.16");
    for view in &mut all[..3] {
        let view = Arc::make_mut(view);
        let mut endpoint = (*view.endpoint).clone();
        let address = endpoint.target.host.to_string().parse().expect("an address");
        endpoint.target.host = Host::Address(address);
        let question = ase_probes::dns::Question::address(
            "b.example".to_owned(),
            ase_probes::dns::RecordType::A,
            ase_probes::dns::Transport::Udp,
        );
        endpoint.target.probe = ase_probes::probe::Probe::Dns(question);
        view.endpoint = endpoint.into();
    }
    all
}

fn for_cause(cause: Cause, failing: Failing) -> Failing {
    Failing { finding: Finding { cause, ..failing.finding }, ..failing }
}

#[test]
fn an_incident_names_only_the_servers_that_show_its_cause() {
    let (all, both) = (two_servers(), ["10.0.0.53:53", "10.0.0.54:53"]);
    let of = |causes: [Cause; 2], name: Cause, servers: &[&str]| {
        let own = [0, 1].map(|index| for_cause(causes[index], failing(index)));
        components(&all, &[own.as_slice(), &[for_cause(name, unresolved(3, servers))]].concat())
    };
    use Cause::{DnsNoReply, DnsRefused, DnsServfail, Dropped, Refused};
    let (one, other) = ("the DNS server 10.0.0.53", "the DNS server 10.0.0.54");
    assert_eq!(of([Refused, Dropped], Refused, &both[..1]), ["single hosts on UDP 53", one]);
    assert_eq!(of([DnsServfail, DnsRefused], DnsRefused, &both[1..]), ["single hosts on UDP 53", other]);
    // Both are silent to a name; at one of them something listens.
    assert_eq!(of([DnsNoReply, Dropped], Dropped, &both), [other, "single hosts on UDP 53"]);
    assert_eq!(of([Refused, Refused], Refused, &both), ["both DNS servers, 10.0.0.53 and 10.0.0.54"]);
    assert_eq!(of([Refused, Dropped], DnsNoReply, &both).len(), 3, "what nobody shows by itself both are asked about");
}

#[test]
fn dns_servers_that_are_all_lost_are_lost_together_though_no_name_shows_it() {
    let all = two_servers();
    let lost = [0, 1].map(|index| for_cause(Cause::Refused, failing(index)));
    assert_eq!(components(&all, &lost), ["both DNS servers, 10.0.0.53 and 10.0.0.54"].map(str::to_owned));
    assert_eq!(components(&all, &lost[..1]).len(), 1);
    assert!(components(&all, &lost[..1])[0].starts_with("single hosts"));
}

#[test]
fn many_dns_servers_are_counted_and_not_all_listed() {
    let of = |count: u8| Component::Resolvers((1..=count).map(|last| [10, 0, 0, last].into()).collect()).to_string();
    assert_eq!(of(3), "all 3 DNS servers: 10.0.0.1, 10.0.0.2, 10.0.0.3");
    assert_eq!(of(200), "all 200 DNS servers: 10.0.0.1, 10.0.0.2, 10.0.0.3 and 197 more");
}

#[test]
fn a_name_that_fails_at_servers_that_resolve_others_is_no_lost_server() {
    let mut all = views(&["a.example", "b.example"], &[443], |host, _| host == "a.example");
    let view = Arc::make_mut(&mut all[1]);
    let mut visit = (**view.last.as_ref().expect("every view was visited")).clone();
    visit.resolution = Some(ase_probes::resolve::Resolution {
        name: "b.example".to_owned(),
        addresses: vec![[20, 0, 0, 2].into()],
        server: Some(([10, 0, 0, 53], 53).into()),
        elapsed: Duration::ZERO,
        failures: Vec::new(),
        finding: None,
    });
    view.last = Some(Arc::new(visit));
    // Both servers were asked for the lost name, and the last one resolves nothing as nobody has to ask it.
    let lost = [unresolved(0, &["10.0.0.53:53", "10.0.0.54:53"])];
    assert_eq!(components(&all, &lost), ["the name a.example at both DNS servers, 10.0.0.53 and 10.0.0.54"]);
}

#[test]
fn a_server_that_is_lost_is_named_at_once_though_one_name_failed_there_long_before() {
    let hosts = ["a.example", "b.example", "c.example", "d.example", "e.example"];
    let all = views(&hosts, &[443], |_, _| false);
    let endpoints: Vec<_> = all.iter().map(|view| Arc::clone(&view.endpoint)).collect();
    let mut around = Neighbourhood::new(&endpoints, PLATFORM);
    let at = |index: usize, seconds: u64, is_found: bool| {
        let mut visit = (**all[index].last.as_ref().expect("every view was visited")).clone();
        visit.began = Duration::from_secs(seconds);
        visit.resolution = is_found.then(|| ase_probes::resolve::Resolution {
            name: hosts[index].to_owned(),
            addresses: vec![[20, 0, 0, 9].into()],
            server: Some(([10, 0, 0, 53], 53).into()),
            elapsed: Duration::ZERO,
            failures: Vec::new(),
            finding: None,
        });
        if !is_found {
            (visit.outcomes, visit.result) = (Vec::new(), Ok(dropped().failed()));
        }
        visit
    };
    // The last one worked a moment ago, and was not asked since.
    for index in 1..5 {
        let visit = at(index, 990, true);
        around.take_in(index, &visit, visit.began);
    }
    for index in 0..4 {
        let visit = at(index, 1001, false);
        around.take_in(index, &visit, visit.began);
    }
    let server = ["10.0.0.53:53"];
    let before = Duration::from_secs(100);
    let old = Failing { since: before, noticed: before, ..unresolved(0, &server) };
    let failing = [old, unresolved(1, &server), unresolved(2, &server), unresolved(3, &server)];
    let groups = localise(&failing, &around, &|_| false);
    let told: Vec<_> = groups.iter().map(|group| (group.component.to_string(), group.since)).collect();
    let name = "the name a.example at the DNS server 10.0.0.53".to_owned();
    assert_eq!(told, [("the DNS server 10.0.0.53".to_owned(), ONSET), (name, before)]);
}

/// What the failures of these names at 10.0.0.53 have in common, which resolved the last host's name.
fn denied(hosts: &[&str]) -> Vec<String> {
    let last = hosts.len() - 1;
    let mut all = views(hosts, &[443], |host, _| host != hosts[last]);
    let view = Arc::make_mut(&mut all[last]);
    let mut visit = (**view.last.as_ref().expect("every view was visited")).clone();
    visit.resolution = Some(ase_probes::resolve::Resolution {
        name: hosts[last].to_owned(),
        addresses: vec![[20, 0, 0, 9].into()],
        server: Some(([10, 0, 0, 53], 53).into()),
        elapsed: Duration::ZERO,
        failures: Vec::new(),
        finding: None,
    });
    view.last = Some(Arc::new(visit));
    let lost: Vec<Failing> = (0..last).map(|index| unresolved(index, &["10.0.0.53:53"])).collect();
    components(&all, &lost)
}

#[test]
fn names_of_one_zone_that_servers_deny_while_they_resolve_others_are_that_zone() {
    let zone = "the zone database.windows.net at the DNS server 10.0.0.53";
    let (a, b) = ("a.database.windows.net", "b.database.windows.net");
    assert_eq!(denied(&[a, b, "login.example"]), [zone]);
    assert_eq!(denied(&[a, b, "c.database.windows.net"]), ["single names at the DNS server 10.0.0.53"], "c works");
    assert_eq!(denied(&[a, "login.example"]), ["the name a.database.windows.net at the DNS server 10.0.0.53"]);
    assert_eq!(
        denied(&[a, b, "x.blob.core.windows.net", "login.example"]),
        ["the zone windows.net at the DNS server 10.0.0.53"]
    );
    assert_eq!(
        denied(&[a, b, "x.example.org", "y.blob.core.windows.net"]),
        [zone, "the name x.example.org at the DNS server 10.0.0.53"]
    );
    assert_eq!(denied(&[a, "x.blob.core.windows.net", "login.example"]).len(), 1);
    assert!(denied(&[a, "x.blob.core.windows.net", "login.example"])[0].starts_with("single names at"));
}

#[test]
fn a_server_that_is_itself_in_trouble_is_what_fails_though_it_resolves_some_names() {
    let mut all = views(&["the server", "b.example", "c.example"], &[53], |host, _| host != "c.example");
    let view = Arc::make_mut(&mut all[2]);
    let mut visit = (**view.last.as_ref().expect("every view was visited")).clone();
    visit.resolution = Some(ase_probes::resolve::Resolution {
        name: "c.example".to_owned(),
        addresses: vec![[20, 0, 0, 3].into()],
        server: Some(([10, 0, 0, 53], 53).into()),
        elapsed: Duration::ZERO,
        failures: Vec::new(),
        finding: None,
    });
    view.last = Some(Arc::new(visit));
    let server = Arc::make_mut(&mut all[0]);
    let mut endpoint = (*server.endpoint).clone();
    endpoint.target.host = Host::Address([10, 0, 0, 53].into());
    server.endpoint = endpoint.into();
    let ill = Failing { finding: unresolved(1, &["10.0.0.53:53"]).finding, ..failing(0) };
    assert_eq!(components(&all, &[ill, unresolved(1, &["10.0.0.53:53"])]), ["the DNS server 10.0.0.53"]);
    assert_eq!(
        components(&all, &[unresolved(1, &["10.0.0.53:53"])]),
        ["the name b.example at the DNS server 10.0.0.53"]
    );
}

#[test]
fn a_port_where_some_are_lost_and_the_rest_are_degraded_for_the_same_cause_is_lost_as_a_whole() {
    let mut all = views(&["a.example", "b.example", "c.example", "d.example"], &[80, 443], |host, port| {
        port == 443 && host < "c"
    });
    for index in [5, 7] {
        let view = Arc::make_mut(&mut all[index]);
        let mut visit = (**view.last.as_ref().expect("every view was visited")).clone();
        visit.result = Ok(Verdict::Degraded(dropped()));
        view.last = Some(Arc::new(visit));
    }
    assert_eq!(components(&all, &[1, 3, 5, 7].map(failing)), ["TCP 443 to every host"]);
    assert_eq!(components(&all, &[1, 3, 5].map(failing)).len(), 1, "the fourth works");
    assert!(!components(&all, &[1, 3, 5].map(failing))[0].contains("every host"));
}

#[test]
fn hosts_of_one_prefix_and_hosts_behind_one_router_have_that_in_common() {
    let hosts = ["a.example", "b.example", "c.example", "d.example"];
    let mut all = views(&hosts, &[443], |host, _| host < "d");
    let behind = |index| Failing { router: Some([192, 0, 2, 9].into()), ..failing(index) };
    assert_eq!(components(&all, &[0, 1, 2].map(behind)), ["what lies behind the router 192.0.2.9"]);
    assert_eq!(components(&all, &[0, 1, 2].map(failing)), ["single hosts on TCP 443"], "another one there works");
    let view = Arc::make_mut(&mut all[3]);
    let mut visit = (**view.last.as_ref().expect("every view was visited")).clone();
    visit.outcomes[0].address = ([20, 1, 0, 4], 443).into();
    view.last = Some(Arc::new(visit));
    assert_eq!(components(&all, &[0, 1, 2].map(failing)), ["the addresses in 20.0.0.0/24"]);
    assert_eq!(components(&all, &[0, 1].map(failing)), ["single hosts on TCP 443"], "two may share a rack");
}

#[test]
fn a_host_with_several_ports_within_a_lost_prefix_or_behind_a_router_is_no_component_of_its_own() {
    let hosts = ["a.example", "b.example", "c.example", "d.example"];
    let mut all = views(&hosts, &[80, 443], |host, port| host == "a.example" || host < "d" && port == 443);
    for number in [3, 5] {
        // Their port 80 is somewhere else, and well.
        let view = Arc::make_mut(&mut all[number - 1]);
        let mut visit = (**view.last.as_ref().expect("every view was visited")).clone();
        visit.outcomes[0].address = ([20, 1, 0, number as u8], 80).into();
        view.last = Some(Arc::new(visit));
    }
    for number in [6, 7] {
        let view = Arc::make_mut(&mut all[number]);
        let mut visit = (**view.last.as_ref().expect("every view was visited")).clone();
        visit.outcomes[0].address = ([20, 2, 0, 4], 443).into();
        view.last = Some(Arc::new(visit));
    }
    let lost = [0, 1, 3, 5];
    assert_eq!(components(&all, &lost.map(failing)), ["the addresses in 20.0.0.0/24"]);
    let behind = |index| Failing { router: Some([192, 0, 2, 9].into()), ..failing(index) };
    assert_eq!(components(&all, &lost.map(behind)), ["what lies behind the router 192.0.2.9"]);
    assert_eq!(components(&all, &[0, 1].map(failing)), ["the host a.example"]);
}

/// The hosts at these addresses, of which all but the last fail.
fn all_but_the_last(addresses: &[[u8; 4]]) -> Vec<String> {
    let hosts: Vec<String> = (0..addresses.len()).map(|number| format!("h{number}.example")).collect();
    let last = hosts.len() - 1;
    let mut all = views(&hosts.iter().map(String::as_str).collect::<Vec<_>>(), &[443], |host, _| host != hosts[last]);
    for (view, address) in all.iter_mut().zip(addresses) {
        let view = Arc::make_mut(view);
        let mut visit = (**view.last.as_ref().expect("every view was visited")).clone();
        visit.outcomes[0].address = (*address, 443).into();
        view.last = Some(Arc::new(visit));
    }
    components(&all, &(0..last).map(failing).collect::<Vec<_>>())
}

#[test]
fn the_longest_prefix_is_named_in_which_several_are_lost_and_nobody_works() {
    let (one, two, three) = ([13, 64, 2, 1], [13, 64, 3, 1], [13, 64, 2, 9]);
    assert_eq!(all_but_the_last(&[one, two, three, [20, 0, 0, 1]]), ["the addresses in 13.64.2.0/23"]);
    let spread = [[13, 64, 2, 1], [13, 64, 100, 1], [13, 64, 50, 9], [13, 64, 9, 9], [13, 64, 77, 1]];
    let beside = |last: [u8; 4]| all_but_the_last(&[&spread[..], &[last]].concat());
    assert_eq!(beside([13, 65, 0, 1]), ["the addresses in 13.64.0.0/17"]);
    assert_eq!(beside([13, 64, 60, 1]), ["single hosts on TCP 443"], "another one there works");
    let apart = [[13, 64, 2, 1], [13, 80, 100, 1], [13, 96, 50, 9], [20, 0, 0, 1]];
    assert_eq!(all_but_the_last(&apart), ["single hosts on TCP 443"], "half of a provider lies in so short a prefix");
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

#[test]
fn two_slow_servers_among_many_are_no_slow_network_and_a_slow_network_is_one() {
    let hosts = ["a.example", "b.example", "c.example", "d.example", "e.example", "f.example"];
    let all = views(&hosts, &[443, 1433], |_, _| false);
    let endpoints: Vec<_> = all.iter().map(|view| Arc::clone(&view.endpoint)).collect();
    let mut around = Neighbourhood::new(&endpoints, PLATFORM);
    for (index, view) in all.iter().enumerate() {
        let visit = view.last.as_ref().expect("every view was visited");
        around.take_in(index, visit, visit.began);
    }
    let slow = |index| {
        let finding = Finding::new(Cause::Slow, Phase::Response, Confidence::Likely);
        Failing { finding, ..failing(index) }
    };
    let told = |slow_ones: &[usize], grows: &dyn Fn(usize) -> bool| {
        let failing: Vec<Failing> = slow_ones.iter().copied().map(slow).collect();
        let groups = localise(&failing, &around, grows);
        assert_eq!(groups.len(), 1, "one incident, however far it reaches");
        groups[0].component.to_string()
    };
    assert_eq!(told(&[0, 2], &|_| false), "single hosts on TCP 443");
    assert_eq!(told(&[0, 3], &|_| false), "single hosts on several ports");
    assert_eq!(told(&[0, 2], &|index| index % 2 == 0), "TCP 443 to every host", "the others are about to be told");
    assert_eq!(told(&[0, 2, 4, 6, 8, 10], &|_| false), "TCP 443 to every host");
    assert_eq!(told(&[0, 1, 2, 3, 4, 5], &|_| false), "everything outside this network", "half of it");
    assert_eq!(told(&[0, 1], &|_| false), "the host a.example");
}

#[test]
fn two_hosts_are_both_hosts() {
    let port = |hosts: &[&str]| {
        let all = views(hosts, &[80, 1433], |_, port| port == 1433);
        components(&all, &(0..hosts.len()).map(|host| failing(2 * host + 1)).collect::<Vec<_>>())
    };
    assert_eq!(port(&["a.example", "b.example"]), ["TCP 1433 to both hosts"]);
    assert_eq!(port(&["a.example", "b.example", "c.example"]), ["TCP 1433 to every host"]);
}

#[test]
fn two_hosts_whose_large_packets_vanish_are_no_lost_network_where_full_segments_come_from_others_meanwhile() {
    let hosts = ["a.example", "b.example", "c.example", "d.example", "e.example"];
    let second = |seconds: u64| ONSET + Duration::from_secs(seconds);
    // Who is hit from the first second on, and is known to be from the fifth on until the 20th; and what the others get in
    // their visits, in segments of this size.
    let told = |hit: &[usize], unacked: u32, others: &[(usize, u64, u32)]| {
        let all = views(&hosts, &[443, 1433], |_, _| false);
        let endpoints: Vec<_> = all.iter().map(|view| Arc::clone(&view.endpoint)).collect();
        let mut around = Neighbourhood::new(&endpoints, PLATFORM);
        let finding = Finding::new(Cause::MtuBlackhole, Phase::Tls, Confidence::Confirmed);
        let mut show = |index: usize, began: Duration, verdict: Verdict, tcp: TcpInfo| {
            let mut visit = Visit::clone(all[index].last.as_ref().expect("every view was visited"));
            (visit.result, visit.outcomes[0].verdict, visit.outcomes[0].seen.tcp) = (Ok(verdict), verdict, Some(tcp));
            around.take_in(index, &visit, began);
        };
        let lost = TcpInfo { unacked, segment_size: 1448, received_segment: 536, ..TcpInfo::default() };
        hit.iter().for_each(|index| show(*index, second(20), Verdict::Failed(finding), lost));
        for (index, began, received_segment) in others {
            let came = TcpInfo { received_segment: *received_segment, unacked: 0, ..lost };
            show(*index, second(*began), Verdict::Healthy, came);
        }
        let peer = |index: &usize| all[*index].last.as_ref().map(|visit| visit.outcomes[0].address);
        let since = |index: &usize| Failing { peer: peer(index), finding, noticed: second(5), ..failing(*index) };
        let failing: Vec<Failing> = hit.iter().map(since).collect();
        let groups = localise(&failing, &around, &|_| false);
        assert_eq!(groups.len(), 1, "one incident, however far it reaches");
        groups[0].component.to_string()
    };
    let (all, some, port) =
        ("everything outside this network", "single hosts on several ports", "TCP 443 to every host");
    // The endpoints with even numbers are on 443, those with odd ones on 1433, two of each host.
    assert_eq!(told(&[0, 3], 0, &[(4, 10, 1448)]), some);
    assert_eq!(told(&[0, 3], 0, &[(4, 10, 1448), (4, 25, 1448)]), some, "meanwhile, whatever came last");
    assert_eq!(told(&[0, 3], 0, &[]), all, "nobody is known to be well");
    assert_eq!(told(&[0, 3], 0, &[(4, 10, 536), (6, 10, 1400)]), all, "smaller ones show nothing");
    assert_eq!(told(&[0, 3], 0, &[(4, 3, 1448)]), all, "the fault may have begun later");
    assert_eq!(told(&[0, 3], 0, &[(4, 25, 1448)]), all, "it may be over");
    assert_eq!(told(&[0, 3], 1, &[(4, 10, 1448)]), all, "what is lost is what this machine sends");
    assert_eq!(told(&[0, 2, 4, 3, 5], 0, &[(6, 10, 1448)]), all, "one that goes another way");
    assert_eq!(told(&[0, 2], 0, &[(4, 10, 1448)]), port);
    assert_eq!(told(&[0, 2], 0, &[(4, 10, 1448), (6, 10, 1448)]), "single hosts on TCP 443");
    assert_eq!(told(&[0, 2], 0, &[(5, 10, 1448), (7, 10, 1448)]), port, "on another port");
    assert_eq!(told(&[0, 1], 0, &[(4, 10, 1448)]), "the host a.example");
}

#[test]
fn who_worked_with_the_same_thing_wrong_and_fails_in_another_way_now_leaves_the_others_as_wide_as_they_were() {
    let all = views(&["a.example", "b.example", "c.example", "d.example"], &[443], |_, _| false);
    let endpoints: Vec<_> = all.iter().map(|view| Arc::clone(&view.endpoint)).collect();
    let accepted = Finding::new(Cause::ProxiedBlind, Phase::Connect, Confidence::Likely);
    let members = [0, 1, 2].map(|index| Failing { finding: accepted, since: ONSET - 6 * APART, ..failing(index) });
    let told = |has_flaw: bool| {
        let mut around = Neighbourhood::new(&endpoints, PLATFORM);
        for (index, view) in all.iter().enumerate() {
            let visit = view.last.as_ref().expect("every view was visited");
            around.take_in(index, visit, visit.began);
            if has_flaw {
                around.note_flaw(index, accepted.cause);
            }
        }
        let gone = Verdict::Failed(dropped());
        let visit = Visit::clone(all[3].last.as_ref().expect("it was visited"));
        around.take_in(3, &Visit { result: Ok(gone), ..visit }, ONSET + APART);
        localise(&members, &around, &|_| false)[0].component.to_string()
    };
    assert_eq!([true, false].map(told), ["TCP 443 to every host", "single hosts on TCP 443"]);
}

#[test]
fn a_name_that_azure_dns_resolved_says_nothing_of_a_custom_dns_server_that_is_lost() {
    let server = SocketAddr::from(([10, 0, 0, 4], 53));
    let told = |resolved_by: ResolvedBy| {
        let all = views(&["a.one.example", "b.two.example", "c.three.example", "d.four.example"], &[443], |_, _| false);
        let mut endpoints: Vec<_> = all.iter().map(|view| Arc::clone(&view.endpoint)).collect();
        Arc::make_mut(&mut endpoints[3]).target.resolved_by = resolved_by;
        let mut around = Neighbourhood::new(&endpoints, PLATFORM);
        let finding = Finding::new(Cause::Dropped, Phase::Dns, Confidence::Possible);
        let lost = Visit { result: Ok(Verdict::Failed(finding)), ..Visit::nothing_yet(ONSET) };
        around.take_in(3, all[3].last.as_ref().expect("it was visited"), ONSET + 2 * APART);
        // It does not resolve now, and why is not told yet.
        around.take_in(3, &lost, ONSET + 4 * APART);
        let members = [0, 1, 2].map(|index| {
            around.take_in(index, &lost, ONSET);
            Failing { finding, servers: vec![server], is_resolving: true, ..failing(index) }
        });
        localise(&members, &around, &|_| false)[0].component.to_string()
    };
    assert_eq!(told(ResolvedBy::Azure), "the DNS server 10.0.0.4");
    assert_eq!(told(ResolvedBy::Custom), "single names at the DNS server 10.0.0.4");
}
