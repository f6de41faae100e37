//! Profiles as people read them: what there is, and everything that would be watched and sent.

use std::fmt::Write;

use ase_probes::{http, port_sample, probe::Probe, tds, tls::Verify};
use comfy_table::{Table, presets::NOTHING};
use serde_json::{Value, json};

use crate::{
    config::profile::{LINT_ONLY, Profile},
    diagnosis::{self, cases, posed},
    model::{
        catalog::{Addresses, Catalog, Endpoint, Pack, ResolvedBy, Workload},
        settings::{self, Settings},
    },
    net::{address, duration},
    readers::VERSION,
    resolvers::{names, nonexistent, survey},
};

/// Lists the built-in profiles.
pub fn render_list(as_json: bool) -> String {
    if as_json { format!("{:#}\n", list()) } else { listed() }
}

fn list() -> Value {
    let entry = |profile: Profile| {
        let packs = profile.packs.iter().map(|(name, pack)| (name, &pack.what, pack.default));
        json!({
            "profile": profile.profile, "cloud": profile.cloud, "edition": profile.edition(), "title": profile.title,
            "rows": profile.rows.iter().map(|row| row.ports.len()).sum::<usize>(), "slots": profile.slots.len(),
            "packs": packs.map(|(name, what, watched)| json!({"name": name, "what": what, "watched": watched})).collect::<Vec<_>>(),
            "suspends": profile.loss.suspends, "means": profile.loss.means,
        })
    };
    json!({
        "schema": "ase-agent/profiles/1", "version": VERSION,
        "profiles": Profile::all().map(entry).collect::<Vec<_>>(), "lint_only": LINT_ONLY,
    })
}

fn listed() -> String {
    let mut table = table(&["PROFILE", "CLOUD", "EDITION", "ROWS", "SLOTS", "WHAT IT IS"]);
    for profile in Profile::all() {
        let ports: usize = profile.rows.iter().map(|row| row.ports.len()).sum();
        let (edition, slots) = (profile.edition(), profile.slots.len().to_string());
        table.add_row(vec![profile.profile, profile.cloud, edition, ports.to_string(), slots, profile.title]);
    }
    format!("{}\n\nOf rules and routes alone, for `ase-agent lint`: {}\n", trimmed(&table), LINT_ONLY.join(", "))
}

/// Shows every endpoint and slot, and everything the agent itself sends.
pub fn render_show(settings: &Settings, as_json: bool) -> String {
    if as_json { format!("{:#}\n", document(settings)) } else { page(settings) }
}

/// What became of the environments that the profile is for (Microsoft's page on their migration), and what the agent is
/// for since then.
const RETIRED: &str = "ASE v1 and v2 retired on 2024-08-31; since then those that are left are migrated or deleted in batches. \
                       This profile is for those that are left and for networks that still carry their rules. What hangs on \
                       outbound dependencies in the same way has profiles of its own: apps in ASE v3 (`ase-v3`), apps with \
                       VNet integration (`vnet-integration`), API Management (`apim-classic`), and Container Apps and all else \
                       in a network of yours (`custom`).";

/// What is to be known of the product that a catalogue is for; `None` where it is current.
pub(crate) fn retired(catalog: &Catalog) -> Option<&'static str> {
    (catalog.profile == "ase-v2").then_some(RETIRED)
}

fn page(settings: &Settings) -> String {
    let catalog = &settings.catalog;
    let retired = retired(catalog).map(|note| format!("\n{note}")).unwrap_or_default();
    let mut text = format!(
        "profile {}, cloud {}, edition {}{retired}\nA loss means: {}.\n{}.\n\n",
        catalog.profile,
        catalog.cloud,
        catalog.edition,
        catalog.stakes.means,
        fallback(catalog)
    );
    let mut endpoints = table(&["ENDPOINT", "CLASS", "SEVERITY", "PURPOSE", "PROOF", "BASIS", "AS OF", "STANDS FOR"]);
    for endpoint in &catalog.endpoints {
        let about = &endpoint.about;
        endpoints.add_row(vec![
            endpoint.id.to_string(),
            endpoint.class.to_string(),
            endpoint.severity.label().to_owned(),
            format!("{}{}", purpose(endpoint), by_azure(endpoint)),
            proof(&endpoint.target.probe),
            about.basis.label().to_owned(),
            about.as_of.clone(),
            about.documented_as.clone().unwrap_or_default(),
        ]);
    }
    _ = writeln!(text, "{}", trimmed(&endpoints));
    if !catalog.packs.is_empty() {
        _ = writeln!(text, "\nRows that only some need (name those of yours under `packs:`):");
        let mut packs = table(&["PACK", "WATCHED", "WHO NEEDS IT"]);
        catalog.packs.iter().for_each(|pack| _ = packs.add_row(shown(pack)));
        _ = writeln!(text, "{}", trimmed(&packs));
    }
    if !catalog.slots.is_empty() {
        _ = writeln!(text, "\nNot configured (fill under `slots:`):");
        let mut slots = table(&["SLOT", "CLASS", "PORT", "SEVERITY", "HOW TO FILL IT"]);
        for slot in &catalog.slots {
            let (class, port) = (slot.class.to_string(), slot.port.to_string());
            slots.add_row(vec![slot.name.clone(), class, port, slot.severity.label().to_owned(), slot.hint.clone()]);
        }
        _ = writeln!(text, "{}", trimmed(&slots));
    }
    _ = writeln!(text, "\nWhat the agent sends:");
    traffic(settings).iter().for_each(|line| _ = writeln!(text, "  {line}"));
    text
}

