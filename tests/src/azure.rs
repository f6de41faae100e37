//! A whole simulated Azure, built from a catalogue: every name gets an address, every endpoint the server that can
//! prove itself to the agent.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use anyhow::{Context, Result};
use ase_agent::model::{
    catalog::{Catalog, Endpoint, Host},
    settings::Settings,
};
use ase_probes::{http::Scheme, probe::Probe};

use crate::{
    authority::Authority,
    sim::{
        Behaviour, Front, Running,
        dns::{self, Entry, Zone},
        greeter, ntp,
        switch::{Switch, Switches},
        tds, web,
        world::World,
    },
};

/// Simulated hosts live in the benchmarking space of RFC 2544, which nothing real uses.
const FIRST_HOST: Ipv4Addr = Ipv4Addr::new(198, 18, 1, 1);

/// Names for the slots that no profile can fill.
pub const SLOTS: [(&str, &str); 11] = [
    ("ntp-server", "lab-time.example"),
    ("monitoring", "lab-monitoring.example"),
    ("sql-server", "lab-sql.database.windows.net"),
    ("storage-account", "labstorage.blob.core.windows.net"),
    ("event-hub", "lab-hub.servicebus.windows.net"),
    ("event-grid", "lab-grid.eventgrid.azure.net"),
    ("windows-update", "lab.windowsupdate.microsoft.com"),
    ("managed-identity", "control-lab.identity.azure.net"),
    ("regional-service", "gr-prod-lab.azurewebsites.windows.net"),
    ("mcr-cdn", "lab.cdn.mscr.io"),
    ("warm-ingest", "lab.prod.warm.ingest.monitor.core.windows.net"),
];

/// A name with a private endpoint that the custom DNS bypasses, because it does not forward the privatelink zone.
pub const BYPASSED: &str = "lab-private.database.windows.net";

/// What each side of the simulated DNS says about [`BYPASSED`].
fn bypassed(is_azure: bool) -> Entry {
    let link = "lab-private.privatelink.database.windows.net".to_owned();
    if is_azure {
        Entry { chain: vec![link], addresses: vec![IpAddr::from([10, 60, 0, 4])] }
    } else {
        let gateway = "gateway.lab.database.windows.net".to_owned();
        Entry { chain: vec![link, gateway], addresses: vec![IpAddr::from([198, 18, 0, 7])] }
    }
}

/// The authorities of the simulated Azure and of an inspecting firewall. They live by one clock.
#[derive(Clone, Debug)]
pub struct Authorities {
    /// Issues every certificate; agents trust it.
    pub lab: Arc<Authority>,
    /// Issues the certificates of an inspecting firewall; nobody trusts it.
    pub inspector: Arc<Authority>,
}

impl Authorities {
    /// Makes both.
    ///
    /// # Errors
    /// When a key cannot be made.
    pub fn new() -> Result<Self> {
        let world = World::default();
        let lab = Arc::new(Authority::several(
            &["ase-lab root", "ase-lab second root", "ase-lab third root"],
            world.clone(),
        )?);
        Ok(Self { lab, inspector: Arc::new(Authority::in_world("Azure Firewall Manager CA", world)?) })
    }
}

/// How the simulated servers behave; can be changed while they run.
#[derive(Clone, Debug, Default)]
pub struct Moods {
    /// The custom DNS.
    pub custom_dns: Behaviour<dns::Mood>,
    /// Azure DNS.
    pub azure_dns: Behaviour<dns::Mood>,
    /// Every web front end, by host; a host has one for each port.
    pub web: BTreeMap<String, Vec<Behaviour<web::Mood>>>,
    /// Every SQL gateway.
    pub sql: Vec<Behaviour<tds::Mood>>,
}

/// A running Azure.
#[derive(Debug)]
pub struct Azure {
    /// How its servers behave.
    pub moods: Moods,
    /// How its servers behave, by host and port.
    pub switches: Switches,
    /// The names it knows.
    pub zone: Arc<Zone>,
    azure_dns: SocketAddr,
    /// The first custom DNS server; further ones have moods of their own.
    custom_dns: Option<SocketAddr>,
    servers: Vec<Running>,
}

/// Where simulated hosts live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Each in an address of its own, in the benchmarking space of RFC 2544.
    OwnAddresses,
    /// All on loopback; ports tell them apart.
    Loopback,
}

impl Place {
    fn address(self, index: u32) -> IpAddr {
        match self {
            Self::OwnAddresses => IpAddr::V4(Ipv4Addr::from(u32::from(FIRST_HOST) + index)),
            Self::Loopback => IpAddr::V4(Ipv4Addr::LOCALHOST),
        }
    }
}

/// Gives every name of a catalogue an address; what is an address keeps itself.
pub fn zone_of(catalog: &Catalog, place: Place) -> Zone {
    let names = catalog.endpoints.iter().filter_map(|endpoint| match &endpoint.target.host {
        Host::Name(name) => Some(name.clone()),
        Host::Address(_) => None,
    });
    let questions = catalog.endpoints.iter().filter_map(|endpoint| match &endpoint.target.probe {
        Probe::Dns(question) => Some(question.name.clone()),
        Probe::Ntp(_) | Probe::Http(_) | Probe::Tds(_) | Probe::Tcp(_) => None,
    });
    let names: BTreeSet<String> = names.chain(questions).collect();
    (0..).zip(names).map(|(index, name)| (name, Entry::at([place.address(index)]))).collect()
}

