//! What to do about an incident: who mends it, the next step, what to rule out before, and the commands to type, with the
//! addresses of the endpoint that shows it. What the evidence excludes is not advised.

mod commands;

use std::{borrow::Cow, net::SocketAddr};

use ase_probes::{
    cause::{Cause, Owner, Side},
    class::Class,
};

use crate::{
    engine::snapshot::Snapshot,
    exports::said::{Said, Verdict},
    model::{
        catalog::{EndpointId, Host},
        diagnosis::{Incident, Scope},
        endpoint::EndpointView,
    },
    resolvers::{compare::Worry, names::NameView},
};

/// Routes and appliances do not touch the platform's own address; only an NSG rule with this tag does (Microsoft's page
/// on 168.63.129.16).
const PLATFORM: &str = "look for an NSG rule that denies the tag AzurePlatformDNS, then at this machine's firewall; routes and appliances do not touch this address";

/// Where nothing outside answers, the way out is the suspect, and no rule for one port.
const EGRESS: &str = "check where the route for 0.0.0.0/0 leads, then whether the appliance there runs, then for an NSG rule that denies the Internet";

/// Azure's resource manager, whose name every resolver of the public cloud knows.
const MANAGEMENT: &str = "management.azure.com";
/// The command line of Azure asks `management.azure.com` by name over TCP 443.
const ELSEWHERE: &str = "`az` needs what is broken here; type it on a machine that reaches Azure";

/// The advice of one incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Advice {
    /// Who mends it.
    pub(crate) owner: Owner,
    /// What to do.
    pub(crate) next: String,
    /// What to rule out before.
    pub(crate) before: &'static str,
    /// What to type to see more, the first suspect first; capitals stand for names that this machine cannot know.
    pub(crate) commands: Vec<String>,
    /// What to type to mend it: this changes something.
    pub(crate) mending: Vec<String>,
    /// Why some of these commands are to be typed elsewhere.
    pub(crate) elsewhere: Option<&'static str>,
}

impl Advice {
    /// All commands, those first that only look.
    pub(crate) fn every_command(self) -> Vec<String> {
        self.commands.into_iter().chain(self.mending).collect()
    }
}

/// Whoever mends it, as a sentence says it.
pub(crate) fn mender(owner: Owner) -> &'static str {
    match owner {
        Owner::Nobody => "nobody has to mend it",
        Owner::ThisMachine => "to be mended on this machine",
        Owner::NetworkTeam => "the network team mends it",
        Owner::DnsTeam => "the DNS team mends it",
        Owner::Peer => "whoever runs the peer, or the platform, mends it",
    }
}

/// What to do about an incident of this snapshot.
pub(crate) fn of(incident: &Incident, snapshot: &Snapshot) -> Advice {
    let definition = incident.finding.cause.definition();
    let shown = Shown::of(incident, snapshot);
    let advice = Advice {
        owner: owner(incident, shown.as_ref(), snapshot),
        next: next(incident, shown.as_ref(), snapshot),
        before: definition.check_first,
        commands: shown.as_ref().map(|shown| shown.commands(incident, snapshot)).unwrap_or_default(),
        mending: shown.as_ref().map(|shown| shown.mending(incident, snapshot)).unwrap_or_default(),
        elsewhere: None,
    };
    let advice = by_exports(incident, snapshot).map_or(advice.clone(), |said| as_exported(said, advice));
    let is_azure = advice.commands.iter().chain(&advice.mending).any(|command| command.starts_with("az "));
    let is_cut_off = is_azure && shown.is_some_and(|shown| shown.cuts_off_azure(incident));
    Advice { elsewhere: is_cut_off.then_some(ELSEWHERE), ..advice }
}

/// What exports say of an incident.
pub(crate) fn by_exports<'a>(incident: &Incident, snapshot: &'a Snapshot) -> Option<&'a Said> {
    snapshot.exports.as_ref()?.of(incident)
}

/// What to look at first: what the exports know, before what is usual.
pub(crate) fn hint<'a>(incident: &Incident, snapshot: &'a Snapshot) -> Option<Cow<'a, str>> {
    let known = by_exports(incident, snapshot).filter(|said| said.verdict != Verdict::Unknown);
    known.map(|said| Cow::Borrowed(said.line.as_str())).or(incident.hint.map(Cow::Borrowed))
}

/// What an incident rests on; what the exports say of it comes first.
pub(crate) fn evidence<'a>(incident: &'a Incident, snapshot: &'a Snapshot) -> Vec<&'a str> {
    let exported = by_exports(incident, snapshot).map(|said| said.line.as_str());
    exported.into_iter().chain(incident.evidence.iter().map(String::as_str)).collect()
}

/// The advice where rules and routes are known: who named what is to be changed knows more than the cause does.
fn as_exported(said: &Said, advice: Advice) -> Advice {
    let names_one = matches!(said.verdict, Verdict::Dropped | Verdict::Detour);
    let owner = if names_one { Owner::NetworkTeam } else { advice.owner };
    let next = said.next.clone().unwrap_or(advice.next);
    let mut commands = said.commands.clone();
    commands.extend(advice.commands.into_iter().filter(|command| !said.commands.contains(command)));
    Advice { owner, next, commands, ..advice }
}