fn shown(pack: &Pack) -> [&str; 3] {
    [&pack.name, if pack.is_watched { "yes" } else { "no" }, &pack.what]
}

/// Who answers apps that the custom DNS leaves without an answer.
fn fallback(catalog: &Catalog) -> &'static str {
    if catalog.falls_back {
        "Apps that the custom DNS leaves without an answer are answered by Azure DNS"
    } else {
        "Apps have the custom DNS alone: it must resolve public and private names, Azure DNS does not take over"
    }
}

/// Everything the agent itself sends, one line each.
fn traffic(settings: &Settings) -> Vec<String> {
    let (servers, pace) = (servers(settings), &settings.pace);
    let mut lines = vec![
        format!("to {servers}: questions for the A and AAAA records of each endpoint's name, at each probe"),
        format!(
            "to {} alone: the same for names that the platform resolves there (\"by Azure DNS\")",
            settings.resolvers.azure
        ),
        "to each endpoint above: one new flow per probe and address, at its interval".to_owned(),
        format!(
            "after a bad sample: one more flow after {}, then one every {} up to the interval while it fails",
            duration::show(pace.confirm_after),
            duration::show(pace.failing_interval)
        ),
        "to a redirect's target, where the proof lies behind it: at most three hops".to_owned(),
        format!("never more than {} new flows a minute to one destination", pace.flows_per_destination),
    ];
    lines.extend(comparison(settings));
    if settings.diagnosis.enabled {
        lines.extend(diagnosis(settings));
    }
    lines
}

/// What finding out causes sends.
fn diagnosis(settings: &Settings) -> Vec<String> {
    let (quiet, again) = (format!("once for {} visits", cases::QUIET), duration::show(cases::REPEAT));
    let canary = format!("{}, beside addresses of IPv6 to {},", address::CANARY, address::CANARY_V6);
    let azure = settings.resolvers.azure;
    let mut lines = vec![
        format!(
            "to {canary} where nobody can be: one DNS question, one NTP packet and one connection per port whose accepts prove little, {quiet}"
        ),
        "to one endpoint per TCP port: a connection that is held open without a word, one keep-alive packet every 100s"
            .to_owned(),
    ];
    if settings.diagnosis.sql_redirect {
        let flows = port_sample::SAMPLE_FLOWS;
        lines.push(format!("to each SQL gateway that works: {flows} connections to ports of 11000-11999, {quiet}"));
    }
    lines.extend([
        format!("after a failure, to {canary} and to {azure} (UDP 53, TCP 80): one connection or question per port"),
        format!("after a failure, to the endpoint's own address: the same question in small segments with the question as it is beside it, under another name that this list holds or under {}, with more versions and cipher suites of TLS, over TCP, without EDNS, with a small hop limit, or from other source ports", posed::NOBODY),
        format!("such measurements open at most {} flows per {}, and none again before {again}", diagnosis::shell::FLOWS, duration::show(diagnosis::shell::PERIOD)),
    ]);
    lines
}