/// Which endpoints are not started.
#[derive(Clone, Debug, Default)]
pub struct Stopped(pub Vec<String>);

impl Stopped {
    fn has(&self, endpoint: &Endpoint) -> bool {
        let host = endpoint.target.host.to_string();
        self.0.iter().any(|stopped| *stopped == host || *stopped == format!("{host}:{}", endpoint.target.port))
    }
}

impl Azure {
    /// Starts every server that the endpoints of these settings need. The addresses must be local already.
    ///
    /// # Errors
    /// When an address cannot be bound.
    pub async fn start(
        settings: &Settings,
        place: Place,
        authorities: &Authorities,
        stopped: &Stopped,
    ) -> Result<Self> {
        Self::start_with(settings, zone_of(&settings.catalog, place), authorities, stopped).await
    }

    /// The same with these names, which must hold every host of the settings. A host's servers run at each of its
    /// addresses; at all but the first they are known to the switches by the address.
    ///
    /// # Errors
    /// When an address cannot be bound.
    pub async fn start_with(
        settings: &Settings,
        zone: Zone,
        authorities: &Authorities,
        stopped: &Stopped,
    ) -> Result<Self> {
        let zone = Arc::new(zone);
        let azure_dns = settings.resolvers.azure;
        let mut azure = Self {
            moods: Moods::default(),
            switches: Switches::new(authorities.lab.world().clone()),
            zone,
            azure_dns,
            custom_dns: settings.resolvers.custom.first().copied(),
            servers: Vec::new(),
        };
        let mut started = BTreeSet::new();
        for endpoint in &settings.catalog.endpoints {
            let is_udp = matches!(endpoint.target.probe, Probe::Ntp(_));
            for (index, address) in azure.addresses_of(&endpoint.target.host)?.into_iter().enumerate() {
                let known_as = if index == 0 { endpoint.target.host.to_string() } else { address.to_string() };
                let address = SocketAddr::new(address, endpoint.target.port);
                if !stopped.has(endpoint) && started.insert((address, is_udp)) {
                    let served = azure.serve(endpoint, address, &known_as, authorities).await;
                    served.with_context(|| endpoint.id.to_string())?;
                }
            }
        }
        Ok(azure)
    }

    /// Where a host lives.
    ///
    /// # Errors
    /// When the zone does not know the name.
    pub fn address_of(&self, host: &Host) -> Result<IpAddr> {
        self.addresses_of(host)?.first().copied().with_context(|| format!("{host} has no address"))
    }

    fn addresses_of(&self, host: &Host) -> Result<Vec<IpAddr>> {
        match host {
            Host::Address(address) => Ok(vec![*address]),
            Host::Name(name) => {
                let entry = self.zone.get(name).with_context(|| format!("{name} has no address"))?;
                Ok(entry.addresses.clone())
            }
        }
    }

    async fn serve(
        &mut self,
        endpoint: &Endpoint,
        address: SocketAddr,
        known_as: &str,
        authorities: &Authorities,
    ) -> Result<()> {
        let Authorities { lab, inspector } = authorities.clone();
        let name = endpoint.target.host.to_string();
        let world = lab.world().clone();
        let front = Front { authority: lab, inspector, name: name.clone() };
        let switch = match &endpoint.target.probe {
            Probe::Dns(_) => {
                let is_azure = address == self.azure_dns;
                let mood = match address {
                    _ if is_azure => self.moods.azure_dns.clone(),
                    _ if Some(address) == self.custom_dns => self.moods.custom_dns.clone(),
                    _ => Behaviour::default(),
                };
                let mut zone = Zone::clone(&self.zone);
                zone.insert(BYPASSED.to_owned(), bypassed(is_azure));
                self.servers.extend(dns::start(address, Behaviour::new(Arc::new(zone)), mood.clone()).await?);
                Switch::Dns(mood)
            }
            Probe::Ntp(_) => {
                let mood = Behaviour::default();
                self.servers.push(ntp::start(address, mood.clone(), world).await?);
                Switch::Ntp(mood)
            }
            Probe::Tds(_) => {
                let mood = Behaviour::default();
                self.moods.sql.push(mood.clone());
                self.servers.push(tds::start(address, front, mood.clone()).await?);
                Switch::Sql(mood)
            }
            Probe::Tcp(_) => {
                let mood = Behaviour::default();
                self.servers.push(greeter::start(address, mood.clone()).await?);
                Switch::Greeter(mood)
            }
            Probe::Http(question) => {
                let mood = Behaviour::default();
                self.moods.web.entry(name.clone()).or_default().push(mood.clone());
                self.servers.push(match question.scheme {
                    Scheme::Http => web::start_http(address, front, mood.clone()).await?,
                    Scheme::Https(_) => web::start_https(address, front, mood.clone()).await?,
                });
                Switch::Web(mood)
            }
        };
        self.switches.add(known_as, endpoint.target.port, switch);
        Ok(())
    }
}
