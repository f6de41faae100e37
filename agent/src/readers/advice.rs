//! What to do about an incident: who mends it, the next step, what to rule out before, and the commands to type, with the
//! addresses of the endpoint that shows it. What the evidence excludes is not advised.

mod blanks;
mod commands;
mod expected;
mod known;
mod others;
mod suspect;
mod words;

use std::{
    borrow::Cow,
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use ase_probes::{
    cause::{Cause, Owner, Side},
    class::Class,
    resolve::Resolution,
    verdict::Confidence,
};

use crate::{
    diagnosis::rules::UDP_RULE,
    engine::snapshot::Snapshot,
    exports::said::{ExportVerdict, Said},
    model::{
        catalog::{EndpointId, Host},
        diagnosis::{Incident, Scope},
        endpoint::EndpointView,
    },
    resolvers::{
        compare::{Worry, zone_to_forward},
        names::NameView,
    },
};

use known::Known;

pub(crate) use blanks::{Blanks, in_words as blanks};
pub(crate) use others::{Typed, of_other, others};

/// Routes and appliances do not touch the platform's own address; only an NSG rule with this tag does (Microsoft's page
/// on 168.63.129.16).
const PLATFORM: &str = "look for an NSG rule that denies the tag AzurePlatformDNS, then at this machine's firewall; routes and appliances do not touch this address";

/// What to rule out where the platform's own address is silent.
const PLATFORM_BEFORE: &str = "whether an NSG or this machine's firewall was changed when it began, and whether other VMs of the subnet reach the address";
/// What to do where the flows to the platform's own address suffer: on that way stands nothing but this VM and its host.
const HOST: &str =
    "see whether other VMs of the subnet show the same; if none does, redeploy this VM, else open a ticket with Azure";
/// What to rule out where the flows to the platform's own address suffer.
const HOST_BEFORE: &str =
    "this machine's own load, drop counters and firewall: `nstat -az`, `ip -s link`, `nft list ruleset`";

/// Azure's resource manager, whose name every resolver of the public cloud knows.
const MANAGEMENT: &str = "management.azure.com";
/// The command line of Azure asks `management.azure.com` by name over TCP 443.
const ELSEWHERE: &str = "`az` needs what is broken here; type it on a machine that reaches Azure";

/// A step, and what to type for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// What to do, in plain words.
    pub(crate) words: String,
    /// What to type to see more, the first suspect first; capitals stand for names that this machine cannot know.
    pub(crate) commands: Vec<String>,
    /// Whether it changes something; else it only looks or asks.
    pub(crate) changes: bool,
}

/// The advice of one incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Advice {
    /// Who mends it.
    pub(crate) owner: Owner,
    /// What to do.
    pub(crate) next: Step,
    /// What to rule out before anything is changed.
    pub(crate) before: Step,
    /// Whether exports name what is to be changed: that is looked at before anything else.
    is_named: bool,
    /// What to type to mend it: this changes something.
    pub(crate) mending: Vec<String>,
    /// Where some of these commands are to be typed, if not here.
    pub(crate) elsewhere: Option<String>,
    /// What would make the cause confirmed, where it is less.
    pub(crate) to_confirm: Option<String>,
    cause: Cause,
    known: Known,
}

impl Advice {
    /// Both steps in the order in which they are done: what there is to type comes before what one has to ask for. One that
    /// changes something says so.
    pub(crate) fn steps(&self) -> [Step; 2] {
        let before = Step { words: format!("check {}", self.before.words), ..self.before.clone() };
        let next = Step { words: self.next_words(), ..self.next.clone() };
        if self.is_named {
            return [Step { words: format!("look it up, then {}", next.words), ..next }, before];
        }
        if self.before.commands.is_empty() && !next.commands.is_empty() { [next, before] } else { [before, next] }
    }

    /// What to do next, marked where it changes something.
    pub(crate) fn next_words(&self) -> String {
        words::told(&self.next.words, self.next.changes)
    }

    /// The commands that only look, in the order of the steps.
    pub(crate) fn commands(&self) -> Vec<String> {
        self.steps().into_iter().flat_map(|step| step.commands).collect()
    }

    /// What this command shows where the cause is right, and what else it may show, in a few words.
    pub(crate) fn expected(&self, command: &str) -> Option<Cow<'static, str>> {
        expected::of(command, self.cause, &self.known)
    }

    /// What this command changes, where it is one that mends.
    pub(crate) fn changed(&self, command: &str) -> Option<&'static str> {
        self.is_mending(command).then(|| words::changed(command))
    }

    /// Where this command is to be typed, if not here.
    pub(crate) fn place_of(&self, command: &str) -> Option<&str> {
        let is_meant =
            |note: &str| if note == ELSEWHERE { command.starts_with("az ") } else { self.is_mending(command) };
        self.elsewhere.as_deref().filter(|note| is_meant(note))
    }

    fn is_mending(&self, command: &str) -> bool {
        self.mending.iter().any(|mending| mending == command)
    }

    /// All commands, those first that only look.
    pub(crate) fn every_command(&self) -> Vec<String> {
        self.commands().into_iter().chain(self.mending.iter().cloned()).collect()
    }
}

