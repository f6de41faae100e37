//! The sample as a list, in every form.

use std::sync::Arc;

use super::*;
use crate::{
    golden::assert_golden,
    model::catalog::EndpointId,
    readers::{json::firewall_to_json, paper::Look},
    sample,
};

const NARROW: Look = Look { width: Some(80), height: None, colour: false, verbose: false, only_failed: false };

fn sources() -> Sources {
    let subnet = vec!["10.0.1.0/24".parse().expect("a prefix")];
    Sources { subnet, public: vec!["203.0.113.41".parse().expect("an address")] }
}

/// Three looks an hour apart; the second saw another address of one endpoint.
fn looks(snapshot: &Snapshot) -> Vec<Sighting> {
    let now = Sighting::of(snapshot);
    let at = |hours: u64| Sighting { at: now.at - Duration::from_secs(3600 * hours), ..now.clone() };
    let mut second = at(1);
    let other = second.endpoints.get_mut("login.microsoftonline.com:443").expect("the sample has it");
    other.addresses = ["203.0.113.99".parse().expect("an address")].into();
    vec![at(2), second, now]
}

fn listed(snapshot: &Snapshot) -> Vec<Requirement> {
    of(&snapshot.catalog, Observations { looks: &looks(snapshot), worked: None, kept: &[] })
}

fn login(list: &[Requirement]) -> &Requirement {
    list.iter().find(|one| one.name == "login.microsoftonline.com").expect("it is required")
}

#[test]
fn a_state_directory_remembers_addresses_over_days() {
    let snapshot = sample::snapshot();
    let (id, mut kept) = ("login.microsoftonline.com:443".into(), Addresses::default());
    for (day, last) in [(0, 7), (1, 7), (2, 8)] {
        kept.saw(&id, vec![[20, 190, 1, last].into()], Duration::from_secs(1_799_000_000 + day * 86_400));
    }
    let list = of(&snapshot.catalog, Observations { kept: &[kept], ..Observations::default() });
    let login = list.iter().find(|one| one.hosts.contains("login.microsoftonline.com")).expect("it is in the sample");
    assert_eq!(login.churn, (3, 1));
    let spans: Vec<_> = login.observed.values().map(|one| (one.first.as_secs(), one.last.as_secs())).collect();
    assert_eq!(spans, [(1_799_000_000, 1_799_086_400), (1_799_172_800, 1_799_172_800)]);
}

#[test]
fn the_sample_reads_as_reviewed_in_every_form() {
    let snapshot = sample::snapshot();
    let (list, from) = (listed(&snapshot), sources());
    assert_golden("tests/golden/allowlist.txt", &table::render(&list, &from, "profile ase-v2", NARROW));
    assert_golden("tests/golden/allowlist.csv", &csv::render(&list));
    assert_golden("tests/golden/allowlist-az.txt", &azure::commands(&list, &from));
    assert_golden("tests/golden/allowlist-firewall.json", &firewall_to_json(&list, &from));
    assert_golden("tests/golden/allowlist-failed.txt", &message::render(&list, &from, "seen from snet-mirror", NARROW));
}

#[test]
fn addresses_have_the_time_they_were_seen_and_a_name_its_changes() {
    let list = listed(&sample::snapshot());
    let login = login(&list);
    assert_eq!((login.observed.len(), login.churn), (2, (3, 2)), "it changed, and changed back");
    let usual = login.observed[&"203.0.113.30".parse::<IpAddr>().expect("an address")];
    assert_eq!((usual.first, usual.last), (sample::AT - Duration::from_secs(7200), sample::AT));
    let once = login.observed[&"203.0.113.99".parse::<IpAddr>().expect("an address")];
    assert_eq!(once.first, once.last);
    assert_eq!(login.tag, Some("AzureActiveDirectory"));
}

#[test]
fn what_no_rule_mends_is_no_matter_of_the_network_team() {
    let snapshot = sample::snapshot();
    let list = listed(&snapshot);
    let blocked: Vec<&str> = list.iter().flat_map(|one| &one.blocked).map(|one| one.id.as_str()).collect();
    assert_eq!(blocked, ["asedb-a.database.windows.net:1433", "asedb-b.database.windows.net:1433"]);
    let other: Vec<&str> = list.iter().flat_map(|one| &one.otherwise_lost).map(|one| one.id.as_str()).collect();
    assert_eq!(other, ["smarteventlogs.blob.core.windows.net:443"], "the DNS team's");
    assert_eq!(message::exit_code(&list), 1);
    let well: Vec<Requirement> =
        list.into_iter().map(|one| Requirement { blocked: Vec::new(), otherwise_lost: Vec::new(), ..one }).collect();
    assert_eq!(message::exit_code(&well), 0);
    assert!(message::render(&well, &sources(), "", NARROW).starts_with("Nothing is blocked"));
}

#[test]
fn a_wildcard_is_allowed_as_it_is_documented_and_a_slot_not_at_all() {
    let mut snapshot = sample::snapshot();
    let catalog = Arc::make_mut(&mut snapshot.catalog);
    let endpoint = catalog.endpoints.iter_mut().find(|one| one.id.0.starts_with("login")).expect("the sample has it");
    Arc::make_mut(endpoint).about.documented_as = Some("*.login.microsoftonline.com".to_owned());
    let list = of(catalog, Observations::default());
    let wild = list.iter().find(|one| one.name.starts_with("*.")).expect("the wildcard");
    assert_eq!(wild.hosts, ["login.microsoftonline.com".to_owned()].into());
    let names = vec!["*.login.microsoftonline.com".to_owned()];
    assert_eq!(azure::by(wild), Some(azure::By::Names(names, vec![("Https", 443)])));
    assert!(azure::commands(&list, &sources()).contains("--target-fqdns '*.login.microsoftonline.com'\n"));
    let slot = list.iter().find(|one| one.is_open).expect("the sample has a slot");
    assert_eq!(azure::by(slot), None);
}

#[test]
fn hostile_names_stay_words() {
    let mut snapshot = sample::snapshot();
    let catalog = Arc::make_mut(&mut snapshot.catalog);
    let hostile = "=cmd|' /C calc'!A0,\"x\"\u{1b}[2J\n; rm -rf $HOME `id`";
    let endpoint = Arc::make_mut(&mut catalog.endpoints[8]);
    (endpoint.id, endpoint.about.documented_as) = (EndpointId(hostile.into()), Some(hostile.to_owned()));
    endpoint.target.host = Host::Name(hostile.to_owned());
    let list = of(catalog, Observations::default());
    let text = csv::render(&list);
    assert!(text.contains("\"'=cmd|") && text.contains("\"\"x\"\""), "{text}");
    assert_eq!(text.lines().count(), list.len() + 1);
    let commands = azure::commands(&list, &sources());
    assert_eq!(commands.lines().count(), list.len());
    assert!(!commands.contains('\u{1b}'), "{commands}");
    for text in [table::render(&list, &sources(), "", NARROW), text] {
        assert!(!text.contains('\u{1b}'), "{text}");
    }
    let evil = list.iter().find(|one| one.name == hostile).expect("it is listed");
    assert!(evil.rule_name().chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{}", evil.rule_name());
}