/// What comparing the two resolvers sends.
fn comparison(settings: &Settings) -> [String; 7] {
    let (names, every) = (settings::names(settings).len(), duration::show(settings.compare_every));
    let azure = settings.resolvers.azure;
    [
        format!(
            "to {} and to {azure}: questions for the A and AAAA records of {names} names, every {every}",
            servers(settings)
        ),
        format!(
            "where a visit gets another answer than before, or its name is lost, both sides again for that name at once, at most once in {}, and up to {} times more, {} apart, where that makes or ends an incident",
            duration::show(names::HURRY),
            names::RECHECKS,
            duration::show(names::RECHECK)
        ),
        format!(
            "where only one side answers, to that side: the same for one name beside it that cannot exist and for one below {} or {}, over TCP too",
            nonexistent::BELOW,
            nonexistent::OTHERWISE
        ),
        format!(
            "to {}, where no server can be: one DNS question every {every}, and where the two sides differ, at most one in {}",
            survey::CANARY,
            duration::show(survey::CANARY_FRESH)
        ),
        format!(
            "to {} and to {azure}: questions for the A and AAAA records of a new name below {}, every {every}",
            servers(settings),
            nonexistent::BELOW
        ),
        "to a custom DNS server that answers as an authority: a question for the start of its zone".to_owned(),
        format!("where they differ, to port 443 of at most {} addresses of each side: a request", survey::CONFIRMED),
    ]
}

fn servers(settings: &Settings) -> String {
    let servers: Vec<_> = settings.resolvers.custom.iter().map(ToString::to_string).collect();
    servers.join(", ")
}

fn purpose(endpoint: &Endpoint) -> String {
    let about = &endpoint.about;
    match (about.workload, &about.pack) {
        (Workload::Any, Some(pack)) if *pack != about.purpose => format!("{} (pack {pack})", about.purpose),
        (Workload::Any, _) => about.purpose.clone(),
        (Workload::Linux, _) => format!("{} (Linux apps)", about.purpose),
        (Workload::Windows, _) => format!("{} (Windows apps)", about.purpose),
    }
}

/// That the custom DNS is not asked for the name, where it is not.
fn by_azure(endpoint: &Endpoint) -> &'static str {
    match endpoint.target.resolved_by {
        ResolvedBy::Azure => ", by Azure DNS",
        ResolvedBy::Custom => "",
    }
}

/// What proves the peer, in a few words.
fn proof(probe: &Probe) -> String {
    match probe {
        Probe::Dns(question) => format!("our id and question over {}", question.transport.label()),
        Probe::Ntp(_) => "our timestamp echoed".to_owned(),
        Probe::Tds(question) => match question.flavour {
            tds::Flavour::Tds7 => "PRELOGIN, then the certificate (TDS 8.0 once where it is closed at)".to_owned(),
            tds::Flavour::Tds8 => "the certificate, then PRELOGIN".to_owned(),
        },
        Probe::Tcp(_) => "a bare accept (weak)".to_owned(),
        Probe::Http(question) => {
            let answer = match &question.proof {
                http::Proof::AnyResponse => "any answer".to_owned(),
                http::Proof::Status(codes) => format!("status {codes:?}"),
                http::Proof::Contains(text) => format!("\"{text}\" at {}", question.path),
                http::Proof::Crl => "a revocation list".to_owned(),
            };
            match question.scheme {
                http::Scheme::Http => answer,
                http::Scheme::Https(Verify::Full) => format!("certificate, {answer}"),
                http::Scheme::Https(Verify::Chain) => format!("certificate chain, {answer}"),
            }
        }
    }
}

fn document(settings: &Settings) -> Value {
    let catalog = &settings.catalog;
    let endpoints: Vec<Value> = catalog.endpoints.iter().map(|endpoint| entry(endpoint)).collect();
    let slots = catalog.slots.iter().map(|slot| {
        json!({
            "name": slot.name, "class": slot.class.label(), "port": slot.port, "severity": slot.severity.label(),
            "purpose": slot.purpose, "hint": slot.hint, "source": slot.source, "as_of": slot.as_of,
        })
    });
    let packs =
        catalog.packs.iter().map(|pack| json!({"name": pack.name, "what": pack.what, "watched": pack.is_watched}));
    json!({
        "schema": "ase-agent/profile/1", "version": VERSION,
        "profile": catalog.profile, "cloud": catalog.cloud, "edition": catalog.edition,
        "suspends": catalog.stakes.suspends, "means": catalog.stakes.means, "azure_dns_takes_over": catalog.falls_back,
        "packs": packs.collect::<Vec<_>>(),
        "endpoints": endpoints, "slots": slots.collect::<Vec<_>>(), "traffic": traffic(settings),
    })
}

