//! Outbound dependencies as configuration of the agent: which fill a slot, which are endpoints of their own, which the
//! profile has already.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    imports::outbound::Dependency,
    net::{foreign, pattern::matches},
};

/// What the profile that is configured knows already.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// Its cloud.
    pub cloud: String,
    /// Hosts and ports that it watches without any configuration.
    pub known: BTreeSet<(String, u16)>,
    /// Its slots.
    pub slots: Vec<Slot>,
}

/// A slot of a profile.
#[derive(Clone, Debug)]
pub struct Slot {
    /// Its key under `slots`.
    pub name: String,
    /// The documented name, with a wildcard where it is a pattern.
    pub documented_as: String,
    /// Its ports.
    pub ports: Vec<u16>,
}

/// Zones whose hosts fill a slot that is documented by a service's name (endpoints of Azure services, all clouds).
const ZONES: [(&str, &[&str]); 4] = [
    ("sql-server", &["database.windows.net", "database.usgovcloudapi.net", "database.chinacloudapi.cn"]),
    (
        "storage-account",
        &[
            "blob.core.windows.net",
            "file.core.windows.net",
            "queue.core.windows.net",
            "table.core.windows.net",
            "blob.core.usgovcloudapi.net",
            "file.core.usgovcloudapi.net",
            "queue.core.usgovcloudapi.net",
            "table.core.usgovcloudapi.net",
            "blob.core.chinacloudapi.cn",
            "file.core.chinacloudapi.cn",
            "queue.core.chinacloudapi.cn",
            "table.core.chinacloudapi.cn",
        ],
    ),
    ("event-hub", &["servicebus.windows.net", "servicebus.usgovcloudapi.net", "servicebus.chinacloudapi.cn"]),
    ("event-grid", &["eventgrid.azure.net", "eventgrid.azure.us", "eventgrid.azure.cn"]),
];
/// The port of a name that an answer gives without one: those services list what they reach by HTTPS.
const USUAL_PORT: u16 = 443;
/// So many characters of the service's own words stand in a comment.
const LONGEST_COMMENT: usize = 120;

/// What becomes of one host and port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// The profile watches it.
    Known,
    /// It fills a slot.
    Slot(String),
    /// It is an endpoint of its own.
    Own,
    /// It is the zone of a service in the place of a name that the answer does not tell: only its addresses can be asked.
    Zone,
    /// Nothing can be asked.
    Pattern,
}

/// What fills each slot: hosts with their ports, each with where it comes from.
type Filled<'a> = BTreeMap<String, BTreeMap<&'a str, Vec<(u16, String)>>>;

/// The configuration as YAML, which `ase-agent config check` accepts. `from` says where the answer came from.
pub fn yaml(dependencies: &[Dependency], profile: &Profile, from: &str) -> String {
    let mut hosts: BTreeMap<(&str, u16), Vec<&Dependency>> = BTreeMap::new();
    for one in dependencies {
        hosts.entry((&one.name, one.port.unwrap_or(USUAL_PORT))).or_default().push(one);
    }
    let mut slots = Filled::new();
    let (mut own, mut known, mut patterns) = (BTreeMap::new(), 0, BTreeSet::new());
    for (&(name, port), seen) in &hosts {
        let comment = comment(seen);
        match place(name, port, profile) {
            Place::Known => known += 1,
            Place::Slot(slot) => slots.entry(slot).or_default().entry(name).or_default().push((port, comment)),
            Place::Own => drop(own.insert((name.to_owned(), port), (seen[0].category.as_str(), comment))),
            Place::Zone => {
                for address in seen.iter().filter_map(|one| one.address) {
                    own.insert((address.to_string(), port), (seen[0].category.as_str(), format!("{name}: {comment}")));
                }
            }
            Place::Pattern => drop(patterns.insert(name)),
        }
    }
    let mut text = format!(
        "# Written by ase-agent import outbound: what the management API lists for this environment.\n# From {}.\n# {} pairs of \
         host and port; {known} of them the profile watches already.\n",
        plain(from),
        hosts.len()
    );
    patterns.iter().for_each(|name| {
        text.push_str(&format!("# {}: a pattern; name a host that this environment uses\n", plain(name)))
    });
    text.push_str(&format!("profile: {}\ncloud: {}\n", quoted(&profile.name), quoted(&profile.cloud)));
    text.push_str(&slots_yaml(&slots, profile));
    text.push_str(&own_yaml(&own));
    text
}

