//! Switches of simulated servers: a scenario names a server and the mood it gets, each as text from its file.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    Behaviour, dns, greeter, ntp, tds, web,
    world::{Shift, World},
};

/// The key of [`Switches::set`] that moves all clocks.
pub const WORLD: &str = "world";

/// The switch of one simulated server.
#[derive(Clone, Debug)]
pub enum Switch {
    /// A DNS server.
    Dns(Behaviour<dns::Mood>),
    /// A time server.
    Ntp(Behaviour<ntp::Mood>),
    /// An HTTP or HTTPS front end.
    Web(Behaviour<web::Mood>),
    /// A SQL gateway.
    Sql(Behaviour<tds::Mood>),
    /// A service that accepts.
    Greeter(Behaviour<greeter::Mood>),
}

impl Switch {
    /// Sets the mood that a scenario names.
    ///
    /// # Errors
    /// When the server has no such mood.
    pub fn set(&self, mood: &Value) -> Result<()> {
        match self {
            Self::Dns(behaviour) => behaviour.set(read("a DNS server", mood)?),
            Self::Ntp(behaviour) => behaviour.set(read("a time server", mood)?),
            Self::Web(behaviour) => behaviour.set(read("a web front end", mood)?),
            Self::Sql(behaviour) => behaviour.set(read("a SQL gateway", mood)?),
            Self::Greeter(behaviour) => behaviour.set(read("a plain TCP service", mood)?),
        }
        Ok(())
    }

    /// Sets the mood that every server begins with.
    pub fn reset(&self) {
        match self {
            Self::Dns(behaviour) => behaviour.set(dns::Mood::default()),
            Self::Ntp(behaviour) => behaviour.set(ntp::Mood::default()),
            Self::Web(behaviour) => behaviour.set(web::Mood::default()),
            Self::Sql(behaviour) => behaviour.set(tds::Mood::default()),
            Self::Greeter(behaviour) => behaviour.set(greeter::Mood::default()),
        }
    }
}

fn read<T: DeserializeOwned>(server: &str, mood: &Value) -> Result<T> {
    serde_json::from_value(mood.clone()).with_context(|| format!("mood ({mood}) must be one of {server}"))
}

/// The switches of all servers, and the world's clock.
#[derive(Clone, Debug, Default)]
pub struct Switches {
    /// By host and port.
    servers: BTreeMap<(String, u16), Switch>,
    world: World,
}

impl Switches {
    /// No servers yet, in this world.
    pub fn new(world: World) -> Self {
        Self { servers: BTreeMap::new(), world }
    }

    /// Adds a server; one that is there already keeps its switch, which is returned.
    pub fn add(&mut self, host: &str, port: u16, switch: Switch) -> Switch {
        self.servers.entry((host.to_owned(), port)).or_insert(switch).clone()
    }

    /// Sets the mood of every server that `key` names: `HOST`, `HOST:PORT`, `*:PORT` for all of a port, or `world` with
    /// the shift of all clocks.
    ///
    /// # Errors
    /// When no server has that name, or a server has no such mood.
    pub fn set(&self, key: &str, mood: &Value) -> Result<()> {
        if key == WORLD {
            let shift: Shift = read("the world", mood)?;
            self.world.shift(shift);
            return Ok(());
        }
        let named: Vec<&Switch> =
            self.servers.iter().filter(|(server, _)| names(key, server)).map(|(_, s)| s).collect();
        if named.is_empty() {
            bail!("servers ({key}) must name a simulated server: HOST, HOST:PORT or *:PORT");
        }
        named.into_iter().try_for_each(|switch| switch.set(mood)).with_context(|| key.to_owned())
    }

    /// Makes every server well again and stops moving the clocks.
    pub fn reset(&self) {
        self.world.shift(Shift { shift_seconds: 0 });
        self.servers.values().for_each(Switch::reset);
    }
}

/// Whether a key of a scenario names this server.
fn names(key: &str, (host, port): &(String, u16)) -> bool {
    let is_port = |text: &str| text.parse() == Ok(*port);
    key == host || key.rsplit_once(':').is_some_and(|(of, at)| (of == "*" || of == host) && is_port(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_key_names_a_host_a_port_or_both() {
        let mut switches = Switches::default();
        let (one, two) = (Behaviour::default(), Behaviour::default());
        switches.add("a.example", 123, Switch::Ntp(one.clone()));
        switches.add("b.example", 123, Switch::Ntp(two.clone()));
        switches.set("a.example:123", &json!("silent")).expect("there is such a server");
        assert_eq!((one.get(), two.get()), (ntp::Mood::Silent, ntp::Mood::Good));
        switches.set("*:123", &json!({"wrong": {"seconds": 5}})).expect("there are such servers");
        assert_eq!((one.get(), two.get()), (ntp::Mood::Wrong { seconds: 5.0 }, ntp::Mood::Wrong { seconds: 5.0 }));
        switches.set("b.example", &json!("good")).expect("there is such a server");
        assert_eq!(two.get(), ntp::Mood::Good);
        assert!(switches.set("c.example", &json!("good")).is_err());
        assert!(switches.set("a.example:53", &json!("good")).is_err());
        switches.reset();
        assert_eq!(one.get(), ntp::Mood::Good);
    }

    #[test]
    fn what_is_no_mood_is_refused_with_its_name() {
        let mut switches = Switches::default();
        switches.add("a.example", 443, Switch::Web(Behaviour::default()));
        for mood in [json!("grumpy"), json!({"slow": {"seconds": 1}}), json!({"alerts": {"number": 300}})] {
            let error = switches.set("a.example", &mood).expect_err("no such mood");
            assert!(format!("{error:#}").contains(&format!("mood ({mood})")), "{error:#}");
        }
    }

    #[test]
    fn the_world_can_be_shifted() {
        let world = World::default();
        let switches = Switches::new(world.clone());
        switches.set(WORLD, &json!({"shift-seconds": -86_400})).expect("a shift");
        assert_eq!(world.offset(), -86_400);
        switches.reset();
        assert_eq!(world.offset(), 0);
    }
}
