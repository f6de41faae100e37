//! The endpoints of a configuration as they are used: the operator's own with every key, and one row of changes for each of
//! the profile's, which says what is in force for it.

use std::collections::BTreeMap;

use ase_probes::{class::Class, dns, http, probe::Probe, tds, tls::Verify};
use serde_json::{Value, json};

use super::{Account, DEFAULT, Origin, Shown, Which};
use crate::{
    config::{
        added::CONFIGURATION,
        build::Builder,
        file::{Added, Override},
        profile::Expect,
    },
    model::catalog::{Addresses, Basis, Endpoint, ExpectAddress, ResolvedBy},
    net::{duration::show, pattern::matches},
};

type Cell = (&'static str, Value, Origin);

impl Account<'_> {
    pub(super) fn endpoints(&self) -> Shown {
        let keys = &self.file().endpoints;
        let added = keys.add.0.iter().filter_map(|(place, added)| self.added(*place, added));
        Shown::Keys(vec![
            ("add".to_owned(), Shown::Items(added.collect())),
            ("remove".to_owned(), self.value(&["endpoints", "remove"], json!(keys.remove), DEFAULT)),
            ("override".to_owned(), self.changes()),
        ])
    }

    fn added(&self, place: usize, added: &Added) -> Option<Shown> {
        let made = Builder::new(self.profile, self.file()).added(place, added).ok()?;
        let endpoint = self.settings.catalog.endpoints.iter().find(|endpoint| endpoint.id == made.id)?;
        let place = place.to_string();
        let cell = |key: &'static str, value: Value, otherwise: &str| {
            let (value, origin) = self.told(&["endpoints", "add", &place, key], value, otherwise);
            (key, value, origin)
        };
        let mut cells = vec![cell("host", json!(added.host), DEFAULT)];
        cells.push(cell("class", json!(endpoint.class.label()), "host"));
        cells.push(cell("port", json!(endpoint.target.port), "host or class"));
        cells.extend(added.id.as_ref().map(|id| cell("id", json!(id), DEFAULT)));
        cells.push(cell("purpose", json!(endpoint.about.purpose), DEFAULT));
        cells.extend(asked(added, endpoint).into_iter().map(|(key, value)| cell(key, value, DEFAULT)));
        for (key, value, otherwise) in self.changeable(endpoint) {
            let own = (cell(key, value.clone(), ""), self.set_by(endpoint, key).is_some());
            cells.push(match own {
                ((key, value, origin @ Origin::File(_)), false) => (key, value, origin),
                _ => (key, value, otherwise),
            });
        }
        Some(Shown::Row(cells))
    }

    /// What is in force for each endpoint of the profile, and the patterns of the file that are no such endpoint's id.
    fn changes(&self) -> Shown {
        let endpoints = &self.settings.catalog.endpoints;
        let mut rows: BTreeMap<String, Shown> = BTreeMap::new();
        for endpoint in endpoints.iter().filter(|endpoint| self.may_be_named(endpoint)) {
            rows.insert(endpoint.id.to_string(), Shown::Row(self.changeable(endpoint)));
        }
        for (pattern, change) in &self.file().endpoints.r#override {
            let cells = set(change).into_iter().map(|(key, value)| {
                let (value, origin) = self.told(&["endpoints", "override", pattern, key], value, DEFAULT);
                (key, value, origin)
            });
            rows.entry(pattern.clone()).or_insert_with(|| Shown::Row(cells.collect()));
        }
        Shown::Keys(rows.into_iter().collect())
    }

    /// Endpoints that were added have their keys there, and what the file sets stands under its own patterns. An id may not
    /// tell what a variable stands for.
    fn may_be_named(&self, endpoint: &Endpoint) -> bool {
        let has_variables = |key: &str| self.source.node(&[key]).is_some_and(|node| node.with_variables().is_some());
        let is_slot = endpoint.about.basis == Basis::Configured;
        match endpoint.about.source.as_str() {
            _ if self.which == Which::Written => false,
            CONFIGURATION => false,
            _ if is_slot => !has_variables("slots"),
            _ if endpoint.class == Class::Dns => !has_variables("resolvers"),
            _ => true,
        }
    }

    /// What may be changed of an endpoint, as it is in force.
    fn changeable(&self, endpoint: &Endpoint) -> Vec<Cell> {
        let (class, target) = (endpoint.class.label(), &endpoint.target);
        let by_class = |table: &str| self.told(&[table, class], Value::Null, DEFAULT).1;
        let profile = Origin::Elsewhere("profile".to_owned());
        let default = Origin::Elsewhere(DEFAULT.to_owned());
        let severity = if endpoint.about.source == CONFIGURATION { default.clone() } else { profile };
        let resolved = match target.resolved_by {
            ResolvedBy::Custom => default.clone(),
            ResolvedBy::Azure => Origin::Elsewhere("profile".to_owned()),
        };
        let cells = [
            ("severity", json!(endpoint.severity.label()), severity),
            ("interval", json!(show(endpoint.interval)), by_class("intervals")),
            ("timeout", json!(show(target.timeout)), by_class("timeouts")),
            ("addresses", json!(which(target.addresses)), default.clone()),
            ("expect_address", json!(expected(target.expect_address)), default.clone()),
            ("resolved_by", json!(target.resolved_by.label()), resolved),
        ];
        let in_force = |(key, value, origin): Cell| match self.set_by(endpoint, key) {
            Some(pattern) => {
                let (value, origin) = self.told(&["endpoints", "override", pattern, key], value, DEFAULT);
                (key, value, origin)
            }
            None => (key, value, origin),
        };
        cells.into_iter().map(in_force).collect()
    }

    /// The pattern of the file that sets a key of an endpoint last.
    fn set_by(&self, endpoint: &Endpoint, key: &str) -> Option<&str> {
        let patterns = self.file().endpoints.r#override.iter().rev();
        let sets = |change: &Override| set(change).iter().any(|(name, _)| *name == key);
        let mut those = patterns.filter(|(pattern, change)| matches(pattern, &endpoint.id.0) && sets(change));
        those.next().map(|(pattern, _)| pattern.as_str())
    }
}

