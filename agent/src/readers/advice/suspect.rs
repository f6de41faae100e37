//! Where nothing answers, what is suspected first. What is said and what is typed come from this one place, so that they have
//! one order.

use ase_probes::{cause::Cause, verdict::Phase};

use super::Shown;
use crate::{
    diagnosis::rules::{ALL_RULE, EGRESS_DENIED, HOST_PORT, PORT_DENIED, PORT_RULE, ROUTE, UDP_RULE},
    engine::snapshot::Snapshot,
    model::diagnosis::{Incident, Scope},
};

/// Where nothing outside answers, the way out is the suspect, and no rule for one port.
const EGRESS: &str = "check where the route for 0.0.0.0/0 leads, then whether the appliance there runs, then for an NSG rule that denies the Internet";

/// The same where what was open before lives on, which a route would have ended.
const RULES_FIRST: &str = "check for an outbound NSG rule that denies the Internet, then where the route for 0.0.0.0/0 leads, then whether the appliance there runs";

/// Where one host is silent, its route is the first suspect; where a flow to it lives on, a route would have ended it.
const TO_ONE_HOST: &str = "check the next hop of the route to this address, then outbound NSG rules for it, then the appliance's network rules";

/// Neither an NSG nor a route lets a connection be made and drops what follows.
const INSPECTION: &str = "check which appliance is the next hop, then what its inspection (IDPS, TLS) logs of this flow; NSG rules and routes let the connection be made";

/// What is suspected first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suspect {
    /// What denies the platform's own address.
    Platform,
    /// What looks into connections that are made.
    Inspection,
    /// The server itself.
    Server,
    /// A rule that denies the Internet.
    AllRule,
    /// The way out.
    WayOut,
    /// A rule for the port.
    PortRule,
    /// The route to one host.
    Host,
}

impl Suspect {
    /// The first suspect of an incident of silence.
    pub(super) fn of(incident: &Incident, shown: &Shown<'_>, snapshot: &Snapshot) -> Self {
        let is_dropped = incident.finding.cause == Cause::Dropped;
        let is_made = matches!(incident.finding.phase, Phase::Tls | Phase::Request | Phase::Response | Phase::Tds);
        let is_server = shown.is_custom_dns(snapshot) && incident.scope == Scope::Host;
        let tells_port = |hint| [PORT_RULE, PORT_DENIED, HOST_PORT, UDP_RULE].contains(&hint);
        match (incident.hint, incident.scope) {
            _ if shown.is_platform(snapshot) => Self::Platform,
            _ if is_dropped && is_made => Self::Inspection,
            (hint, _) if is_server && !(is_dropped && hint == Some(UDP_RULE)) => Self::Server,
            (Some(ALL_RULE), scope) if is_dropped || scope == Scope::Egress => Self::AllRule,
            (Some(ROUTE | EGRESS_DENIED), _) if is_dropped => Self::WayOut,
            (_, Scope::Egress) => Self::WayOut,
            (Some(hint), _) if is_dropped && tells_port(hint) => Self::PortRule,
            (_, Scope::Port) if is_dropped => Self::PortRule,
            _ => Self::Host,
        }
    }

    /// What to do first; `None` where the cause's own words say it, or somebody else does.
    pub(super) fn words(self, cause: Cause) -> Option<&'static str> {
        match self {
            Self::Inspection => Some(INSPECTION),
            Self::AllRule => Some(RULES_FIRST),
            Self::WayOut => Some(EGRESS),
            Self::Host if cause == Cause::Dropped => Some(TO_ONE_HOST),
            Self::Platform | Self::Server | Self::PortRule | Self::Host => None,
        }
    }
}
