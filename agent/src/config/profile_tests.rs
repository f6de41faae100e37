//! The built-in profiles hold what their documents name, each row with its source, and say what is not there.

use super::*;
use std::collections::BTreeSet;

/// Documented pairs of name and port per cloud, counted in the source list.
const DOCUMENTED: [(&str, usize); 3] = [("public", 142), ("usgov", 134), ("china", 108)];

#[test]
fn every_documented_row_is_there() {
    for (cloud, expected) in DOCUMENTED {
        let profile = Profile::load("ase-v2", cloud).expect("the built-in profile loads");
        let mut documented = BTreeSet::from([("*".to_owned(), 53)]);
        for row in profile.rows.iter().filter(|row| row.source.starts_with("FW")) {
            let name = row.documented_as.as_ref().unwrap_or(&row.host);
            for port in &row.ports {
                documented.insert((name.clone(), *port));
                documented.extend(row.covers.iter().map(|wildcard| (wildcard.clone(), *port)));
            }
        }
        for slot in &profile.slots {
            documented.extend(slot.ports.iter().map(|port| (slot.documented_as.clone(), *port)));
        }
        assert_eq!(documented.len(), expected, "{cloud}");
    }
}

#[test]
fn every_row_has_a_known_source_and_a_severity() {
    for profile in Profile::all() {
        let rows = profile.rows.iter().map(|row| (&row.host, &row.purpose, &row.source));
        let slots = profile.slots.iter().map(|slot| (&slot.name, &slot.purpose, &slot.source));
        for (name, purpose, source) in rows.chain(slots) {
            assert!(profile.severities.contains_key(purpose), "{name}: purpose {purpose}");
            assert!(profile.sources.contains_key(source), "{name}: source {source}");
        }
        let packs = profile.rows.iter().filter_map(|row| row.pack.as_ref());
        for pack in packs.chain(profile.slots.iter().filter_map(|slot| slot.pack.as_ref())) {
            assert!(profile.packs.contains_key(pack), "{}: pack {pack}", profile.profile);
        }
        assert!(profile.sources.values().all(|source| source.as_of.len() == 10));
    }
    assert_eq!(Profile::all().count(), FILES.len());
}

#[test]
fn every_source_and_every_pack_of_a_profile_is_used() {
    for profile in Profile::all() {
        let name = format!("{} {}", profile.profile, profile.cloud);
        let rows = profile.rows.iter().map(|row| (&row.source, row.pack.as_ref()));
        let slots = profile.slots.iter().map(|slot| (&slot.source, slot.pack.as_ref()));
        let used: Vec<_> = rows.chain(slots).chain([(&profile.dns.source, None)]).collect();
        for source in profile.sources.keys() {
            assert!(used.iter().any(|(one, _)| *one == source), "{name}: source {source}");
        }
        for pack in profile.packs.keys() {
            assert!(used.iter().any(|(_, one)| *one == Some(pack)), "{name}: pack {pack}");
        }
    }
}

/// Names for metrics and health per cloud, counted in the page of API Management (edition of 2025-06-17).
const MONITORED: [(&str, usize); 3] = [("public", 9), ("usgov", 12), ("china", 11)];

#[test]
fn api_management_has_the_names_of_its_cloud_and_what_editions_of_its_page_differ_in() {
    for (cloud, expected) in MONITORED {
        let profile = Profile::load("apim-classic", cloud).expect("the built-in profile loads");
        let monitored = profile.rows.iter().filter(|row| row.purpose == "monitoring").count();
        assert_eq!(monitored, expected, "{cloud}");
        let has = |host: &str| profile.rows.iter().any(|row| row.host == host);
        assert!(["ocsp.msocsp.com", "oneocsp.msocsp.com", "oneocsp.microsoft.com"].into_iter().all(has), "{cloud}");
        assert!(profile.slots.iter().any(|slot| slot.ports == [445] && slot.pack.is_some()), "{cloud}");
    }
}

#[test]
fn only_the_environment_of_version_2_is_suspended_and_only_it_falls_back_to_azure_dns() {
    for profile in Profile::all() {
        let of_v2 = ["ase-v2", "custom"].contains(&profile.profile.as_str());
        assert_eq!(profile.loss.suspends, of_v2, "{}", profile.profile);
        let isolated = ["ase-v3", "vnet-integration"].contains(&profile.profile.as_str());
        assert_eq!(profile.dns.fallback == FallbackName::None, isolated, "{}", profile.profile);
    }
}

#[test]
fn each_class_of_traffic_of_an_integrated_app_is_a_pack_and_only_the_apps_own_is_watched_unasked() {
    for profile in Profile::all().filter(|profile| profile.profile == "vnet-integration") {
        for traffic in ["application", "content-share", "image-pull", "backup-restore", "configuration"] {
            let pack = profile.packs.get(traffic).expect(traffic);
            assert_eq!(pack.default, traffic == "application", "{traffic}");
        }
    }
}

#[test]
fn the_custom_profile_holds_nothing() {
    let custom = Profile::load("custom", "public").expect("it is built in");
    assert!(custom.rows.is_empty() && custom.slots.is_empty() && !custom.dns.watched);
}

#[test]
fn what_is_not_there_is_named_with_what_is() {
    let error = Profile::load("ase-v9", "public").expect_err("no such profile").to_string();
    assert_eq!(error, "profile (ase-v9) must be one of: ase-v2, ase-v3, vnet-integration, apim-classic, custom");
    let error = Profile::load("container-apps", "public").expect_err("no endpoints are known").to_string();
    assert!(error.starts_with("profile (container-apps) is one of `ase-agent lint` alone"), "{error}");
    assert!(error.contains("`profile: custom` and `endpoints.add`"), "{error}");
    let error = Profile::load("ase-v2", "moon").expect_err("no such cloud").to_string();
    assert_eq!(error, "cloud (moon) must be one of: public, usgov, china");
}
