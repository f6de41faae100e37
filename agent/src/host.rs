//! What the host says about DNS: the servers in its resolver files.

use std::net::IpAddr;

use hickory_resolver::system_conf::parse_resolv_conf;

/// The resolver file that every program reads.
pub const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Where systemd-resolved keeps its own servers when the file above holds only its stub.
pub const UPLINK_CONF: &str = "/run/systemd/resolve/resolv.conf";
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
    let is_stub = direct.iter().all(|server| matches!(server, IpAddr::V4(v4) if v4.octets()[..3] == [127, 0, 0]));
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

fn parse(text: &str) -> Vec<IpAddr> {
    let mut servers: Vec<IpAddr> = Vec::new();
    if let Ok((config, _)) = parse_resolv_conf(text) {
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
        assert_eq!(found("# nothing\n", None), None);
        assert_eq!(servers(None, None), None);
    }

    #[test]
    fn only_the_first_three_count_as_in_the_c_library() {
        let four =
            "nameserver 10.0.0.1\nnameserver 10.0.0.2\nnameserver 10.0.0.2\nnameserver 10.0.0.3\nnameserver 10.0.0.4\n";
        assert_eq!(found(four, None).map(|(servers, _)| servers.len()), Some(3));
    }
}
