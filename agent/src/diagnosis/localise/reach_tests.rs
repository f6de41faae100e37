//! Few hosts to which another way leads, beside many that are lost.

use std::{collections::BTreeSet, time::Duration};

use ase_probes::verdict::{Confidence, Finding, Phase, Verdict};

use super::{
    super::{
        localise,
        tests::{ONSET, PLATFORM, components, failing, views},
    },
    *,
};
use crate::{
    diagnosis::neighbourhood::Neighbourhood,
    model::endpoint::{EndpointView, Status},
};
use std::sync::Arc;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn few_hosts_to_which_another_way_leads_do_not_hide_that_the_way_out_is_broken() {
    let names: Vec<String> = (0..20).map(|number| format!("h{number}")).collect();
    let hosts: Vec<&str> = names.iter().map(String::as_str).collect();
    let told = |hosts: &[&str], ports: &[u16], fails: &dyn Fn(&str, u16) -> bool| {
        let views = views(hosts, ports, fails);
        let failed = (0..views.len()).filter(|index| matches!(views[*index].status, Status::Failed(_)));
        components(&views, &failed.map(failing).collect::<Vec<_>>())
    };
    let (most, all) = ("almost everything outside this network", [80, 443, 12000]);
    assert_eq!(told(&hosts, &all, &|_, _| true), ["everything outside this network"]);
    assert_eq!(told(&hosts, &all, &|host, _| host != "h3"), [most], "a host with a route of its own");
    assert_eq!(told(&hosts, &all, &|host, _| !["h3", "h4", "h5"].contains(&host)), [most]);
    let sql = [80, 443, 1433, 12000];
    assert_eq!(told(&hosts, &sql, &|host, port| host != "h3" || port != 1433), [most], "one of its ports");
    for (ports, fails, why) in [
        (&all[..], (|host, _| !["h3", "h4", "h5", "h6"].contains(&host)) as fn(&str, u16) -> bool, "many work"),
        (&all[..2], |host, _| host != "h3", "two ports may have a rule each"),
        (&sql[..], |_, port| port != 1433, "a port that is open"),
        (&sql[..], |host, port| port != 1433 && host != "h3", "and one host"),
    ] {
        assert!(!told(&hosts, ports, &fails).contains(&most.to_owned()), "{why}");
    }
    assert!(!told(&hosts[..10], &all, &|host, _| host != "h3").contains(&most.to_owned()), "few hosts");
}

/// Views of so many hosts on three ports, and their neighbourhood, in which all but these were lost; these worked at that moment.
fn lost(hosts: usize, exceptions: &[usize], at: Duration) -> (Vec<Arc<EndpointView>>, Neighbourhood) {
    let names: Vec<String> = (0..hosts).map(|number| format!("h{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let views =
        views(&names, &[80, 443, 12000], |host, _| !exceptions.iter().any(|number| host == format!("h{number}")));
    let endpoints: Vec<_> = views.iter().map(|view| Arc::clone(&view.endpoint)).collect();
    let mut around = Neighbourhood::new(&endpoints, PLATFORM);
    for (index, view) in views.iter().enumerate() {
        let visit = view.last.as_ref().expect("every view was visited");
        around.take_in(index, visit, if matches!(view.status, Status::Failed(_)) { visit.began } else { at });
    }
    (views, around)
}

#[test]
fn who_worked_meanwhile_is_an_exception_whatever_it_shows_now() {
    let told = |turns: &[usize]| -> BTreeSet<String> {
        let (views, mut around) = lost(20, &[3, 4], ONSET + 60 * SECOND);
        let nameless = Verdict::Failed(Finding::new(Cause::DnsServfail, Phase::Dns, Confidence::Confirmed));
        for index in turns.iter().flat_map(|host| host * 3..host * 3 + 3) {
            let mut visit = (**views[index].last.as_ref().expect("every view was visited")).clone();
            (visit.result, visit.outcomes) = (Ok(nameless), Vec::new());
            around.take_in(index, &visit, ONSET + 90 * SECOND);
        }
        let turned = |index: &usize| turns.contains(&(index / 3));
        let failed =
            (0..views.len()).filter(|index| !turned(index) && matches!(views[*index].status, Status::Failed(_)));
        let failed: Vec<_> = failed.map(failing).collect();
        localise(&failed, &around, &|_| false).iter().map(|group| group.component.to_string()).collect()
    };
    let most = BTreeSet::from(["almost everything outside this network".to_owned()]);
    assert_eq!(told(&[]), most);
    assert_eq!(told(&[3]), most, "its name was lost later");
    assert_eq!(told(&(5..17).collect::<Vec<_>>()), most, "names of those that are lost expire");
}
