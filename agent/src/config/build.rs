//! From a profile and a configuration file to the catalogue: which rows are watched here (by what the
//! environment hosts on Windows or Linux machines, key `workloads`, by the keys `packs` and `remove`), and rows and slots become endpoints,
//! each with the question that proves it. Every rule is checked here.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use ase_probes::{class::Class, dns, ntp, probe::Probe};

use super::{
    error::{Broken, Findings, broken, nearest},
    file::{File, Override},
    question::{Asked, class_name, default_interval, default_port, default_timeout},
    written_host::{self, WrittenHost},
};
use crate::{
    config::profile::{FallbackName, PackRow, Profile, Row, SlotRow},
    model::{
        catalog::{
            About, Addresses, Basis, Catalog, Endpoint, EndpointId, ExpectAddress, Host, Pack, ResolvedBy, Severity,
            Slot, Stakes, Target, Workload,
        },
        politeness::TIME_SERVER_REST,
        settings::Resolvers,
    },
    net::{duration::show, pattern::matches},
};

/// Endpoints that one agent watches at most.
const MAX_ENDPOINTS: usize = 10_000;

/// Builds the catalogue from what is good, and notes what is not. `is_whole` says whether all endpoints of the file could be
/// read: where one is missing, a pattern that matches none is nobody's mistake.
pub(super) fn catalog(
    profile: &Profile,
    file: &File,
    resolvers: &Resolvers,
    (is_whole, findings): (bool, &mut Findings),
) -> Catalog {
    let builder = Builder::new(profile, file);
    let mut endpoints = findings.keep(builder.dns(resolvers)).unwrap_or_default();
    endpoints.extend(findings.keep_all(profile.rows.iter().map(|row| builder.row(row))).into_iter().flatten());
    let before = findings.0.len();
    findings.keep_all(builder.check_slot_names());
    findings.keep_all(builder.check_packs());
    endpoints.extend(findings.keep_all(profile.slots.iter().flat_map(|slot| builder.slot(slot))).into_iter().flatten());
    let mut unmatched = builder.remove(&mut endpoints);
    let mut made = BTreeMap::new();
    for (place, added) in &file.endpoints.add.0 {
        if let Some(endpoint) = findings.keep(builder.added(*place, added)) {
            made.insert(endpoint.id.clone(), format!("endpoints.add[{place}]"));
            endpoints.push(endpoint);
        }
    }
    unmatched.extend(builder.change(&mut endpoints));
    if is_whole && findings.0.len() == before {
        findings.0.extend(unmatched);
    }
    findings.0.extend(builder.check(&mut endpoints, &made));
    let unfilled = profile.slots.iter().filter(|slot| builder.hosts(&slot.name).is_empty());
    let mut endpoints: Vec<_> = endpoints.into_iter().map(Arc::new).collect();
    // The list took over the room of the endpoints themselves, fifty times as much as it needs, and would keep it for good.
    endpoints.shrink_to_fit();
    Catalog {
        profile: profile.profile.clone(),
        cloud: profile.cloud.clone(),
        edition: profile.edition(),
        stakes: Stakes { suspends: profile.loss.suspends, means: profile.loss.means.clone() },
        falls_back: profile.dns.fallback == FallbackName::Azure,
        packs: builder.packs(),
        endpoints,
        slots: unfilled
            .filter(|slot| builder.is_wanted(slot.workload.map(Workload::from), slot.pack.as_deref()))
            .map(|s| builder.unfilled(s))
            .collect(),
    }
}

pub(super) struct Builder<'a> {
    pub(super) profile: &'a Profile,
    file: &'a File,
}

impl<'a> Builder<'a> {
    pub(super) fn new(profile: &'a Profile, file: &'a File) -> Self {
        Self { profile, file }
    }
}

