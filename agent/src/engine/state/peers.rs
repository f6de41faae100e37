//! The peers of the engine's tests, which stand in the place of sockets: who they are, how they behave, and what happens to
//! them and to this machine.

use std::{net::IpAddr, time::Duration};

use crate::{
    config::tests::loaded,
    model::catalog::{Catalog, Endpoint, EndpointId, Host},
};

use super::*;

/// How a peer behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Healthy,
    Slow,
    Failing,
    Silent,
    /// One of its addresses is silent, and another answers.
    Partly,
    /// A time server asks to be left alone; anybody else fails.
    Denying,
    /// Its name does not resolve, so that nobody asks it.
    Nameless,
    /// Whoever visits it dies.
    Deadly,
}

#[derive(Clone, Debug)]
pub(super) enum Operation {
    Advance(Duration),
    Set(usize, Mood),
    /// Bring this endpoint's visit forward, again and again.
    Hurry(usize),
    /// The same configuration again, so many times.
    Reload(usize),
    /// Only these endpoints, and one of them changed.
    Replace([bool; ENDPOINTS], usize),
    Suspend(Duration),
    /// The loop does not run for so long.
    Stall(Duration),
    /// The flow budget of this endpoint is spent from now on, or no longer.
    Spend(usize),
}

pub(super) const ENDPOINTS: usize = 7;
/// A time server, and a name that leads to it.
pub(super) const TWINS: [usize; 2] = [0, 6];
/// The hosts of the web.
pub(super) const WEB: std::ops::Range<usize> = 2..6;

pub(super) fn settings() -> Settings {
    let hosts = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"];
    let web = hosts.map(|host| format!("{{host: {host}, port: 80, class: http}}")).join(", ");
    let text = format!(
        "profile: custom\nresolvers: {{custom: [192.0.2.53]}}\nendpoints:\n  add: [{web}, \
         {{host: 203.0.113.1, port: 123, class: ntp}}, {{host: 203.0.113.2, port: 123, class: ntp}}, \
         {{host: time.example, port: 123, class: ntp}}]\n"
    );
    let settings = loaded(&text);
    // Time servers come first; the name of one of them comes last.
    let mut endpoints = settings.catalog.endpoints.clone();
    endpoints.sort_by_key(|endpoint| matches!(endpoint.target.host, Host::Name(_)));
    with(&settings, endpoints)
}

pub(super) fn with(settings: &Settings, endpoints: Vec<Arc<Endpoint>>) -> Settings {
    let catalog = Catalog { endpoints, ..(*settings.catalog).clone() };
    Settings { catalog: Arc::new(catalog), ..settings.clone() }
}

/// Where an endpoint leads.
pub(super) fn address_of(endpoint: &Endpoint) -> IpAddr {
    match endpoint.target.host {
        Host::Address(address) => address,
        Host::Name(_) => [203, 0, 113, 1].into(),
    }
}

pub(super) fn is_time(id: &EndpointId) -> bool {
    id.0.contains(":123")
}
