//! From a profile and a configuration file to the catalogue: which rows are watched here (by what the
//! environment hosts on Windows or Linux machines, key `workloads`, and by `remove`), and rows and slots become endpoints, each with the
//! question that proves it. Every rule is checked here.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use ase_probes::{class::Class, dns, ntp, probe::Probe, resolve::valid_name};

use super::{
    error::{Broken, broken, nearest},
    file::{AddressesName, ExpectAddressName, File, Override},
    question::{Asked, class_name, default_interval, default_timeout},
};
use crate::{
    config::profile::{Profile, Row, SlotRow},
    model::{
        catalog::{
            About, Addresses, Basis, Catalog, Endpoint, EndpointId, ExpectAddress, Host, Severity, Slot, Target,
            Workload,
        },
        politeness::TIME_SERVER_REST,
        settings::Resolvers,
    },
    net::{duration::show, pattern::matches},
};

/// Endpoints that one agent watches at most.
const MAX_ENDPOINTS: usize = 10_000;

/// Builds the catalogue.
pub(super) fn catalog(profile: &Profile, file: &File, resolvers: &Resolvers) -> Result<Catalog, Broken> {
    let builder = Builder { profile, file };
    let mut endpoints = builder.dns(resolvers)?;
    for row in &profile.rows {
        endpoints.extend(builder.row(row)?);
    }
    builder.check_slot_names()?;
    for slot in &profile.slots {
        endpoints.extend(builder.slot(slot)?);
    }
    builder.remove(&mut endpoints)?;
    for (index, added) in file.endpoints.add.iter().enumerate() {
        endpoints.push(builder.added(index, added)?);
    }
    builder.change(&mut endpoints)?;
    check(&mut endpoints)?;
    let unfilled = profile.slots.iter().filter(|slot| builder.hosts(&slot.name).is_empty());
    Ok(Catalog {
        profile: profile.profile.clone(),
        cloud: profile.cloud.clone(),
        edition: profile.edition(),
        endpoints: endpoints.into_iter().map(Arc::new).collect(),
        slots: unfilled
            .filter(|slot| builder.is_wanted(slot.workload.map(Workload::from)))
            .map(|s| builder.unfilled(s))
            .collect(),
    })
}

pub(super) struct Builder<'a> {
    pub(super) profile: &'a Profile,
    file: &'a File,
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
        if !self.is_wanted(row.workload.map(Workload::from)) {
            return Ok(Vec::new());
        }
        let host = host_of("host", &row.host)?;
        let basis = row.basis.map_or(Basis::Documented, Basis::from);
        let mut about = self.about(&row.source, &row.purpose, basis, row.note.clone());
        about.workload = row.workload.map(Workload::from).unwrap_or_default();
        about.documented_as = row.documented_as.clone().or_else(|| joined(&row.covers));
        let severity = row.severity.map_or_else(|| self.severity(&row.purpose), Severity::from);
        let endpoint = |port: &u16| {
            let class = row.class_of(*port);
            let asked =
                Asked { path: row.path.as_deref(), expect: row.expect.as_ref(), ..Asked::plain(class, &host, *port) };
            Ok(Endpoint {
                id: id_of(&host, *port),
                target: self.target(class, host.clone(), *port, asked.probe()?),
                about: about.clone(),
                ..self.blank(class, severity)
            })
        };
        row.ports.iter().map(endpoint).collect()
    }

    /// The endpoints of a slot that the configuration fills.
    fn slot(&self, slot: &SlotRow) -> Result<Vec<Endpoint>, Broken> {
        let mut endpoints = Vec::new();
        for text in self.hosts(&slot.name) {
            let key = format!("slots.{}", slot.name);
            let (name, port) = split_port(&key, text)?;
            let host = host_of(&key, name)?;
            for port in port.map_or_else(|| slot.ports.clone(), |port| vec![port]) {
                let class = match (Class::from(slot.class), port) {
                    (Class::Https, 80) => Class::Http,
                    (class, _) => class,
                };
                let mut about = self.about(&slot.source, &slot.purpose, Basis::Configured, slot.note.clone());
                about.documented_as = Some(slot.documented_as.clone());
                let probe = Asked::plain(class, &host, port).probe()?;
                endpoints.push(Endpoint {
                    id: id_of(&host, port),
                    target: self.target(class, host.clone(), port, probe),
                    about,
                    ..self.blank(class, self.severity(&slot.purpose))
                });
            }
        }
        Ok(endpoints)
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

    fn remove(&self, endpoints: &mut Vec<Endpoint>) -> Result<(), Broken> {
        for pattern in &self.file.endpoints.remove {
            let before = endpoints.len();
            endpoints.retain(|endpoint| !matches(pattern, &endpoint.id.0));
            if endpoints.len() == before {
                return broken("endpoints.remove", pattern, unknown_id(pattern, endpoints));
            }
        }
        Ok(())
    }

    fn change(&self, endpoints: &mut [Endpoint]) -> Result<(), Broken> {
        for (pattern, change) in &self.file.endpoints.r#override {
            let mut found = false;
            for endpoint in endpoints.iter_mut().filter(|endpoint| matches(pattern, &endpoint.id.0)) {
                apply(endpoint, change);
                found = true;
            }
            if !found {
                return broken("endpoints.override", pattern, unknown_id(pattern, endpoints));
            }
        }
        Ok(())
    }

    fn check_slot_names(&self) -> Result<(), Broken> {
        let names = || self.profile.slots.iter().map(|slot| slot.name.as_str());
        for (name, hosts) in &self.file.slots {
            if !names().any(|known| known == name) {
                let near = nearest(name, names()).map(|near| format!(", did you mean {near}?")).unwrap_or_default();
                let list = names().collect::<Vec<_>>().join(", ");
                let valid = if list.is_empty() { "it has none".to_owned() } else { format!("valid: {list}") };
                return broken("slots", name, format!("is no slot of this profile{near} ({valid})"));
            }
            if hosts.is_empty() {
                return broken(&format!("slots.{name}"), "[]", "must name at least one host, or be left out");
            }
        }
        Ok(())
    }

    fn hosts(&self, slot: &str) -> &[String] {
        self.file.slots.get(slot).map_or(&[], Vec::as_slice)
    }

    fn is_wanted(&self, workload: Option<Workload>) -> bool {
        match (&self.file.workloads, workload) {
            (Some(hosted), Some(workload)) => hosted.iter().any(|name| Workload::from(*name) == workload),
            (None, _) | (_, None) => true,
        }
    }

    fn severity(&self, purpose: &str) -> Severity {
        self.profile.severities.get(purpose).copied().map_or(Severity::Warning, Severity::from)
    }

    fn about(&self, source: &str, purpose: &str, basis: Basis, note: Option<String>) -> About {
        let document = self.profile.sources.get(source);
        About {
            documented_as: None,
            purpose: purpose.to_owned(),
            workload: Workload::Any,
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
        let (addresses, expect_address) = (Addresses::First, ExpectAddress::Any);
        Target { host, port, probe, addresses, expect_address, timeout }
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
        endpoint.target.addresses = match addresses {
            AddressesName::All => Addresses::All,
            AddressesName::First => Addresses::First,
        };
    }
    if let Some(expected) = change.expect_address {
        endpoint.target.expect_address = match expected {
            ExpectAddressName::Any => ExpectAddress::Any,
            ExpectAddressName::Private => ExpectAddress::Private,
            ExpectAddressName::Public => ExpectAddress::Public,
        };
    }
}