/// Whoever mends it, as a sentence says it.
pub(crate) fn mender(owner: Owner) -> &'static str {
    match owner {
        Owner::Nobody => "nobody has to mend it",
        Owner::ThisMachine => "whoever runs this agent's VM mends it",
        Owner::NetworkTeam => "the network team mends it",
        Owner::DnsTeam => "the DNS team mends it",
        Owner::Peer => "whoever runs the peer, or the platform, mends it",
    }
}

/// What to do about an incident of this snapshot.
pub(crate) fn of(incident: &Incident, snapshot: &Snapshot) -> Advice {
    let shown = Shown::of(incident, snapshot);
    let known = Known::of(shown.as_ref(), snapshot);
    let (words, changes) = words::next(incident, shown.as_ref(), snapshot);
    let mut next = Step { words, commands: Vec::new(), changes };
    let words = words::before(incident, shown.as_ref(), &known, snapshot);
    let mut before = Step { words, commands: Vec::new(), changes: false };
    let mut mending = Vec::new();
    if let Some(shown) = &shown {
        let step = if shown.is_next_looking(incident, snapshot) { &mut next } else { &mut before };
        step.commands = shown.commands(incident, snapshot);
        mending = shown.mending(incident, snapshot);
    }
    let owner = owner(incident, shown.as_ref(), &known, snapshot);
    let (cause, elsewhere, to_confirm) = (incident.finding.cause, None, None);
    let advice = Advice { owner, next, before, is_named: false, mending, elsewhere, to_confirm, cause, known };
    let advice = by_exports(incident, snapshot).map_or(advice.clone(), |said| as_exported(said, advice));
    let elsewhere = shown.and_then(|shown| shown.elsewhere(incident, &advice, snapshot));
    let to_confirm = words::to_confirm(incident, advice.commands().first());
    Advice { elsewhere, to_confirm, ..advice }
}

/// What exports say of an incident.
pub(crate) fn by_exports<'a>(incident: &Incident, snapshot: &'a Snapshot) -> Option<&'a Said> {
    snapshot.exports.as_ref()?.of(incident)
}

/// What to look at first: what the exports know, before what is usual.
pub(crate) fn hint<'a>(incident: &Incident, snapshot: &'a Snapshot) -> Option<Cow<'a, str>> {
    let known = by_exports(incident, snapshot).filter(|said| said.verdict != ExportVerdict::Unknown);
    known.map(|said| Cow::Borrowed(said.line.as_str())).or(incident.hint.map(Cow::Borrowed))
}

/// Who issued the certificate that shows an incident of inspected TLS.
pub(crate) fn issuer<'a>(incident: &Incident, snapshot: &'a Snapshot) -> Option<&'a str> {
    let shown = Shown::of(incident, snapshot).filter(|_| incident.finding.cause == Cause::TlsIntercepted)?;
    known::issuer(shown.view)
}

/// What the comparison of the name says that shows an incident of two resolvers that lead apart.
pub(crate) fn compared<'a>(incident: &Incident, snapshot: &'a Snapshot) -> Option<&'a str> {
    let shown = Shown::of(incident, snapshot).filter(|_| incident.finding.cause == Cause::DnsDivergent)?;
    let comparison =
        shown.compared(snapshot)?.published.as_ref().filter(|comparison| comparison.worry > Worry::Fine)?;
    Some(&comparison.reason)
}

/// How sure an open incident is that DNS leads this name astray; `None` where the comparison of the answers stands alone.
pub(crate) fn sure_of(name: &str, snapshot: &Snapshot) -> Option<Confidence> {
    let is_named = |id: &EndpointId| {
        let view = snapshot.endpoints.iter().find(|view| view.endpoint.id == *id);
        view.is_some_and(|view| matches!(&view.endpoint.target.host, Host::Name(host) if **host == *name))
    };
    let open = snapshot.incidents.open.iter();
    let about_it = open.filter(|it| it.finding.cause.label().starts_with("dns_") && it.endpoints.iter().any(is_named));
    about_it.map(|incident| incident.finding.confidence).max()
}

/// What an incident rests on; what the exports say of it comes first.
pub(crate) fn evidence<'a>(incident: &'a Incident, snapshot: &'a Snapshot) -> Vec<&'a str> {
    let exported = by_exports(incident, snapshot).map(|said| said.line.as_str());
    exported.into_iter().chain(incident.evidence.iter().map(String::as_str)).collect()
}

/// The advice where rules and routes are known: who named what is to be changed knows more than the cause does.
fn as_exported(said: &Said, advice: Advice) -> Advice {
    let names_one = matches!(said.verdict, ExportVerdict::Dropped | ExportVerdict::Detour);
    let owner = if names_one { Owner::NetworkTeam } else { advice.owner };
    // A detour is looked for in the rules and the log of the appliance.
    let changes = if said.next.is_some() { said.verdict == ExportVerdict::Dropped } else { advice.next.changes };
    let words = said.next.clone().unwrap_or(advice.next.words);
    let mut next = Step { words, commands: said.commands.clone(), changes };
    next.commands.extend(advice.next.commands.into_iter().filter(|command| !said.commands.contains(command)));
    let mut before = advice.before;
    before.commands.retain(|command| !said.commands.contains(command));
    Advice { owner, next, before, is_named: !said.commands.is_empty(), ..advice }
}