/// Whose fault it shows to be: a custom DNS server that is silent or refuses is its own team's before the network's.
fn owner(incident: &Incident, shown: Option<&Shown<'_>>, snapshot: &Snapshot) -> Owner {
    let of_the_server = matches!(
        incident.finding.cause,
        Cause::Dropped | Cause::Refused | Cause::Reset | Cause::PacketLoss | Cause::Slow | Cause::ProtocolViolation
    );
    match shown {
        Some(shown) if of_the_server && shown.is_custom_dns(snapshot) && incident.scope == Scope::Host => {
            Owner::DnsTeam
        }
        Some(shown) if shown.is_custom_dns(snapshot) && incident.finding.cause == Cause::Refused => Owner::DnsTeam,
        Some(shown) if shown.is_platform(snapshot) && incident.finding.side != Side::Local => Owner::NetworkTeam,
        Some(_) | None => incident.finding.cause.definition().owner,
    }
}

fn next(incident: &Incident, shown: Option<&Shown<'_>>, snapshot: &Snapshot) -> String {
    let definition = incident.finding.cause.definition();
    let is_silence = matches!(incident.finding.cause, Cause::Dropped | Cause::Rejected);
    match shown {
        Some(shown) if is_silence && shown.is_platform(snapshot) => PLATFORM.to_owned(),
        Some(shown) if is_silence && shown.is_custom_dns(snapshot) && incident.scope == Scope::Host => {
            format!("see whether the DNS server {} runs; if it does, open port 53 to it", shown.address.ip())
        }
        Some(shown)
            if matches!(incident.finding.cause, Cause::DnsNxdomain | Cause::DnsNodata | Cause::DnsDivergent) =>
        {
            shown.of_the_comparison(snapshot).unwrap_or_else(|| definition.next_step.to_owned())
        }
        _ if is_silence && incident.scope == Scope::Egress => EGRESS.to_owned(),
        Some(_) | None => definition.next_step.to_owned(),
    }
}

/// The endpoint that shows an incident best, and the address that failed.
struct Shown<'a> {
    view: &'a EndpointView,
    address: SocketAddr,
}

impl<'a> Shown<'a> {
    /// The worst endpoint whose own address failed; one that an earlier failure hides shows that failure's address.
    fn of(incident: &Incident, snapshot: &'a Snapshot) -> Option<Self> {
        let views =
            |id: &EndpointId| snapshot.endpoints.iter().find(|view| view.endpoint.id == *id).map(|view| &**view);
        let mut shown: Vec<&EndpointView> = incident.endpoints.iter().filter_map(views).collect();
        shown.sort_by_key(|view| {
            let id = &view.endpoint.id;
            // What is true of all of them is shown by a connection rather than by a datagram.
            (incident.hides.contains(id), std::cmp::Reverse(view.endpoint.severity), is_datagram(view))
        });
        shown.into_iter().find_map(|view| Some(Self { view, address: address_of(view)? }))
    }

    /// Whether the command line of Azure is cut off here as well: by its name, its port, or with everything outside.
    fn cuts_off_azure(&self, incident: &Incident) -> bool {
        let asks_azure = |id: &EndpointId| id.0.starts_with(MANAGEMENT);
        let is_shared = matches!(incident.scope, Scope::Port | Scope::Host | Scope::Egress | Scope::Vm);
        let needed = [53, 443].contains(&self.address.port());
        incident.scope == Scope::Egress || is_shared && needed || incident.endpoints.iter().any(asks_azure)
    }

    fn is_platform(&self, snapshot: &Snapshot) -> bool {
        self.address.ip() == snapshot.resolvers.azure.ip()
    }

    fn is_custom_dns(&self, snapshot: &Snapshot) -> bool {
        let custom = || snapshot.resolvers.custom.iter().any(|server| server.ip() == self.address.ip());
        self.address.port() == 53 && !self.is_platform(snapshot) && custom()
    }

    /// What the comparison of the endpoint's name advises, which knows both sides.
    fn of_the_comparison(&self, snapshot: &Snapshot) -> Option<String> {
        let view = self.compared(snapshot)?;
        let comparison = view.published.as_ref().filter(|comparison| comparison.worry > Worry::Fine)?;
        let advice = comparison.class.advice()?.to_owned();
        Some(match self.private_zone(snapshot) {
            Some(zone) => advice.replace("the privatelink zone", &format!("the zone {zone}")),
            None => advice,
        })
    }

    fn compared(&self, snapshot: &'a Snapshot) -> Option<&'a NameView> {
        let Host::Name(name) = &self.view.endpoint.target.host else { return None };
        snapshot.names.iter().find(|view| *view.name == **name).map(|view| &**view)
    }

    /// The zone of private endpoints through which the endpoint's name leads.
    fn private_zone(&self, snapshot: &Snapshot) -> Option<String> {
        let survey = self.compared(snapshot)?.last.as_ref()?;
        survey.azure.private_zone().or_else(|| survey.custom.private_zone())
    }
}

/// The address that failed: the first one asked in vain, the server that did not resolve the name, or the endpoint's own;
/// where none failed, the first one asked.
fn address_of(view: &EndpointView) -> Option<SocketAddr> {
    let visit = view.last.as_ref();
    let bad = visit.and_then(|visit| visit.outcomes.iter().find(|outcome| outcome.verdict.finding().is_some()));
    let unresolved = visit.and_then(|visit| visit.resolution.as_ref()?.failures.first());
    let own = match view.endpoint.target.host {
        Host::Address(address) => Some(SocketAddr::new(address, view.endpoint.target.port)),
        Host::Name(_) => None,
    };
    let asked = visit.and_then(|visit| visit.outcomes.first()).map(|outcome| outcome.address);
    bad.or(unresolved).map(|outcome| outcome.address).or(own).or(asked)
}

fn is_datagram(view: &EndpointView) -> bool {
    matches!(view.endpoint.class, Class::Dns | Class::Ntp) && !view.endpoint.id.0.ends_with("/tcp")
}
