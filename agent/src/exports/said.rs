//! What exports say about an incident: in one word, flow by flow, and in sentences.

use std::{net::IpAddr, time::Duration};

use crate::lint::{
    judge::passage::{ByRoutes, ByRules, RouteName},
    route::NextHop,
    traffic::{PortSet, Protocols},
};

/// The result in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExportVerdict {
    /// Nothing exported stands in the way: the suspect is beyond the exports.
    Allowed,
    /// The exports do not hold enough.
    Unknown,
    /// A route hands the packets to an appliance or a gateway.
    Detour,
    /// By the exports the packets would be dropped, but something of them comes through: other rules or routes are in force.
    Contradicted,
    /// A rule or a route drops the packets.
    Dropped,
}

impl ExportVerdict {
    /// Every verdict.
    pub const ALL: [Self; 5] = [Self::Allowed, Self::Unknown, Self::Detour, Self::Contradicted, Self::Dropped];

    /// Its name in JSON.
    pub fn label(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Unknown => "unknown",
            Self::Detour => "detour",
            Self::Contradicted => "contradicted",
            Self::Dropped => "dropped",
        }
    }
}

/// Flows that the same rule and route decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What becomes of them.
    pub verdict: ExportVerdict,
    /// What the rules do.
    pub rules: ByRules,
    /// Where the routes send them.
    pub routes: ByRoutes,
    /// Their protocol.
    pub protocol: Protocols,
    /// The ports they go to.
    pub ports: PortSet,
    /// Where they go.
    pub destinations: Vec<IpAddr>,
}

/// What exports say about an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The worst of the parts.
    pub verdict: ExportVerdict,
    /// The measured flows, those with the worst verdict first.
    pub parts: Vec<Part>,
    /// Where the flows leave from, where that is known.
    pub source: Option<IpAddr>,
    /// Whether that is inside the subnet of the exports; `None` where its prefixes are not known.
    pub is_inside: Option<bool>,
    /// Endpoints that work although what is accused would stop them, too.
    pub witnesses: Vec<String>,
    /// When the oldest file was written, since the Unix epoch.
    pub written: Option<Duration>,
    /// Whether the exports are older than the incident by more than the configuration allows.
    pub is_stale: bool,
    /// All of it in one sentence.
    pub line: String,
    /// What to do next, where the exports tell.
    pub next: Option<String>,
    /// What to type to confirm it.
    pub commands: Vec<String>,
}

/// The next hops of a way.
pub(super) fn hops(routes: &ByRoutes) -> impl Iterator<Item = &NextHop> {
    ways(routes).iter().map(|(_, hop)| hop)
}

/// The routes of a way.
pub(super) fn ways(routes: &ByRoutes) -> &[(RouteName, NextHop)] {
    match routes {
        ByRoutes::Way { routes, .. } => routes,
        ByRoutes::NotExported | ByRoutes::Exempt | ByRoutes::Open(_) => &[],
    }
}

/// The route that leads nowhere.
pub(super) fn nowhere(routes: &ByRoutes) -> Option<&RouteName> {
    ways(routes).iter().find(|(_, hop)| *hop == NextHop::Nowhere).map(|(route, _)| route)
}