/// Whose fault it shows to be: a custom DNS server that is silent or refuses is its own team's before the network's.
fn owner(incident: &Incident, shown: Option<&Shown<'_>>, known: &Known, snapshot: &Snapshot) -> Owner {
    let of_the_server = matches!(
        incident.finding.cause,
        Cause::Dropped | Cause::Refused | Cause::Reset | Cause::PacketLoss | Cause::Slow | Cause::ProtocolViolation
    );
    let is_of_protocol = incident.hint == Some(UDP_RULE);
    match shown {
        // A server that answers over TCP runs.
        Some(shown)
            if of_the_server && !is_of_protocol && shown.is_custom_dns(snapshot) && incident.scope == Scope::Host =>
        {
            Owner::DnsTeam
        }
        // What Azure DNS cannot resolve either is no matter of this server's.
        Some(_) if incident.finding.cause == Cause::DnsServfail && known.azure_answers == Some(false) => Owner::Peer,
        Some(shown) if shown.is_custom_dns(snapshot) && incident.finding.cause == Cause::Refused => Owner::DnsTeam,
        Some(shown) if shown.is_platform(snapshot) && incident.finding.side != Side::Local => Owner::NetworkTeam,
        Some(_) | None => incident.finding.cause.definition().owner,
    }
}

/// What to do about a cause that shows at the platform's own address alone, and what to rule out before: neither blames a
/// route or an appliance. `None` where the cause's own words blame none.
fn at_platform(cause: Cause) -> Option<(&'static str, &'static str)> {
    match cause {
        Cause::Dropped | Cause::Rejected => Some((PLATFORM, PLATFORM_BEFORE)),
        Cause::PacketLoss
        | Cause::FlowHashLoss
        | Cause::FlowTableFull
        | Cause::MtuBlackhole
        | Cause::Slow
        | Cause::Reset => Some((HOST, HOST_BEFORE)),
        _ => None,
    }
}

/// What to rule out about an incident that the store alone remembers.
pub(crate) fn remembered(cause: Cause, endpoints: &[String], snapshot: &Snapshot) -> (String, &'static str) {
    let start = format!("{}:", snapshot.resolvers.azure.ip());
    let is_platform = !endpoints.is_empty() && endpoints.iter().all(|id| id.starts_with(&start));
    let definition = cause.definition();
    match at_platform(cause).filter(|_| is_platform) {
        Some((next, before)) => (words::told(next, next == HOST), before),
        None => (definition.next_words(), definition.check_first),
    }
}

/// Addresses as a sentence lists them.
fn listed(addresses: &[IpAddr]) -> String {
    let words: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
    match &words[..] {
        [most @ .., last] if !most.is_empty() => format!("{} and {last}", most.join(", ")),
        all => all.concat(),
    }
}

/// The endpoint that shows an incident best, the address that failed, and the custom DNS servers that are to blame.
struct Shown<'a> {
    view: &'a EndpointView,
    address: SocketAddr,
    servers: Vec<IpAddr>,
}

impl<'a> Shown<'a> {
    /// The worst endpoint whose own address failed; one that an earlier failure hides shows that failure's address.
    fn of(incident: &Incident, snapshot: &'a Snapshot) -> Option<Self> {
        // An outage of everything has ten thousand endpoints: each is looked up, not searched.
        let (hit, hidden): (BTreeSet<&EndpointId>, BTreeSet<&EndpointId>) =
            (incident.endpoints.iter().collect(), incident.hides.iter().collect());
        let views = snapshot.endpoints.iter().map(|view| &**view);
        let mut shown: Vec<&EndpointView> = views.filter(|view| hit.contains(&view.endpoint.id)).collect();
        shown.sort_by_key(|view| {
            let id = &view.endpoint.id;
            // What is true of all of them is shown by a connection rather than by a datagram.
            (hidden.contains(id), std::cmp::Reverse(view.endpoint.severity), is_datagram(view))
        });
        let (view, address) = shown.into_iter().find_map(|view| Some((view, address_of(view)?)))?;
        Some(Self { view, address, servers: servers_of(incident, view, snapshot) })
    }

    /// Whether the command line of Azure is cut off here as well: by its name, its port, or with everything outside.
    fn cuts_off_azure(&self, incident: &Incident) -> bool {
        let asks_azure = |id: &EndpointId| id.0.starts_with(MANAGEMENT);
        let is_shared = matches!(incident.scope, Scope::Port | Scope::Host | Scope::Egress | Scope::Vm);
        let needed = [53, 443].contains(&self.address.port());
        incident.scope == Scope::Egress || is_shared && needed || incident.endpoints.iter().any(asks_azure)
    }