/// Checks what holds for all endpoints together, and puts them in order.
fn check(endpoints: &mut [Endpoint]) -> Result<(), Broken> {
    if endpoints.len() > MAX_ENDPOINTS {
        return broken("endpoints", endpoints.len(), format!("must be at most {MAX_ENDPOINTS}"));
    }
    for endpoint in &*endpoints {
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
    }
    endpoints.sort_by(|a, b| (a.class, &a.id).cmp(&(b.class, &b.id)));
    let mut ids = BTreeSet::new();
    match endpoints.iter().find(|endpoint| !ids.insert(&endpoint.id)) {
        Some(twin) => broken("endpoints", &twin.id, "must be unique; give one of them another `id`"),
        None => Ok(()),
    }
}

pub(super) fn host_of(key: &str, text: &str) -> Result<Host, Broken> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(Host::Address(address));
    }
    match valid_name(text) {
        Ok(()) => Ok(Host::Name(text.trim_end_matches('.').to_ascii_lowercase())),
        Err(rule) => broken(key, text.escape_debug(), format!("must be a name or an address: {rule}")),
    }
}

/// The id of an endpoint that nobody named: the host as it is asked, and the port.
pub(super) fn id_of(host: &Host, port: u16) -> EndpointId {
    let id = match host {
        Host::Name(name) => format!("{name}:{port}"),
        Host::Address(address) => SocketAddr::new(*address, port).to_string(),
    };
    EndpointId(id.into())
}

/// Splits `host:port`; an address in IPv6 notation needs brackets for a port.
fn split_port<'a>(key: &str, text: &'a str) -> Result<(&'a str, Option<u16>), Broken> {
    if text.parse::<IpAddr>().is_ok() {
        return Ok((text, None));
    }
    match text.rsplit_once(':') {
        None => Ok((text, None)),
        Some((host, port)) => match port.parse::<u16>() {
            Ok(port) if port > 0 => Ok((host.trim_matches(['[', ']']), Some(port))),
            Ok(_) | Err(_) => broken(key, text, "must be a host, or host:port with a port between 1 and 65535"),
        },
    }
}

/// Reads `ADDRESS` or `ADDRESS:PORT`, port 53 by default.
pub(super) fn server(key: &str, text: &str) -> Result<SocketAddr, Broken> {
    if let Ok(address) = text.parse::<IpAddr>() {
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
