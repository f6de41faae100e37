//! The environment's own view beside the agent's: where only one of them connects, the two subnets differ.

use std::net::IpAddr;

use crate::{imports::outbound::Dependency, lint::seen::SeenFlow};

/// How the two views compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum View {
    /// The agent reaches it, the environment does not.
    AgentOnly,
    /// The environment reaches it, the agent does not.
    EnvironmentOnly,
    /// Neither does.
    Neither,
    /// Both do.
    Both,
    /// One of them has not tried, or does not say.
    Unknown,
}

impl View {
    /// The label in documents.
    pub fn label(self) -> &'static str {
        match self {
            Self::AgentOnly => "agent_only",
            Self::EnvironmentOnly => "environment_only",
            Self::Neither => "neither",
            Self::Both => "both",
            Self::Unknown => "unknown",
        }
    }

    /// What it means, in plain words.
    pub fn words(self) -> &'static str {
        match self {
            Self::AgentOnly => {
                "the agent reaches it and the environment does not: the rules, routes or service endpoints of the two subnets differ"
            }
            Self::EnvironmentOnly => {
                "the environment reaches it and the agent does not: look at the agent's subnet and machine, the environment is well"
            }
            Self::Neither => "neither reaches it: what both share is in the way, or the peer is down",
            Self::Both => "both reach it",
            Self::Unknown => "only one of them has tried it",
        }
    }

    /// Whether somebody should look.
    pub fn is_bad(self) -> bool {
        match self {
            Self::AgentOnly | Self::EnvironmentOnly | Self::Neither => true,
            Self::Both | Self::Unknown => false,
        }
    }
}

/// One endpoint at one address, seen from both.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// What the environment says.
    pub dependency: Dependency,
    /// Whether the agent reached it; none where it has not tried.
    pub agent: Option<bool>,
    /// What both say together.
    pub view: View,
}

/// Compares what the environment says with the flows that the agent has seen, the worst first.
pub fn compare(dependencies: &[Dependency], flows: &[SeenFlow]) -> Vec<Compared> {
    let mut all: Vec<Compared> = dependencies.iter().map(|dependency| one(dependency, flows)).collect();
    all.sort_by(|a, b| a.view.cmp(&b.view).then_with(|| a.dependency.name.cmp(&b.dependency.name)));
    all
}

fn one(dependency: &Dependency, flows: &[SeenFlow]) -> Compared {
    let agent = flows.iter().filter(|flow| is_of(flow, dependency)).map(|flow| reached(flow, dependency.address)).max();
    let view = match (dependency.accessible, agent) {
        (Some(true), Some(true)) => View::Both,
        (Some(false), Some(true)) => View::AgentOnly,
        (Some(true), Some(false)) => View::EnvironmentOnly,
        (Some(false), Some(false)) => View::Neither,
        (None, _) | (_, None) => View::Unknown,
    };
    Compared { dependency: dependency.clone(), agent, view }
}

/// Whether a flow asks the same peer: the same name or address on the same port.
fn is_of(flow: &SeenFlow, dependency: &Dependency) -> bool {
    let host = flow.name.rsplit_once(':').map_or(flow.name.as_str(), |(host, _)| host);
    let same_name = host.trim_matches(['[', ']']).eq_ignore_ascii_case(&dependency.name);
    let same_address = dependency.address.is_some_and(|address| flow.addresses.contains(&address));
    dependency.port == Some(flow.port) && (same_name || same_address)
}

/// Whether the agent reached an address; the name alone decides where it asked another address.
fn reached(flow: &SeenFlow, address: Option<IpAddr>) -> bool {
    match address.filter(|address| flow.addresses.contains(address)) {
        Some(address) => !flow.failed.contains(&address),
        None => flow.worked,
    }
}

#[cfg(test)]
mod tests {
    use ase_probes::class::Class;

    use super::*;

    fn dependency(name: &str, address: &str, accessible: Option<bool>) -> Dependency {
        let address = address.parse().ok();
        Dependency {
            category: String::new(),
            name: name.to_owned(),
            address,
            port: Some(443),
            accessible,
            latency: None,
        }
    }

    #[test]
    fn each_pair_of_views_has_its_meaning() {
        let mut lost = SeenFlow::of_id("a.example:443", Class::Https).expect("a flow");
        lost.worked = false;
        let good = SeenFlow::of_id("b.example:443", Class::Https).expect("a flow");
        let flows = [lost, good];
        let view = |name: &str, accessible| compare(&[dependency(name, "", accessible)], &flows)[0].view;
        assert_eq!(view("a.example", Some(true)), View::EnvironmentOnly);
        assert_eq!(view("a.example", Some(false)), View::Neither);
        assert_eq!(view("b.example", Some(false)), View::AgentOnly);
        assert_eq!(view("B.example", Some(true)), View::Both);
        assert_eq!(view("b.example", None), View::Unknown);
        assert_eq!(view("c.example", Some(false)), View::Unknown);
    }

    #[test]
    fn one_bad_address_of_a_good_name_is_told_apart() {
        let of = |text: &str| text.parse::<IpAddr>().expect("an address");
        let flow = SeenFlow {
            addresses: vec![of("203.0.113.1"), of("203.0.113.2")],
            failed: vec![of("203.0.113.2")],
            ..SeenFlow::of_id("a.example:443", Class::Https).expect("a flow")
        };
        let all = compare(
            &[dependency("a.example", "203.0.113.1", Some(true)), dependency("a.example", "203.0.113.2", Some(true))],
            &[flow],
        );
        assert_eq!(all.iter().map(|one| one.view).collect::<Vec<_>>(), [View::EnvironmentOnly, View::Both]);
    }
}