/// The keys that a change sets.
fn set(change: &Override) -> Vec<(&'static str, Value)> {
    let level = |level: crate::config::profile::Level| crate::model::catalog::Severity::from(level).label();
    let keys = [
        ("severity", change.severity.map(|severity| json!(level(severity)))),
        ("interval", change.interval.map(|human| json!(show(human.0)))),
        ("timeout", change.timeout.map(|human| json!(show(human.0)))),
        ("addresses", change.addresses.map(|name| json!(which(name.into())))),
        ("expect_address", change.expect_address.map(|name| json!(expected(name.into())))),
        ("resolved_by", change.resolved_by.map(|name| json!(ResolvedBy::from(name).label()))),
    ];
    keys.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

fn which(addresses: Addresses) -> &'static str {
    match addresses {
        Addresses::All => "all",
        Addresses::First => "first",
    }
}

fn expected(expect: ExpectAddress) -> &'static str {
    match expect {
        ExpectAddress::Any => "any",
        ExpectAddress::Private => "private",
        ExpectAddress::Public => "public",
    }
}

/// The keys of the question that is asked. A URL has its path in the host.
fn asked(added: &Added, endpoint: &Endpoint) -> Vec<(&'static str, Value)> {
    match &endpoint.target.probe {
        Probe::Http(question) => {
            let is_url = added.host.contains("://") && added.path.is_none();
            let mut keys = Vec::new();
            keys.extend((!is_url).then(|| ("path", json!(question.path))));
            keys.push(("expect", proof(added.expect.as_ref())));
            if let http::Scheme::Https(verify) = question.scheme {
                keys.push(("verify", json!(if verify == Verify::Full { "full" } else { "chain" })));
            }
            keys
        }
        Probe::Tds(question) => {
            vec![("tds", json!(if question.flavour == tds::Flavour::Tds8 { "8.0" } else { "7.x" }))]
        }
        Probe::Dns(question) => {
            let transport = if question.transport == dns::Transport::Tcp { "tcp" } else { "udp" };
            vec![("question", json!(question.name)), ("transport", json!(transport))]
        }
        Probe::Ntp(_) | Probe::Tcp(_) => Vec::new(),
    }
}

fn proof(expect: Option<&Expect>) -> Value {
    match expect {
        None | Some(Expect::Any) => json!("any"),
        Some(Expect::Crl) => json!("crl"),
        Some(Expect::Status(codes)) => json!({"status": codes}),
        Some(Expect::Contains(text)) => json!({"contains": text}),
    }
}
