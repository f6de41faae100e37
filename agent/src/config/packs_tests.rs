//! Which rows and slots of a profile are watched by the packs that are named, and what a loss means in each profile.

use super::tests::settings;
use crate::model::{catalog::ResolvedBy, settings::Settings};

fn hosts(settings: &Settings) -> Vec<&str> {
    settings.catalog.endpoints.iter().map(|endpoint| &*endpoint.id.0).collect()
}

fn has(settings: &Settings, id: &str) -> bool {
    hosts(settings).contains(&id)
}

#[test]
fn rows_of_a_pack_are_watched_when_it_is_named_and_the_others_always() {
    let without = settings("profile: ase-v3").expect("a profile");
    for always in ["login.microsoftonline.com:443", "crl3.digicert.com:80", "168.63.129.16:53/udp"] {
        assert!(has(&without, always), "{always}: {:?}", hosts(&without));
    }
    for packed in ["cdn.functions.azure.com:443", "oryx-cdn.microsoft.io:443", "mcr.microsoft.com:443"] {
        assert!(!has(&without, packed), "{packed}");
    }
    assert_eq!(without.catalog.slots, []);
    let with = settings("profile: ase-v3\npacks: [functions, windows-containers]").expect("they are packs");
    assert!(has(&with, "cdn.functions.azure.com:443") && has(&with, "mcr.microsoft.com:443"));
    assert!(!has(&with, "oryx-cdn.microsoft.io:443"));
    assert_eq!(with.catalog.slots.iter().map(|slot| slot.name.as_str()).collect::<Vec<_>>(), ["registry"]);
    let packed = with.catalog.endpoints.iter().find(|one| &*one.id.0 == "mcr.microsoft.com:443").expect("watched");
    assert_eq!(packed.about.pack.as_deref(), Some("windows-containers"));
}

#[test]
fn an_app_with_integration_is_watched_by_the_classes_of_its_traffic_that_are_routed_here() {
    let own = settings("profile: vnet-integration").expect("a profile");
    assert_eq!(own.catalog.slots.iter().map(|slot| slot.name.as_str()).collect::<Vec<_>>(), ["sql-server"]);
    let routed =
        "profile: vnet-integration\npacks: [content-share]\nslots: {content-share: [apps.file.core.windows.net]}";
    let routed = settings(routed).expect("a share");
    assert!(!has(&routed, "crl3.digicert.com:80"), "the apps' own traffic is not routed here");
    let class = |id: &str| routed.catalog.endpoints.iter().find(|one| &*one.id.0 == id).map(|one| one.class.label());
    assert_eq!(class("apps.file.core.windows.net:445"), Some("tcp"));
    assert_eq!(class("apps.file.core.windows.net:443"), Some("https"));
}

#[test]
fn a_filled_slot_is_watched_whatever_packs_are_named() {
    let text = "profile: vnet-integration\npacks: []\nslots: {key-vault: [settings.vault.azure.net]}";
    assert!(has(&settings(text).expect("a vault"), "settings.vault.azure.net:443"));
}

#[test]
fn a_pack_that_the_profile_does_not_have_is_named_with_those_that_it_has() {
    for (text, said) in [
        (
            "profile: ase-v3\npacks: [function]",
            "test.yaml:2:9: packs (function) is no pack of this profile, did you mean functions? (valid: functions, linux-build, \
             windows-containers)",
        ),
        ("packs: [functions]", "packs (functions) is no pack of this profile (it has none)"),
        ("profile: apim-v2", "profile (apim-v2) is one of `ase-agent lint` alone"),
    ] {
        let error = settings(text).expect_err(text).to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn each_profile_says_what_a_loss_means_and_whether_azure_dns_takes_over() {
    for (name, suspends, falls_back) in [
        ("ase-v2", true, true),
        ("ase-v3", false, false),
        ("vnet-integration", false, false),
        ("apim-classic", false, true),
        ("custom", true, true),
    ] {
        let settings = settings(&format!("profile: {name}")).expect(name);
        let catalog = &settings.catalog;
        assert_eq!((catalog.stakes.suspends, catalog.falls_back), (suspends, falls_back), "{name}");
        assert!(!catalog.stakes.means.is_empty(), "{name}");
    }
}

#[test]
fn what_the_platform_pulls_or_mounts_is_resolved_by_azure_dns_and_so_is_what_the_operator_says() {
    let by = |settings: &Settings, id: &str| {
        let found = settings.catalog.endpoints.iter().find(|endpoint| &*endpoint.id.0 == id);
        found.map(|endpoint| endpoint.target.resolved_by)
    };
    let built_in = settings("").expect("defaults");
    for pulled in ["mcr.microsoft.com:443", "registry-1.docker.io:443", "eastus.data.mcr.microsoft.com:443"] {
        assert_eq!(by(&built_in, pulled), Some(ResolvedBy::Azure), "{pulled}");
    }
    assert_eq!(by(&built_in, "login.live.com:443"), Some(ResolvedBy::Custom));
    let text = "slots: {storage-account: [apps.file.core.windows.net]}\nendpoints:\n  add:\n    - {host: mount.file.core.windows.net, \
                class: tcp, port: 445, resolved_by: azure}\n  override: {'apps.file.core.windows.net:*': {resolved_by: azure}, \
                'mcr.microsoft.com:443': {resolved_by: custom}}\n";
    let told = settings(text).expect("a good file");
    assert_eq!(by(&told, "mount.file.core.windows.net:445"), Some(ResolvedBy::Azure));
    assert_eq!(by(&told, "apps.file.core.windows.net:443"), Some(ResolvedBy::Azure));
    assert_eq!(by(&told, "mcr.microsoft.com:443"), Some(ResolvedBy::Custom));
    let v3 = settings("profile: ase-v3\npacks: [windows-containers]").expect("a profile");
    assert_eq!(by(&v3, "mcr.microsoft.com:443"), Some(ResolvedBy::Custom), "no document says so of version 3");
}