impl Builder<'_> {
    fn dns(&self, resolvers: &Resolvers) -> Result<Vec<Endpoint>, Broken> {
        let row = &self.profile.dns;
        if !row.watched {
            return Ok(Vec::new());
        }
        let mut servers = vec![resolvers.azure];
        servers.extend(resolvers.custom.iter().filter(|server| **server != resolvers.azure));
        let transports = [dns::Transport::Udp, dns::Transport::Tcp];
        let question = |transport| Probe::Dns(dns::Question::liveness(row.question.clone(), transport));
        let pairs = servers.iter().flat_map(|server| transports.map(|transport| (*server, transport)));
        let about = self.about(&row.source, &row.purpose, Basis::Documented, row.note.clone());
        pairs
            .map(|(server, transport)| {
                Ok(Endpoint {
                    id: EndpointId(format!("{server}/{}", transport.label()).into()),
                    class: Class::Dns,
                    target: self.target(Class::Dns, Host::Address(server.ip()), server.port(), question(transport)),
                    about: about.clone(),
                    ..self.blank(Class::Dns, self.severity(&row.purpose))
                })
            })
            .collect()
    }

    fn row(&self, row: &Row) -> Result<Vec<Endpoint>, Broken> {
        if !self.is_wanted(row.workload.map(Workload::from), row.pack.as_deref()) {
            return Ok(Vec::new());
        }
        let mut endpoints = self.of_host(row, &row.host)?;
        endpoints.iter_mut().for_each(|endpoint| endpoint.about.successor.clone_from(&row.successor));
        let has_row = |host: &&String| self.profile.rows.iter().any(|other| other.host == **host);
        if let Some(successor) = row.successor.as_ref().filter(|host| !has_row(host)) {
            let mut next = self.of_host(row, successor)?;
            next.iter_mut().for_each(|endpoint| endpoint.about.note = Some(format!("takes the place of {}", row.host)));
            endpoints.extend(next);
        }
        Ok(endpoints)
    }

    fn of_host(&self, row: &Row, host: &str) -> Result<Vec<Endpoint>, Broken> {
        let host = written_host::read("host", host)?.host;
        let basis = row.basis.map_or(Basis::Documented, Basis::from);
        let mut about = self.about(&row.source, &row.purpose, basis, row.note.clone());
        about.workload = row.workload.map(Workload::from).unwrap_or_default();
        about.pack.clone_from(&row.pack);
        about.documented_as = row.documented_as.clone().or_else(|| joined(&row.covers));
        let severity = row.severity.map_or_else(|| self.severity(&row.purpose), Severity::from);
        let endpoint = |port: &u16| {
            let class = row.class_of(*port);
            let asked =
                Asked { path: row.path.as_deref(), expect: row.expect.as_ref(), ..Asked::plain(class, &host, *port) };
            let target = self.target(class, host.clone(), *port, asked.probe()?);
            Ok(Endpoint {
                id: id_of(&host, *port),
                target: Target { resolved_by: row.resolved_by.map(ResolvedBy::from).unwrap_or_default(), ..target },
                about: about.clone(),
                ..self.blank(class, severity)
            })
        };
        row.ports.iter().map(endpoint).collect()
    }

    /// The endpoints of a slot that the configuration fills.
    fn slot(&self, slot: &SlotRow) -> impl Iterator<Item = Result<Vec<Endpoint>, Broken>> {
        self.hosts(&slot.name).iter().map(|text| self.filled(slot, text))
    }

    /// The endpoints of one host in a slot; the scheme of a URL decides the port where it names none.
    fn filled(&self, slot: &SlotRow, text: &str) -> Result<Vec<Endpoint>, Broken> {
        let WrittenHost { host, port, class, .. } = written_host::read(&format!("slots.{}", slot.name), text)?;
        let port = port.or(class.and_then(default_port).filter(|port| slot.ports.contains(port)));
        let endpoint = |port| {
            let class = match (Class::from(slot.class), port) {
                (Class::Https, 80) => Class::Http,
                (Class::Https, 443) => Class::Https,
                (Class::Https, _) => Class::Tcp,
                (class, _) => class,
            };
            let mut about = self.about(&slot.source, &slot.purpose, Basis::Configured, slot.note.clone());
            about.documented_as = Some(slot.documented_as.clone());
            about.pack.clone_from(&slot.pack);
            let probe = Asked::plain(class, &host, port).probe()?;
            Ok(Endpoint {
                id: id_of(&host, port),
                target: self.target(class, host.clone(), port, probe),
                about,
                ..self.blank(class, self.severity(&slot.purpose))
            })
        };
        port.map_or_else(|| slot.ports.clone(), |port| vec![port]).into_iter().map(endpoint).collect()
    }

    fn unfilled(&self, slot: &SlotRow) -> Slot {
        let document = self.profile.sources.get(&slot.source);
        Slot {
            name: slot.name.clone(),
            class: slot.class.into(),
            port: slot.ports.last().copied().unwrap_or_default(),
            purpose: slot.purpose.clone(),
            hint: slot.hint.clone(),
            severity: self.severity(&slot.purpose),
            source: document.map(|d| d.document.clone()).unwrap_or_default(),
            as_of: document.map(|d| d.as_of.clone()).unwrap_or_default(),
        }
    }

    fn remove(&self, endpoints: &mut Vec<Endpoint>) -> Vec<Broken> {
        let mut unmatched = Findings::default();
        for pattern in &self.file.endpoints.remove {
            let before = endpoints.len();
            endpoints.retain(|endpoint| !matches(pattern, &endpoint.id.0));
            if endpoints.len() == before {
                unmatched.keep::<()>(broken("endpoints.remove", pattern, unknown_id(pattern, endpoints)));
            }
        }
        unmatched.0
    }

    fn change(&self, endpoints: &mut [Endpoint]) -> Vec<Broken> {
        let mut unmatched = Findings::default();
        for (pattern, change) in &self.file.endpoints.r#override {
            let mut found = false;
            for endpoint in endpoints.iter_mut().filter(|endpoint| matches(pattern, &endpoint.id.0)) {
                apply(endpoint, change);
                found = true;
            }
            if !found {
                unmatched.keep::<()>(broken("endpoints.override", pattern, unknown_id(pattern, endpoints)));
            }
        }
        unmatched.0
    }

    fn check_slot_names(&self) -> Vec<Result<(), Broken>> {
        let names = || self.profile.slots.iter().map(|slot| slot.name.as_str());
        let check = |(name, hosts): (&String, &Vec<String>)| {
            if !names().any(|known| known == name) {
                let near = nearest(name, names()).map(|near| format!(", did you mean {near}?")).unwrap_or_default();
                let list = names().collect::<Vec<_>>().join(", ");
                let valid = if list.is_empty() { "it has none".to_owned() } else { format!("valid: {list}") };
                return broken("slots", name, format!("is no slot of this profile{near} ({valid})"));
            }
            if hosts.is_empty() {
                return broken(&format!("slots.{name}"), "[]", "must name at least one host, or be left out");
            }
            Ok(())
        };
        self.file.slots.iter().map(check).collect()
    }

    fn check_packs(&self) -> Vec<Result<(), Broken>> {
        let names = || self.profile.packs.keys().map(String::as_str);
        let check = |name: &String| {
            if names().any(|known| known == name) {
                return Ok(());
            }
            let near = nearest(name, names()).map(|near| format!(", did you mean {near}?")).unwrap_or_default();
            let list = names().collect::<Vec<_>>().join(", ");
            let valid = if list.is_empty() { "it has none".to_owned() } else { format!("valid: {list}") };
            broken("packs", name.escape_debug(), format!("is no pack of this profile{near} ({valid})"))
        };
        self.file.packs.iter().flatten().map(check).collect()
    }

    /// The packs of the profile, and which of them are watched: those that the file names, else those that are by default.
    pub(super) fn packs(&self) -> Vec<Pack> {
        let one = |(name, pack): (&String, &PackRow)| Pack {
            name: name.clone(),
            what: pack.what.clone(),
            is_watched: self.file.packs.as_ref().map_or(pack.default, |named| named.contains(name)),
        };
        self.profile.packs.iter().map(one).collect()
    }

    /// Checks what holds for all endpoints together, and puts them in order. `made` says which item of the file made which.
    fn check(&self, endpoints: &mut [Endpoint], made: &BTreeMap<EndpointId, String>) -> Vec<Broken> {
        let mut findings = Findings::default();
        if endpoints.len() > MAX_ENDPOINTS {
            findings.keep::<()>(broken("endpoints", endpoints.len(), format!("must be at most {MAX_ENDPOINTS}")));
        }
        for endpoint in &*endpoints {
            let places = || self.places(endpoint, made);
            findings.keep(check_times(endpoint).map_err(|broken| broken.from(places())));
        }
        endpoints.sort_by(|a, b| (a.class, &a.id).cmp(&(b.class, &b.id)));
        let mut ids = BTreeSet::new();
        let mut twins = BTreeSet::new();
        for twin in endpoints.iter().filter(|endpoint| !ids.insert(&endpoint.id)).filter(|twin| twins.insert(&twin.id))
        {
            let rule = "must be unique; give one of them another `id`";
            let places = made.get(&twin.id).cloned().into_iter().chain(["slots".to_owned(), "endpoints".to_owned()]);
            findings.keep(broken::<()>("endpoints", &twin.id, rule).map_err(|broken| broken.from(places.collect())));
        }
        findings.0
    }

    /// The keys that may have set an endpoint's times, those that win first.
    fn places(&self, endpoint: &Endpoint, made: &BTreeMap<EndpointId, String>) -> Vec<String> {
        let patterns = self.file.endpoints.r#override.keys().rev().filter(|pattern| matches(pattern, &endpoint.id.0));
        let own =
            patterns.map(|pattern| format!("endpoints.override.{pattern}")).chain(made.get(&endpoint.id).cloned());
        let own: Vec<String> =
            own.flat_map(|key| ["timeout", "interval"].map(|name| format!("{key}.{name}"))).collect();
        let class = endpoint.class;
        own.into_iter().chain([format!("timeouts.{class}"), format!("intervals.{class}")]).collect()
    }

    fn hosts(&self, slot: &str) -> &[String] {
        self.file.slots.get(slot).map_or(&[], Vec::as_slice)
    }

    /// Whether rows of this workload and this pack are watched here.
    fn is_wanted(&self, workload: Option<Workload>, pack: Option<&str>) -> bool {
        let is_chosen = pack.is_none_or(|name| self.packs().iter().any(|pack| pack.name == name && pack.is_watched));
        let is_hosted = match (&self.file.workloads, workload) {
            (Some(hosted), Some(workload)) => hosted.iter().any(|name| Workload::from(*name) == workload),
            (None, _) | (_, None) => true,
        };
        is_chosen && is_hosted
    }

    fn severity(&self, purpose: &str) -> Severity {
        self.profile.severities.get(purpose).copied().map_or(Severity::Warning, Severity::from)
    }

    fn about(&self, source: &str, purpose: &str, basis: Basis, note: Option<String>) -> About {
        let document = self.profile.sources.get(source);
        About {
            documented_as: None,
            successor: None,
            purpose: purpose.to_owned(),
            workload: Workload::Any,
            pack: None,
            basis,
            source: document.map(|d| d.document.clone()).unwrap_or_default(),
            as_of: document.map(|d| d.as_of.clone()).unwrap_or_default(),
            note,
        }
    }

    /// An endpoint with the defaults of its class.
    pub(super) fn blank(&self, class: Class, severity: Severity) -> Endpoint {
        let name = class_name(class);
        Endpoint {
            id: EndpointId("".into()),
            class,
            target: self.target(class, Host::Name(String::new()), 0, Probe::Ntp(ntp::Question)),
            severity,
            interval: self.file.intervals.get(&name).map_or_else(|| default_interval(class), |human| human.0),
            about: self.about("", "", Basis::Documented, None),
        }
    }

    /// Whom to ask and what, with the defaults of its class.
    pub(super) fn target(&self, class: Class, host: Host, port: u16, probe: Probe) -> Target {
        let timeout =
            self.file.timeouts.get(&class_name(class)).map_or_else(|| default_timeout(class), |human| human.0);
        let (addresses, expect_address, resolved_by) = (Addresses::First, ExpectAddress::Any, ResolvedBy::Custom);
        Target { host, port, probe, addresses, expect_address, resolved_by, timeout }
    }
}