fn slots_yaml(slots: &Filled<'_>, profile: &Profile) -> String {
    if slots.is_empty() {
        return String::new();
    }
    let mut text = "slots:\n".to_owned();
    for (slot, hosts) in slots {
        text.push_str(&format!("  {slot}:\n"));
        let usual =
            profile.slots.iter().find(|one| one.name == *slot).map(|one| one.ports.as_slice()).unwrap_or_default();
        for (host, ports) in hosts {
            let listed: Vec<u16> = ports.iter().map(|(port, _)| *port).collect();
            if usual.iter().all(|port| listed.contains(port)) {
                text.push_str(&format!("    - {} # {}\n", quoted(host), ports[0].1));
                continue;
            }
            for (port, comment) in ports {
                text.push_str(&format!("    - {} # {comment}\n", quoted(&with_port(host, *port))));
            }
        }
    }
    text
}

fn own_yaml(own: &BTreeMap<(String, u16), (&str, String)>) -> String {
    if own.is_empty() {
        return String::new();
    }
    let mut text = "endpoints:\n  add:\n".to_owned();
    for ((host, port), (category, comment)) in own {
        let is_name = host.parse::<std::net::IpAddr>().is_err();
        let class = match port {
            80 => "http",
            443 if is_name => "https",
            123 => "ntp",
            1433 if is_name => "sql",
            12_000 => "monitoring",
            _ => "tcp",
        };
        text.push_str(&format!(
            "    - {{host: {}, port: {port}, class: {class}, purpose: {}}} # {comment}\n",
            quoted(host),
            quoted(&purpose(category))
        ));
    }
    text
}

fn place(name: &str, port: u16, profile: &Profile) -> Place {
    if profile.known.contains(&(name.to_owned(), port)) {
        return Place::Known;
    }
    if name.contains('*') {
        return Place::Pattern;
    }
    let slot = |wanted: &str| profile.slots.iter().find(|slot| slot.name == wanted && slot.ports.contains(&port));
    for (service, zones) in ZONES {
        if zones.contains(&name) {
            return Place::Zone;
        }
        let is_below = |zone: &&str| name.strip_suffix(*zone).is_some_and(|host| host.ends_with('.') && host.len() > 1);
        if zones.iter().any(is_below) && slot(service).is_some() {
            return Place::Slot(service.to_owned());
        }
    }
    let is_pattern = |slot: &&Slot| slot.documented_as.contains('*') && slot.documented_as.len() > 1;
    let fits = |slot: &&Slot| matches(&slot.documented_as.to_ascii_lowercase(), name) && slot.ports.contains(&port);
    let by_pattern = profile.slots.iter().filter(is_pattern).find(fits);
    let by_port = match port {
        123 => slot("ntp-server"),
        12_000 => slot("monitoring"),
        _ => None,
    };
    by_pattern.or(by_port).map_or(Place::Own, |slot| Place::Slot(slot.name.clone()))
}

/// Where an endpoint comes from: the service's word, its addresses, and whether the environment reaches it.
fn comment(seen: &[&Dependency]) -> String {
    let reached = seen.iter().filter(|one| one.accessible == Some(true)).count();
    let lost = seen.iter().filter(|one| one.accessible == Some(false)).count();
    let view = match (reached, lost) {
        (0, 0) => "whether the environment reaches it is not said".to_owned(),
        (_, 0) => "reached by the environment".to_owned(),
        (0, _) => "NOT reached by the environment".to_owned(),
        (reached, lost) => format!("reached by the environment at {reached} of {} addresses", reached + lost),
    };
    let category = Some(plain(&seen[0].category)).filter(|category| !category.is_empty());
    let assumed = if seen[0].port.is_none() { "; the answer says no port" } else { "" };
    format!("{}{view}{assumed}", category.map(|category| format!("{category}; ")).unwrap_or_default())
}

fn with_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// A word that stands for the category in reports.
fn purpose(category: &str) -> String {
    let letters = category.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    let word = letters.take(40).collect::<String>();
    let word = word.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    if word.is_empty() { "imported".to_owned() } else { word }
}