fn entry(endpoint: &Endpoint) -> Value {
    let about = &endpoint.about;
    json!({
        "id": &*endpoint.id.0, "class": endpoint.class.label(), "host": endpoint.target.host.to_string(), "port": endpoint.target.port,
        "severity": endpoint.severity.label(), "purpose": purpose(endpoint), "pack": about.pack, "proof": proof(&endpoint.target.probe),
        "resolved_by": endpoint.target.resolved_by.label(),
        "addresses": match endpoint.target.addresses { Addresses::All => "all", Addresses::First => "first" },
        "interval_seconds": endpoint.interval.as_secs_f64(), "timeout_seconds": endpoint.target.timeout.as_secs_f64(),
        "documented_as": about.documented_as, "basis": about.basis.label(), "source": about.source,
        "as_of": about.as_of, "note": about.note, "successor": about.successor,
    })
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header.to_vec());
    table
}

/// The table without the blanks that fill its lines.
fn trimmed(table: &Table) -> String {
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn every_profile_of_the_lint_is_one_of_the_daemon_or_known_to_be_none() {
        for name in crate::lint::requirements::profiles() {
            let watched = Profile::all().any(|profile| profile.profile == name);
            assert_ne!(watched, LINT_ONLY.contains(&name), "{name}");
        }
    }

    #[test]
    fn a_profile_says_what_a_loss_means_who_answers_names_and_which_packs_there_are() {
        let settings = config::load_profile(None, Some("ase-v3"), None).expect("a profile");
        let page = render_show(&settings, false);
        for said in [
            "profile ase-v3, cloud public, edition 2025-04-30\nA loss means: apps fail for as long as it lasts",
            "Azure DNS does not take over.",
            "functions           no       function apps, whose host loads extension bundles",
        ] {
            assert!(page.contains(said), "{said}: {page}");
        }
        assert!(!page.contains("retired on"), "{page}");
        let document: Value = serde_json::from_str(&render_show(&settings, true)).expect("it is JSON");
        assert_eq!((&document["suspends"], &document["azure_dns_takes_over"]), (&json!(false), &json!(false)));
        assert_eq!(document["packs"].as_array().map(Vec::len), Some(3));
    }

    /// Holds a document to the schema that is published of it.
    fn fits(text: &str, schema: &str) -> Value {
        let parsed = |text: &str| serde_json::from_str::<Value>(text).expect("it is JSON");
        let document = parsed(text);
        let validator = jsonschema::validator_for(&parsed(schema)).expect("a schema");
        let errors: Vec<_> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?} in {document:#}");
        assert!(!validator.is_valid(&json!({"schema": document["schema"]})), "it asks for more than its name");
        document
    }

    #[test]
    fn every_profile_and_the_list_of_them_fit_their_schemas() {
        let schema = include_str!("../../../docs/profile.schema.json");
        let list = fits(&render_list(true), include_str!("../../../docs/profiles.schema.json"));
        for entry in list["profiles"].as_array().expect("a list") {
            let (name, cloud) = (entry["profile"].as_str(), entry["cloud"].as_str());
            let settings = config::load_profile(None, name, cloud).expect("a built-in profile");
            let shown = fits(&render_show(&settings, true), schema);
            assert_eq!((&shown["edition"], &shown["suspends"]), (&entry["edition"], &entry["suspends"]));
        }
    }

    #[test]
    fn everything_that_is_sent_is_declared_on_the_page_and_in_json() {
        let settings = config::load_profile(None, Some("ase-v2"), Some("public")).expect("the defaults are good");
        let (page, json) = (render_show(&settings, false), render_show(&settings, true));
        let document: Value = serde_json::from_str(&json).expect("it is JSON");
        let lines = document["traffic"].as_array().expect("a list");
        assert!(lines.iter().filter_map(Value::as_str).all(|line| page.contains(line)));
        let said = lines.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n");
        let azure = format!("and to {}: questions", settings.resolvers.azure);
        for needed in [&*azure, &survey::CANARY.to_string(), "cannot exist", "port 443", "redirect", nonexistent::BELOW]
        {
            assert!(said.contains(needed), "{needed}: {said}");
        }
        for since in
            ["retired on 2024-08-31", "ASE v3", "VNet integration", "API Management", "Container Apps", "is suspended"]
        {
            assert!(page.contains(since), "the page says what the agent is for: {since}");
        }
        for endpoint in &settings.catalog.endpoints {
            assert!(page.contains(&*endpoint.id.0), "{} is shown", endpoint.id);
        }
        for slot in &settings.catalog.slots {
            assert!(page.contains(&slot.hint), "{} says how to fill it", slot.name);
        }
    }
}