pub(super) fn apply(endpoint: &mut Endpoint, change: &Override) {
    if let Some(level) = change.severity {
        endpoint.severity = level.into();
    }
    if let Some(interval) = change.interval {
        endpoint.interval = interval.0;
    }
    if let Some(timeout) = change.timeout {
        endpoint.target.timeout = timeout.0;
    }
    if let Some(addresses) = change.addresses {
        endpoint.target.addresses = addresses.into();
    }
    if let Some(expected) = change.expect_address {
        endpoint.target.expect_address = expected.into();
    }
    if let Some(resolved_by) = change.resolved_by {
        endpoint.target.resolved_by = resolved_by.into();
    }
}

fn check_times(endpoint: &Endpoint) -> Result<(), Broken> {
    let (interval, timeout) = (endpoint.interval, endpoint.target.timeout);
    if timeout >= interval {
        let rule = format!("must be shorter than interval ({})", show(interval));
        return broken(&format!("{}: timeout", endpoint.id), show(timeout), rule);
    }
    if endpoint.is_public_time_server() && interval < TIME_SERVER_REST {
        let rule = "must be at least 64s for class ntp: one time server is not asked more often";
        return broken(&format!("{}: interval", endpoint.id), show(interval), rule);
    }
    if endpoint.target.port == 0 {
        return broken(&format!("{}: port", endpoint.id), 0, "must be between 1 and 65535");
    }
    Ok(())
}

/// The id of an endpoint that nobody named: the host as it is asked, and the port.
pub(super) fn id_of(host: &Host, port: u16) -> EndpointId {
    let id = match host {
        Host::Name(name) => format!("{name}:{port}"),
        Host::Address(address) => SocketAddr::new(*address, port).to_string(),
    };
    EndpointId(id.into())
}

/// Reads `ADDRESS` or `ADDRESS:PORT`, port 53 by default.
pub(super) fn server(key: &str, text: &str) -> Result<SocketAddr, Broken> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(SocketAddr::new(address, 53));
    }
    match text.parse::<SocketAddr>() {
        Ok(server) if server.port() > 0 => Ok(server),
        Ok(_) | Err(_) => broken(key, text, "must be an address, or address:port"),
    }
}

fn unknown_id(pattern: &str, endpoints: &[Endpoint]) -> String {
    let near = nearest(pattern, endpoints.iter().map(|endpoint| &*endpoint.id.0));
    let near = near.map(|near| format!(", did you mean {near}?")).unwrap_or_default();
    format!("matches no endpoint{near} (`ase-agent profile show` lists them)")
}

fn joined(covers: &[String]) -> Option<String> {
    (!covers.is_empty()).then(|| covers.join(", "))
}
