//! What has to be allowed, as commands of `az` for a firewall policy. They are printed, never run; capitals stand for names that
//! this machine cannot know.

use super::{Requirement, Sources};

/// The first priority of a rule collection; each has its own.
const FIRST_PRIORITY: usize = 1_000;

/// By what a firewall lets something pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// By names that it reads from HTTP or TLS, each protocol with its ports (application rule).
    Names(Vec<String>, Vec<(&'static str, u16)>),
    /// By addresses or a service tag (network rule).
    Addresses(Vec<String>),
    /// By names that it resolves itself, which needs its DNS proxy (network rule).
    Resolved(Vec<String>),
}

/// The tag of Azure DNS, which no route leads through a firewall (Microsoft's page on 168.63.129.16).
const PLATFORM: &str = "AzurePlatformDNS";

/// By what one requirement passes; `None` where nobody said which hosts it is and no tag covers it, and for what no firewall
/// sees.
pub fn by(requirement: &Requirement) -> Option<By> {
    if requirement.tag == Some(PLATFORM) {
        return None;
    }
    let names: Vec<String> = match requirement.name.strip_prefix("*.") {
        // A documented wildcard is what has to pass, not the host that stands for it.
        Some(_) => vec![requirement.name.clone()],
        None => requirement.hosts.iter().cloned().collect(),
    };
    let is_address = |name: &String| name.parse::<std::net::IpAddr>().is_ok();
    match (requirement.is_tls, requirement.tag) {
        (Some(_), _) if !names.iter().any(is_address) => {
            let protocol = |port: &u16| if *port == 80 { ("Http", *port) } else { ("Https", *port) };
            Some(By::Names(names, requirement.ports.iter().map(protocol).collect()))
        }
        (_, Some(tag)) => Some(By::Addresses(vec![tag.to_owned()])),
        (_, None) if names.is_empty() => None,
        // Time servers are documented as all addresses.
        (_, None) if requirement.name == "*" => Some(By::Addresses(vec!["*".to_owned()])),
        (_, None) if names.iter().all(is_address) => Some(By::Addresses(names)),
        (_, None) => Some(By::Resolved(names)),
    }
}

/// Renders the commands, one on each line.
pub fn commands(requirements: &[Requirement], sources: &Sources) -> String {
    let mut text = String::new();
    for (number, requirement) in requirements.iter().enumerate() {
        let Some(by) = by(requirement) else {
            let why = match requirement.tag {
                Some(PLATFORM) => "passes no firewall; no security group may deny the tag AzurePlatformDNS",
                Some(_) | None => "nobody said which hosts these are",
            };
            text.push_str(&format!("# {}: {why}\n", plain(&requirement.name)));
            continue;
        };
        text.push_str(&command(requirement, &by, sources, FIRST_PRIORITY + number));
        text.push('\n');
    }
    text
}

fn command(requirement: &Requirement, by: &By, sources: &Sources, priority: usize) -> String {
    let words = |list: &[String]| list.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
    let ports = requirement.ports_words(" ");
    let protocol = requirement.protocol;
    let rule = match by {
        By::Names(names, protocols) => {
            let protocols: Vec<String> = protocols.iter().map(|(name, port)| format!("{name}={port}")).collect();
            let (protocols, names) = (protocols.join(" "), words(names));
            format!("--rule-type ApplicationRule --protocols {protocols} --target-fqdns {names}")
        }
        By::Addresses(addresses) => {
            let to = words(addresses);
            format!(
                "--rule-type NetworkRule --ip-protocols {protocol} --destination-ports {ports} --destination-addresses {to}"
            )
        }
        By::Resolved(names) => {
            let to = words(names);
            format!(
                "--rule-type NetworkRule --ip-protocols {protocol} --destination-ports {ports} --destination-fqdns {to}"
            )
        }
    };
    let (name, from) = (requirement.rule_name(), words(&sources.subnet_words()));
    format!(
        "az network firewall policy rule-collection-group collection add-filter-collection -g GROUP --policy-name POLICY \
         --rule-collection-group-name RULE_GROUP --name {name} --collection-priority {priority} --action Allow --rule-name {name} \
         --source-addresses {from} {rule}"
    )
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '/');
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", plain(word).replace('\'', "'\\''"))
    }
}

fn plain(text: &str) -> String {
    crate::readers::paper::printable(text)
}
