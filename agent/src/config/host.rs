//! What the host says about DNS: the servers in its resolver files.

use std::net::{IpAddr, Ipv4Addr};

use hickory_resolver::system_conf::parse_resolv_conf;

/// The resolver file that every program reads.
pub const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Where systemd-resolved keeps its own servers when the file above holds only its stub.
pub const UPLINK_CONF: &str = "/run/systemd/resolve/resolv.conf";
/// Where systemd-resolved's stub listens (systemd-resolved.service(8)). Any other local server is one that apps do use.
const STUBS: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::new(127, 0, 0, 53)), IpAddr::V4(Ipv4Addr::new(127, 0, 0, 54))];
/// Servers that the C library reads at most (`resolv.h`, MAXNS).
const MAX_SERVERS: usize = 3;

/// The servers a host uses, and the file they come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The servers in order.
    pub servers: Vec<IpAddr>,
    /// The file.
    pub file: &'static str,
}

/// Picks the servers from the two resolver files: behind systemd-resolved's stub the uplinks count.
pub fn servers(resolv_conf: Option<&str>, uplink_conf: Option<&str>) -> Option<Found> {
    let direct = resolv_conf.map(parse).unwrap_or_default();
    let is_stub = direct.iter().all(|server| STUBS.contains(server));
    let uplinks = uplink_conf.map(parse).unwrap_or_default();
    match (direct.is_empty() || is_stub, uplinks.is_empty()) {
        (true, false) => Some(Found { servers: uplinks, file: UPLINK_CONF }),
        (true, true) if direct.is_empty() => None,
        (_, _) => Some(Found { servers: direct, file: RESOLV_CONF }),
    }
}

/// The search suffixes of a resolver file.
pub fn suffixes(text: &str) -> Vec<String> {
    let search = parse_resolv_conf(text).map(|(config, _)| config.search().iter().map(ToString::to_string).collect());
    search.unwrap_or_default()
}

/// The servers only: a broken search list must not hide them, nor does it for the C library.
fn parse(text: &str) -> Vec<IpAddr> {
    let lines: Vec<&str> = text.lines().filter(|line| line.trim_start().starts_with("nameserver")).collect();
    let mut servers: Vec<IpAddr> = Vec::new();
    if let Ok((config, _)) = parse_resolv_conf(lines.join("\n")) {
        for server in config.name_servers() {
            if !servers.contains(&server.ip) && servers.len() < MAX_SERVERS {
                servers.push(server.ip);
            }
        }
    }
    servers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(resolv: &str, uplink: Option<&str>) -> Option<(Vec<String>, &'static str)> {
        let found = servers(Some(resolv), uplink)?;
        Some((found.servers.iter().map(IpAddr::to_string).collect(), found.file))
    }

    #[test]
    fn servers_come_from_the_file_that_names_real_ones() {
        let stub = "nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch internal.cloudapp.net\n";
        let uplink = "nameserver 10.0.0.4\nnameserver 10.0.0.5\n";
        assert_eq!(found(uplink, None), Some((vec!["10.0.0.4".into(), "10.0.0.5".into()], RESOLV_CONF)));
        assert_eq!(found(stub, Some(uplink)), Some((vec!["10.0.0.4".into(), "10.0.0.5".into()], UPLINK_CONF)));
        assert_eq!(found(stub, None), Some((vec!["127.0.0.53".into()], RESOLV_CONF)));
        let local = "nameserver 127.0.0.1\n";
        assert_eq!(found(local, Some(uplink)), Some((vec!["127.0.0.1".into()], RESOLV_CONF)), "a cache of its own");
        assert_eq!(found("# nothing\n", None), None);
        assert_eq!(servers(None, None), None);
    }

    #[test]
    fn a_broken_search_list_does_not_hide_the_servers() {
        let broken = "search a..b -- ..\noptions nonsense\nnameserver 10.0.0.4\n";
        assert_eq!(found(broken, None), Some((vec!["10.0.0.4".into()], RESOLV_CONF)));
    }

    #[test]
    fn only_the_first_three_count_as_in_the_c_library() {
        let four =
            "nameserver 10.0.0.1\nnameserver 10.0.0.2\nnameserver 10.0.0.2\nnameserver 10.0.0.3\nnameserver 10.0.0.4\n";
        assert_eq!(found(four, None).map(|(servers, _)| servers.len()), Some(3));
    }
}