    /// Where to type what is not to be typed here.
    fn elsewhere(&self, incident: &Incident, advice: &Advice, snapshot: &Snapshot) -> Option<String> {
        let is_azure = advice.every_command().iter().any(|command| command.starts_with("az "));
        let is_cut_off = is_azure && self.cuts_off_azure(incident);
        is_cut_off.then(|| ELSEWHERE.to_owned()).or_else(|| self.on_other_servers(incident, snapshot))
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
            Some(zone) => advice
                .replace("the service's public zone", &format!("the zone {}", zone_to_forward(&zone)))
                .replace("the privatelink zone", &zone),
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
    let unresolved =
        visit.and_then(|visit| visit.resolution.as_ref().filter(|found| found.finding.is_some())?.telling());
    let own = match view.endpoint.target.host {
        Host::Address(address) => Some(SocketAddr::new(address, view.endpoint.target.port)),
        Host::Name(_) => None,
    };
    let asked = visit.and_then(|visit| visit.outcomes.first()).map(|outcome| outcome.address);
    bad.or(unresolved).map(|outcome| outcome.address).or(own).or(asked)
}

/// The custom DNS servers that an incident is about: those among its endpoints, else those that failed the name that shows it.
fn servers_of(incident: &Incident, view: &EndpointView, snapshot: &Snapshot) -> Vec<IpAddr> {
    let is_hit = |server: &IpAddr| incident.endpoints.iter().any(|id| id.0.starts_with(&format!("{server}:53")));
    let mut custom: Vec<IpAddr> = snapshot.resolvers.custom.iter().map(SocketAddr::ip).collect();
    let failed = view.last.as_ref().and_then(|visit| visit.resolution.as_ref().filter(|found| found.finding.is_some()));
    let failed: Vec<SocketAddr> = failed.map(Resolution::failed_alike).unwrap_or_default();
    match custom.iter().any(is_hit) {
        true => custom.retain(is_hit),
        false => custom.retain(|server| failed.iter().any(|failed| failed.ip() == *server)),
    }
    custom
}

fn is_datagram(view: &EndpointView) -> bool {
    matches!(view.endpoint.class, Class::Dns | Class::Ntp) && !view.endpoint.id.0.ends_with("/tcp")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ase_probes::{cause::CHANGES, verdict::Phase};

    use super::*;
    use crate::{
        diagnosis::rules::{
            ALL_RULE, EGRESS_DENIED, HELLO_DROPPED, HOST_PORT, PORT_DENIED, PORT_RULE, REQUEST_DROPPED, ROUTE,
        },
        model::{contrast::Contrast, diagnosis::Alternative, endpoint::Status},
        sample,
    };

    /// The sample's incident with this cause, at the endpoints whose id begins so.
    fn advised(cause: Cause, start: &str) -> (Advice, Snapshot) {
        let mut snapshot = sample::snapshot();
        let ids = snapshot.endpoints.iter().map(|view| view.endpoint.id.clone());
        let endpoints: Vec<EndpointId> = ids.filter(|id| id.0.starts_with(start)).collect();
        assert!(!endpoints.is_empty(), "the sample has {start}");
        let incident = Arc::make_mut(&mut snapshot.incidents.open[0]);
        incident.endpoints = endpoints;
        incident.finding.cause = cause;
        incident.scope = Scope::Endpoint;
        (of(&snapshot.incidents.open[0].clone(), &snapshot), snapshot)
    }

    #[test]
    fn neither_routes_nor_appliances_are_suspects_for_the_address_of_the_platform() {
        // Those that name the device in their evidence, as an unreachable of a router does, may speak of it.
        let (silent, suffering) = ([Cause::Dropped, Cause::Rejected], [Cause::PacketLoss, Cause::Slow, Cause::Reset]);
        let of_flows = [Cause::FlowHashLoss, Cause::FlowTableFull, Cause::MtuBlackhole];
        for cause in silent.into_iter().chain(suffering).chain(of_flows) {
            let (advice, snapshot) = advised(cause, "168.63.129.16:");
            let ids: Vec<String> = snapshot.incidents.open[0].endpoints.iter().map(ToString::to_string).collect();
            let (next, before) = remembered(cause, &ids, &snapshot);
            assert_ne!(advice.next.words, advice.before.words, "{cause}");
            for words in [&*advice.next.words, &advice.before.words, &next, before] {
                let blamed = words.replace("routes and appliances do not touch this address", "");
                for suspect in ["route", "appliance", "gateway", "other subnets"] {
                    assert!(!blamed.contains(suspect), "{cause}: {suspect} in ({words})");
                }
            }
        }
    }

    #[test]
    fn every_cause_has_a_next_step_and_something_else_to_rule_out_before() {
        for cause in Cause::ALL.iter().copied().filter(|cause| !matches!(cause, Cause::None | Cause::Unknown)) {
            let (advice, _) = advised(cause, "asedb-a");
            assert_ne!(advice.next.words, advice.before.words, "{cause}");
            assert!(!advice.next.words.is_empty() && !advice.before.words.is_empty(), "{cause}");
            assert!(!advice.commands().is_empty(), "{cause}");
        }
    }

    #[test]
    fn whoever_types_is_told_what_to_fill_in_for_every_word_in_capitals() {
        let is_blank = |word: &&str| {
            let is_word = word.len() > 1 && !word.starts_with('-');
            is_word && word.chars().all(|c| c.is_ascii_uppercase() || c == '-')
        };
        for cause in Cause::ALL.iter().copied() {
            for start in ["asedb-a", "login.", "168.63.129.16:"] {
                let (advice, _) = advised(cause, start);
                let commands = advice.every_command();
                let words = commands.iter().flat_map(|it| it.split([' ', '\'', ':']).filter(is_blank));
                let given = ["TCP", "UDP"];
                let said = blanks(commands.iter().map(String::as_str)).unwrap_or_default();
                for word in words.filter(|word| !given.contains(word)) {
                    assert!(said.contains(&format!("{word}: ")), "{cause}: {word} in ({said})");
                }
            }
        }
    }

    #[test]
    fn advice_names_every_custom_dns_server_that_the_incident_is_about_and_no_other() {
        let mut snapshot = sample::snapshot();
        let at = snapshot.endpoints.iter().position(|view| view.endpoint.id.0.starts_with("10.0.0.4:53"));
        let first = Arc::clone(&snapshot.endpoints[at.expect("the sample has a custom DNS server")]);
        let mut second = EndpointView::clone(&first);
        let address: IpAddr = [10, 0, 0, 5].into();
        let mut endpoint = (*second.endpoint).clone();
        endpoint.target.host = Host::Address(address);
        endpoint.id = EndpointId("10.0.0.5:53".into());
        second.endpoint = endpoint.into();
        snapshot.endpoints.insert(0, Arc::new(second));
        snapshot.resolvers.custom.push(SocketAddr::new(address, 53));
        snapshot.exports = None;
        let about = |ids: &[&str]| {
            let mut snapshot = snapshot.clone();
            let incident = Arc::make_mut(&mut snapshot.incidents.open[0]);
            incident.endpoints = ids.iter().map(|id| EndpointId((*id).into())).collect();
            (incident.finding.cause, incident.scope, incident.hides) = (Cause::Dropped, Scope::Host, Vec::new());
            let advice = of(&snapshot.incidents.open[0].clone(), &snapshot);
            let named = |server: &str| advice.commands().iter().filter(|command| command.contains(server)).count();
            (advice.next.words.clone(), named("10.0.0.4"), named("10.0.0.5"))
        };
        let (next, one, other) = about(&[&first.endpoint.id.0, "10.0.0.5:53"]);
        assert_eq!(
            next,
            "see whether the DNS servers 10.0.0.4 and 10.0.0.5 run; if they do, find what closes port 53 to them"
        );
        assert!(one > 0 && one == other, "{one} and {other}");
        let (next, _, other) = about(&[&first.endpoint.id.0]);
        assert_eq!((next.contains("10.0.0.5"), other), (false, 0), "{next}");
    }

    #[test]
    fn elsewhere_the_way_stays_a_suspect() {
        let (advice, snapshot) = advised(Cause::Dropped, "asedb-a");
        assert!(advice.before.words.contains("routes or appliances"), "{advice:?}");
        let both = ["168.63.129.16:53".to_owned(), "asedb-a.database.windows.net:1433".to_owned()];
        assert_eq!(remembered(Cause::Dropped, &both, &snapshot).1, advice.before.words);
    }

    #[test]
    fn what_a_command_that_looks_shows_takes_two_lines_and_a_change_says_what_it_changes() {
        // These show numbers that only their reader can judge, or what the agent itself says.
        let is_open = |command: &str| command.starts_with("ase-agent check") || command.starts_with("journalctl");
        for (what, advice) in every_advice() {
            for command in advice.commands().iter().filter(|command| !is_open(command)) {
                let shown = advice.expected(command).unwrap_or_else(|| panic!("{what}: {command}"));
                assert!(shown.chars().count() <= 140, "{what}: ({shown}) fits no two lines of 80 columns");
            }
            for command in &advice.mending {
                assert_eq!(advice.expected(command), None, "{what}: {command}");
                assert!(advice.changed(command).is_some_and(|it| it.starts_with("this ")), "{what}: {command}");
            }
        }
        let (advice, _) = advised(Cause::Dropped, "asedb-a");
        let flow = advice.commands().into_iter().find(|command| command.contains("test-ip-flow")).expect("it is asked");
        assert!(advice.expected(&flow).is_some_and(|shown| shown.starts_with("access Deny")), "{flow}");
    }

    #[test]
    fn every_other_cause_has_a_command_that_shows_whether_it_is_the_one() {
        for start in ["asedb-a", "10.0.0.4:53", "168.63.129.16:", "login.microsoftonline.com:443"] {
            let (_, snapshot) = advised(Cause::Dropped, start);
            let incident = &snapshot.incidents.open[0];
            for cause in Cause::ALL.iter().copied().filter(|cause| !matches!(cause, Cause::None)) {
                let other = Alternative { cause, open: Contrast::DnsCanaryAnswers, answer: true };
                let typed = of_other(&other, incident, &snapshot).unwrap_or_else(|| panic!("{cause} at {start}"));
                let is_control = typed.command.starts_with("dig ") && typed.command.contains("@192.0.2.1 ");
                assert_eq!(is_control, cause == Cause::DnsIntercepted, "{typed:?}");
                assert!(
                    !is_control || typed.expected.as_ref().is_some_and(|shown| shown.contains("nobody can be")),
                    "{typed:?}"
                );
            }
        }
    }

    /// What a command looks at, and words of which one must say so.
    const LOOKS: [(&str, &[&str]); 24] = [
        ("test-ip-flow", &["NSG"]),
        ("list-effective-nsg", &["NSG"]),
        ("show-next-hop", &["next hop", "path"]),
        ("show-effective-route-table", &["route"]),
        ("dig ", &["dig", "each server answers", "DNS server", "DNS service", "resolves the name"]),
        ("nameresolver", &["each server answers", "resolves", "the name"]),
        ("openssl s_client", &["openssl", "certificate", "TLS"]),
        ("tracepath", &["packet size"]),
        ("ping -c", &["ping -s"]),
        ("tcpping", &["lost now", "round trip now", "listens"]),
        ("DipAvailability", &["healthy"]),
        ("SNATPortUtilization", &["SNAT"]),
        ("timedatectl", &["timedatectl"]),
        ("chronyc -n sources", &["chronyc", "servers agree"]),
        ("LimitNOFILE", &["LimitNOFILE"]),
        ("ss -s", &["ss -s"]),
        ("nft list ruleset", &["nft list ruleset", "firewall"]),
        ("ip route get", &["ip route", "ip link"]),
        ("ip neigh", &["ip neigh"]),
        ("/proc/pressure/cpu", &["/proc/pressure/cpu"]),
        ("journalctl", &["journalctl"]),
        ("nstat -az", &["nstat -az"]),
        ("ip -s link", &["ip link", "ip -s link"]),
        (
            "ase-agent check -v",
            &[
                "evidence",
                "what it answers",
                "says of itself",
                "repeats",
                "lost now",
                "round trip now",
                "certificate",
                "TLS",
            ],
        ),
    ];

    /// What a rule says to look at first, in the phase in which it says so.
    const HINTS: [(Option<&str>, Phase); 10] = [
        (None, Phase::Connect),
        (Some(ALL_RULE), Phase::Connect),
        (Some(PORT_RULE), Phase::Connect),
        (Some(PORT_DENIED), Phase::Connect),
        (Some(HOST_PORT), Phase::Connect),
        (Some(ROUTE), Phase::Connect),
        (Some(EGRESS_DENIED), Phase::Connect),
        (Some(UDP_RULE), Phase::Dns),
        (Some(HELLO_DROPPED), Phase::Tls),
        (Some(REQUEST_DROPPED), Phase::Request),
    ];

    /// Of each cause at each kind of endpoint, with every scope.
    fn every_advice() -> Vec<(String, Advice)> {
        let mut all = Vec::new();
        for start in ["asedb-a", "10.0.0.4:53", "168.63.129.16:", "login.microsoftonline.com:443"] {
            for cause in Cause::ALL.iter().copied().filter(|cause| !matches!(cause, Cause::None)) {
                for scope in [Scope::Endpoint, Scope::Port, Scope::Host, Scope::Egress, Scope::Vm] {
                    let (_, mut snapshot) = advised(cause, start);
                    snapshot.exports = None;
                    for (hint, phase) in HINTS {
                        let incident = Arc::make_mut(&mut snapshot.incidents.open[0]);
                        (incident.scope, incident.hint, incident.finding.phase) = (scope, hint, phase);
                        let advice = of(&snapshot.incidents.open[0].clone(), &snapshot);
                        all.push((format!("{cause} at {start}, scope {}, {hint:?}", scope.label()), advice));
                    }
                }
            }
        }
        all
    }

    #[test]
    fn the_first_thing_that_is_said_is_the_first_thing_that_is_typed() {
        let mut wrong = Vec::new();
        for (what, advice) in every_advice() {
            let [first, second] = advice.steps();
            let typed = first.commands.first().map_or("", String::as_str);
            let mut looks = LOOKS.iter().filter(|(command, _)| typed.contains(command));
            let is_said = looks.any(|(_, said)| said.iter().any(|said| first.words.contains(said)));
            // Of two suspects the first one named is the first one looked at.
            let at = |word: &str| first.words.find(word).unwrap_or(usize::MAX);
            let is_said = is_said && !(typed.contains("test-ip-flow") && at("NSG") > at("route"));
            let is_said = is_said && !(typed.contains("route") && at("route") > at("NSG"));
            if !is_said || !second.commands.is_empty() {
                wrong.push(format!("{what}: ({}) is ({typed})", first.words));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn what_is_known_of_rules_and_how_to_look_it_up_comes_before_what_is_usual() {
        let (advice, mut snapshot) = advised(Cause::TlsBlocked, "login.microsoftonline.com:443");
        let [first, second] = advice.steps();
        assert!(first.words.contains("DenySql") && first.commands[0].contains("nsg rule show"), "{advice:?}");
        assert!(second.words.starts_with("check ") && second.commands[0].contains("openssl"), "{advice:?}");
        snapshot.exports = None;
        let [first, _] = of(&snapshot.incidents.open[0].clone(), &snapshot).steps();
        assert!(first.words.starts_with("check ") && first.commands[0].contains("openssl"), "{first:?}");
    }

    /// The words of the first step, and its commands, of silence with this hint in this phase.
    fn silent(hint: &'static str, scope: Scope, phase: Phase) -> (String, Vec<String>) {
        let (_, mut snapshot) = advised(Cause::Dropped, "asedb-a");
        snapshot.exports = None;
        let incident = Arc::make_mut(&mut snapshot.incidents.open[0]);
        (incident.hint, incident.scope, incident.finding.phase) = (Some(hint), scope, phase);
        let [first, _] = of(&snapshot.incidents.open[0].clone(), &snapshot).steps();
        (first.words, first.commands)
    }

    #[test]
    fn what_the_evidence_suspects_first_is_looked_at_first_whatever_the_scope() {
        for hint in [PORT_RULE, PORT_DENIED, HOST_PORT] {
            let (words, commands) = silent(hint, Scope::Endpoint, Phase::Connect);
            assert!(words.starts_with("check outbound NSG rules") && commands[0].contains("test-ip-flow"), "{words}");
        }
        for hint in [ROUTE, EGRESS_DENIED] {
            let (words, commands) = silent(hint, Scope::Port, Phase::Connect);
            assert!(words.starts_with("check where the route") && commands[0].contains("route-table"), "{words}");
        }
        for (hint, phase) in [(HELLO_DROPPED, Phase::Tls), (REQUEST_DROPPED, Phase::Request)] {
            let (words, commands) = silent(hint, Scope::Endpoint, phase);
            assert!(
                words.contains("inspection") && !commands.concat().contains("test-ip-flow"),
                "{words}: {commands:?}"
            );
        }
    }

    #[test]
    fn every_result_of_a_look_at_the_next_hop_is_told() {
        for cause in [Cause::Dropped, Cause::Rejected, Cause::Unreachable, Cause::TlsBlocked, Cause::FlowHashLoss] {
            let (advice, _) = advised(cause, "asedb-a");
            let hop = advice.commands().into_iter().find(|command| command.contains("show-next-hop"));
            let shown = advice.expected(&hop.expect("it is asked")).expect("it is told");
            for result in ["None", "VirtualAppliance", "Gateway", "Internet", "Vnet"] {
                assert!(shown.contains(result), "{cause}: {result} in ({shown})");
            }
        }
    }

    #[test]
    fn what_is_less_than_confirmed_says_what_would_confirm_it() {
        let (_, mut snapshot) = advised(Cause::Dropped, "asedb-a");
        let mut said = |confidence| {
            Arc::make_mut(&mut snapshot.incidents.open[0]).finding.confidence = confidence;
            of(&snapshot.incidents.open[0].clone(), &snapshot).to_confirm
        };
        assert_eq!(said(Confidence::Confirmed), None);
        let likely = said(Confidence::Likely).expect("it is not confirmed");
        assert!(likely.starts_with("likely; ") && likely.contains("the first command"), "{likely}");
        assert!(likely.contains("its own firewall"), "one host may be silent itself: {likely}");
    }

    #[test]
    fn a_step_that_changes_something_says_so_and_one_that_looks_does_not() {
        for (cause, is_change) in [(Cause::DnsServfail, true), (Cause::TlsIntercepted, true), (Cause::Dropped, false)] {
            let (_, mut snapshot) = advised(cause, "login.");
            snapshot.exports = None;
            let advice = of(&snapshot.incidents.open[0].clone(), &snapshot);
            assert_eq!(advice.next.changes, is_change, "{cause}");
            assert_eq!(
                advice.steps().iter().any(|step| step.words.ends_with(CHANGES)),
                is_change,
                "{cause}: {advice:?}"
            );
        }
    }

    #[test]
    fn a_server_that_cannot_resolve_is_compared_with_azure_dns_as_far_as_that_is_known() {
        let (_, mut snapshot) = advised(Cause::DnsServfail, "10.0.0.4:53");
        snapshot.exports = None;
        let azure = snapshot.resolvers.azure.ip();
        let lost = snapshot.endpoints.iter().map(|view| view.status).find(|it| matches!(it, Status::Failed(_)));
        let mut told = |status: Status| {
            for view in snapshot.endpoints.iter_mut().filter(|view| view.endpoint.target.host == Host::Address(azure)) {
                Arc::make_mut(view).status = status;
            }
            of(&snapshot.incidents.open[0].clone(), &snapshot)
        };
        let well = told(Status::Healthy);
        assert!(well.before.words.contains("Azure DNS answers at the moment"), "{well:?}");
        assert_eq!(well.owner, Owner::DnsTeam);
        let asked =
            well.commands().into_iter().find(|it| it.starts_with(&format!("dig @{azure} "))).expect("it is asked");
        assert!(well.expected(&asked).is_some_and(|shown| shown.contains("SERVFAIL: ")), "both results: {asked}");
        let broken = told(lost.expect("one failed"));
        assert!(broken.before.words.contains("Azure DNS fails as well"), "{broken:?}");
        assert_eq!(broken.owner, Owner::Peer, "the DNS team is the wrong one");
    }

    #[test]
    fn the_issuer_of_an_inspected_certificate_is_named_and_a_strangers_is_told_to_security() {
        let (_, mut snapshot) = advised(Cause::TlsIntercepted, "login.");
        snapshot.exports = None;
        let id = snapshot.incidents.open[0].endpoints[0].clone();
        let view = snapshot.endpoints.iter_mut().find(|view| view.endpoint.id == id).expect("it is watched");
        sample::shown::inspected(Arc::make_mut(view), "CN=Inspection CA");
        let incident = snapshot.incidents.open[0].clone();
        let advice = of(&incident, &snapshot);
        assert_eq!(issuer(&incident, &snapshot), Some("CN=Inspection CA"));
        assert!(advice.before.words.contains("CN=Inspection CA") && advice.before.words.contains("tell security"));
        assert!(advice.next.words.contains("if not"), "{advice:?}");
        let openssl = advice.commands().into_iter().find(|it| it.starts_with("openssl")).expect("it is asked");
        assert!(advice.expected(&openssl).is_some_and(|shown| shown.contains("CN=Inspection CA")), "{advice:?}");
    }

    #[test]
    fn where_large_answers_pass_on_another_port_the_port_itself_is_asked() {
        let (_, mut snapshot) = advised(Cause::MtuBlackhole, "login.");
        snapshot.exports = None;
        let usual = of(&snapshot.incidents.open[0].clone(), &snapshot);
        assert!(usual.commands()[0].starts_with("tracepath"), "{usual:?}");
        let id = snapshot.incidents.open[0].endpoints[0].clone();
        let lost = snapshot.endpoints.iter().find(|view| view.endpoint.id == id).expect("it is watched").clone();
        let port = lost.endpoint.target.port;
        let at = snapshot.at;
        let mut pass = |received_segment: u32| {
            let passing = snapshot.endpoints.iter_mut().find(|view| sample::shown::works_outside_beside(view, port));
            sample::shown::many_bytes(Arc::make_mut(passing.expect("the sample has one")), received_segment, at);
            of(&snapshot.incidents.open[0].clone(), &snapshot)
        };
        for short in [536, 1300] {
            assert_eq!(pass(short), usual, "many short answers are no large packet");
        }
        pass(1448);
        let advice = of(&snapshot.incidents.open[0].clone(), &snapshot);
        assert!(advice.commands()[0].starts_with("openssl s_client"), "{advice:?}");
        assert!(advice.before.words.contains("a packet size has no port"), "{advice:?}");
        assert!(advice.commands().iter().any(|command| command.starts_with("tracepath")), "{advice:?}");
    }

    #[test]
    fn the_sizes_in_the_words_and_in_the_command_are_those_of_one_packet() {
        let (_, mut snapshot) = advised(Cause::MtuBlackhole, "asedb-a");
        snapshot.exports = None;
        let advice = of(&snapshot.incidents.open[0].clone(), &snapshot);
        let numbers = |text: &str| -> Vec<usize> {
            text.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
        };
        let ping = advice.commands().into_iter().find(|command| command.contains("ping")).expect("a ping");
        let sizes = numbers(ping.split(';').next().expect("the sizes"));
        assert!(sizes.is_sorted_by(|one, other| one > other), "from whole packets down: {ping}");
        let (before, next) = (numbers(&advice.before.words), numbers(&advice.next.words));
        assert_eq!(sizes[0] + 28, 1500, "the first is a whole packet: {ping}");
        assert!(before.contains(&28) && next.contains(&40), "{advice:?}");
    }

    #[test]
    fn a_forwarding_is_said_for_other_dns_servers_than_that_of_windows() {
        let (_, mut snapshot) = advised(Cause::DnsDivergent, "asedb-a");
        let id = snapshot.incidents.open[0].endpoints[0].clone();
        let view = snapshot.endpoints.iter_mut().find(|view| view.endpoint.id == id).expect("it is watched");
        let compared = &snapshot.names.iter().find(|view| view.published.is_some()).expect("one is compared").name;
        Arc::make_mut(&mut Arc::make_mut(view).endpoint).target.host = Host::Name(compared.to_string());
        let advice = of(&snapshot.incidents.open[0].clone(), &snapshot);
        assert!(advice.mending[0].starts_with("Add-DnsServer"), "{advice:?}");
        let note = advice.elsewhere.expect("there are others");
        for said in ["Windows", "BIND", "Unbound", "database.windows.net", "168.63.129.16"] {
            assert!(note.contains(said), "{said} in {note}");
        }
    }
}
