//! Where to listen, as people write it: `127.0.0.1:10123`, `localhost:10123`, `:10123`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Reads an address and a port. No host, or `*`, is every IPv4 address of this machine, `localhost` its own (RFC 6761
/// section 6.3); other names are not looked up, as an agent must start where no name resolves.
///
/// # Errors
/// The rule that the text breaks, with the text.
pub fn parse(text: &str) -> Result<SocketAddr, String> {
    let broken = |rule: &str| Err(format!("({}) {rule}", text.escape_debug()));
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(address);
    }
    let Some((host, port)) = text.rsplit_once(':').filter(|_| text.parse::<IpAddr>().is_err()) else {
        return broken("must be an address with a port, for example 127.0.0.1:10123 or :10123");
    };
    let Ok(port) = port.parse::<u16>() else {
        return broken("must end with a port from 0 to 65535");
    };
    let ip = match host.trim_start_matches('[').trim_end_matches(']') {
        "" | "*" => Ipv4Addr::UNSPECIFIED.into(),
        name if name.eq_ignore_ascii_case("localhost") => Ipv4Addr::LOCALHOST.into(),
        other => match other.parse::<IpAddr>() {
            Ok(ip) => ip,
            Err(_) => return broken("must name an address of this machine, localhost, or none for every address"),
        },
    };
    Ok(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, address) in [
            ("127.0.0.1:10123", "127.0.0.1:10123"),
            (":10123", "0.0.0.0:10123"),
            ("*:10123", "0.0.0.0:10123"),
            ("localhost:10123", "127.0.0.1:10123"),
            ("LOCALHOST:0", "127.0.0.1:0"),
            ("[::]:10123", "[::]:10123"),
            ("[::1]:10123", "[::1]:10123"),
        ] {
            assert_eq!(parse(text).map(|address| address.to_string()), Ok(address.to_owned()), "{text}");
        }
        for (text, rule) in [
            ("10123", "(10123) must be an address with a port, for example 127.0.0.1:10123 or :10123"),
            ("127.0.0.1", "must be an address with a port"),
            ("::1", "must be an address with a port"),
            ("", "() must be an address with a port"),
            ("localhost:", "must end with a port from 0 to 65535"),
            (":65536", "(:65536) must end with a port from 0 to 65535"),
            ("myhost:10123", "(myhost:10123) must name an address of this machine, localhost, or none"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(rule), "{text}: {error}");
        }
    }
}
