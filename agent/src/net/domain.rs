//! To whom a name belongs: its registrable domain, by the list of public suffixes (publicsuffix.org). Pure.

use std::net::IpAddr;

/// The registrable domain of a host: its public suffix and one label more. An address, or a name that is a suffix itself,
/// stands for itself.
pub fn registrable(host: &str) -> &str {
    if host.parse::<IpAddr>().is_ok() { host } else { psl::domain_str(host).unwrap_or(host) }
}

/// The registrable domain of `to`, where it is another one than that of `from`.
pub fn left<'a>(from: &str, to: &'a str) -> Option<&'a str> {
    let there = registrable(to);
    (!there.eq_ignore_ascii_case(registrable(from))).then_some(there)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaving_a_registrable_domain_is_told_from_moving_within_it() {
        for (from, to, domain) in [
            ("go.microsoft.com", "www.microsoft.com", None),
            ("go.microsoft.com", "aka.ms", Some("aka.ms")),
            ("a.example.co.uk", "b.EXAMPLE.co.uk", None),
            ("a.co.uk", "b.co.uk", Some("b.co.uk")),
            ("login.example.com", "203.0.113.7", Some("203.0.113.7")),
            ("10.0.0.4", "a.example.com", Some("example.com")),
            ("10.0.0.4", "10.0.0.4", None),
            ("portal", "portal", None),
            ("a.example.com", "portal", Some("portal")),
            ("one.azurewebsites.net", "two.azurewebsites.net", Some("two.azurewebsites.net")),
        ] {
            assert_eq!(left(from, to), domain, "{from} to {to}");
        }
    }
}