/// Text that cannot end its line, so that nothing an answer says becomes configuration.
fn plain(text: &str) -> String {
    foreign::plain(text).replace(char::REPLACEMENT_CHARACTER, " ").chars().take(LONGEST_COMMENT).collect()
}

/// A text in quotes (YAML 1.2 section 7.3.1): all that stands here are names, addresses and words of letters.
fn quoted(text: &str) -> String {
    format!("\"{}\"", plain(text).replace(['"', '\\'], ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile() -> Profile {
        let slot = |name: &str, documented_as: &str, ports: &[u16]| Slot {
            name: name.to_owned(),
            documented_as: documented_as.to_owned(),
            ports: ports.to_vec(),
        };
        Profile {
            name: "ase-v2".to_owned(),
            cloud: "public".to_owned(),
            known: BTreeSet::from([("login.live.com".to_owned(), 443)]),
            slots: vec![
                slot("sql-server", "Azure SQL", &[1433]),
                slot("storage-account", "Azure Storage", &[80, 443]),
                slot("monitoring", "*", &[12_000]),
                slot("managed-identity", "*.identity.azure.net", &[443]),
            ],
        }
    }

    fn one(category: &str, name: &str, port: Option<u16>, accessible: Option<bool>) -> Dependency {
        let address = "203.0.113.10".parse().ok();
        Dependency { category: category.to_owned(), name: name.to_owned(), address, port, accessible, latency: None }
    }

    #[test]
    fn slots_are_filled_the_rest_is_added_and_what_the_profile_knows_is_left_out() {
        let text = yaml(
            &[
                one("Azure SQL Database", "db1.database.windows.net", Some(1433), Some(true)),
                one("Azure SQL Database", "database.windows.net", Some(1433), Some(false)),
                one("Azure Storage", "a.blob.core.windows.net", Some(80), Some(true)),
                one("Azure Storage", "a.blob.core.windows.net", Some(443), Some(true)),
                one("Azure Storage", "b.blob.core.windows.net", Some(443), Some(true)),
                one("Identity", "eu.control.identity.azure.net", Some(443), None),
                one("Identity", "login.live.com", Some(443), Some(true)),
                one("Monitoring", "203.0.113.7", Some(12_000), None),
                one("Regional Service", "gr-x.cloudapp.net", Some(443), Some(true)),
                one("Odd", "*.example.net", Some(443), None),
                one("", "plain.example.net", None, None),
            ],
            &profile(),
            "answer.json",
        );
        for line in [
            "# 11 pairs of host and port; 1 of them the profile watches already.",
            "# *.example.net: a pattern; name a host that this environment uses",
            "    - \"db1.database.windows.net\" # Azure SQL Database; reached by the environment",
            "    - \"a.blob.core.windows.net\" # Azure Storage; reached by the environment",
            "    - \"b.blob.core.windows.net:443\" # Azure Storage; reached by the environment",
            "    - \"eu.control.identity.azure.net\" # Identity; whether the environment reaches it is not said",
            "    - \"203.0.113.7\" # Monitoring; whether the environment reaches it is not said",
            "    - {host: \"203.0.113.10\", port: 1433, class: tcp, purpose: \"azure-sql-database\"} # database.windows.net: Azure SQL \
             Database; NOT reached by the environment",
            "    - {host: \"gr-x.cloudapp.net\", port: 443, class: https, purpose: \"regional-service\"} # Regional Service; reached by \
             the environment",
            "    - {host: \"plain.example.net\", port: 443, class: https, purpose: \"imported\"} # whether the environment reaches it is \
             not said; the answer says no port",
        ] {
            assert!(text.lines().any(|have| have == line), "{line}\n{text}");
        }
    }

    #[test]
    fn nothing_that_an_answer_says_becomes_configuration() {
        let evil = one("a\nlisten: 0.0.0.0:1\n\u{2028}x: y", "h.example", Some(443), None);
        let text = yaml(&[evil], &profile(), "from\nstate_dir: /x");
        assert!(!text.lines().any(|line| line.starts_with("listen") || line.starts_with("state_dir")), "{text}");
    }
}
