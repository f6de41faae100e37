//! Settings in which other DNS servers of this host are asked, as its resolver files name them now: the servers, and the
//! endpoints that watch them. What the configuration says stays. Pure.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use ase_probes::{dns::Transport, probe::Probe};

use crate::model::{
    catalog::{Catalog, Endpoint, EndpointId, Target},
    settings::{Resolvers, Settings},
    target::Host,
};

/// The settings with these servers in the place of those that they name now, on port 53.
pub fn asking(settings: &Settings, servers: &[IpAddr]) -> Settings {
    let custom = servers.iter().map(|server| SocketAddr::new(*server, 53)).collect();
    let resolvers = Resolvers { custom, ..settings.resolvers.clone() };
    let catalog = Arc::new(watching(&settings.catalog, &settings.resolvers, &resolvers));
    Settings { catalog, resolvers, ..settings.clone() }
}

fn watching(catalog: &Catalog, before: &Resolvers, after: &Resolvers) -> Catalog {
    let others = catalog.endpoints.iter().filter(|endpoint| server_of(endpoint, before).is_none()).cloned();
    let mut endpoints: Vec<_> = after_change(catalog, before, after).into_iter().chain(others).collect();
    endpoints.sort_by(|one, other| (one.class, &one.id).cmp(&(other.class, &other.id)));
    Catalog { endpoints, ..catalog.clone() }
}

/// The endpoints of all servers: those that stay as they are, new ones like an old one of the same transport.
fn after_change(catalog: &Catalog, before: &Resolvers, after: &Resolvers) -> Vec<Arc<Endpoint>> {
    let old: Vec<_> = catalog.endpoints.iter().filter(|endpoint| server_of(endpoint, before).is_some()).collect();
    let mut made: Vec<Arc<Endpoint>> = Vec::new();
    for server in [after.azure].iter().chain(&after.custom) {
        for transport in [Transport::Udp, Transport::Tcp] {
            let id = id_of(*server, transport);
            let is_new = !made.iter().any(|endpoint| endpoint.id == id);
            let same = old.iter().find(|endpoint| endpoint.id == id);
            let like = || old.iter().find(|endpoint| endpoint.id.0.ends_with(&format!("/{}", transport.label())));
            // Azure's own server stays away where the configuration took it out.
            let alike = if *server == after.azure { same } else { same.or_else(like) };
            made.extend(alike.filter(|_| is_new).map(|endpoint| aimed(endpoint, *server, id)));
        }
    }
    made
}

fn aimed(endpoint: &Arc<Endpoint>, server: SocketAddr, id: EndpointId) -> Arc<Endpoint> {
    if endpoint.id == id {
        return Arc::clone(endpoint);
    }
    let target = Target { host: Host::Address(server.ip()), port: server.port(), ..endpoint.target.clone() };
    Arc::new(Endpoint { id, target, ..(**endpoint).clone() })
}

/// The server that an endpoint watches, if it is one of these.
fn server_of(endpoint: &Endpoint, resolvers: &Resolvers) -> Option<SocketAddr> {
    let Probe::Dns(question) = &endpoint.target.probe else { return None };
    let mut servers = [resolvers.azure].into_iter().chain(resolvers.custom.iter().copied());
    servers.find(|server| endpoint.id == id_of(*server, question.transport))
}

fn id_of(server: SocketAddr, transport: Transport) -> EndpointId {
    EndpointId(format!("{server}/{}", transport.label()).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::settings;

    fn ids(settings: &Settings) -> Vec<&str> {
        let of_dns = |endpoint: &&Arc<Endpoint>| matches!(endpoint.target.probe, Probe::Dns(_));
        settings.catalog.endpoints.iter().filter(of_dns).map(|endpoint| &*endpoint.id.0).collect()
    }

    #[test]
    fn the_servers_of_a_changed_file_are_asked_and_watched_as_if_they_had_been_there_at_the_start() {
        let servers =
            |list: &[&str]| list.iter().map(|text| text.parse().expect("an address")).collect::<Vec<IpAddr>>();
        for (before, after) in [
            ("10.0.0.4", vec!["10.0.0.5"]),
            ("10.0.0.4, 10.0.0.5", vec!["10.0.0.5", "fd00::53"]),
            ("168.63.129.16", vec!["10.0.0.9"]),
            ("10.0.0.4", vec!["168.63.129.16"]),
        ] {
            let of = |list: &str| settings(&format!("resolvers: {{custom: [{list}]}}\n")).expect("a good file");
            let (adopted, wanted) = (asking(&of(before), &servers(&after)), of(&quoted(&after)));
            assert_eq!(adopted.resolvers.custom, wanted.resolvers.custom);
            assert_eq!(ids(&adopted), ids(&wanted), "{before} to {after:?}");
            assert_eq!(adopted.catalog.endpoints.len(), wanted.catalog.endpoints.len());
            assert_eq!(adopted.catalog.endpoints, wanted.catalog.endpoints);
        }
    }

    fn quoted(servers: &[&str]) -> String {
        servers.iter().map(|server| format!("'{server}'")).collect::<Vec<_>>().join(", ")
    }
}
