//! Who may change something by a request: a client on this machine that names it by an address or as `localhost`, or one in a
//! network that the configuration allows; and never a page of another site, which a browser on this machine may have open. Pure.

use std::net::IpAddr;

use axum::http::{HeaderMap, Uri, header, uri::Authority};
use ipnet::IpNet;

/// Whether the request may change something; if not, the rule that it breaks.
pub(super) fn to_change(peer: IpAddr, uri: &Uri, asked: &HeaderMap, allowed: &[IpNet]) -> Result<(), &'static str> {
    let peer = peer.to_canonical();
    let is_allowed = allowed.iter().any(|net| net.contains(&peer));
    if !peer.is_loopback() && !is_allowed {
        return Err("only clients on this machine may ask for it (key `reload_from` allows others)");
    }
    let hosts: Vec<Option<Authority>> = named(uri, asked).collect();
    // A name that somebody else's DNS server leads to this machine is how a browser is made to come here.
    let is_plain = |host: &Option<Authority>| host.as_ref().is_some_and(is_literal);
    if !is_allowed && !hosts.iter().all(is_plain) {
        return Err("the host must be an address or localhost");
    }
    if hosts.len() > 1 && hosts.iter().any(|host| *host != hosts[0]) {
        return Err("the host must be named once");
    }
    let site = asked.get_all("sec-fetch-site").iter();
    if !site.into_iter().all(|site| matches!(site.as_bytes(), b"same-origin" | b"none")) {
        return Err("it was asked for by a page of another site (sec-fetch-site)");
    }
    let is_own = |origin: &str| {
        let origin = origin.strip_prefix("http://").and_then(|host| host.parse::<Authority>().ok());
        origin.is_some() && hosts.first() == Some(&origin)
    };
    if !asked.get_all(header::ORIGIN).iter().all(|origin| origin.to_str().is_ok_and(is_own)) {
        return Err("it was asked for by a page of another site (origin)");
    }
    Ok(())
}

/// Whom the request names, in its header and in its target.
fn named<'a>(uri: &'a Uri, asked: &'a HeaderMap) -> impl Iterator<Item = Option<Authority>> + 'a {
    let hosts = asked.get_all(header::HOST).iter().map(|host| host.to_str().ok()?.parse().ok());
    hosts.chain(uri.authority().cloned().map(Some))
}

fn is_literal(host: &Authority) -> bool {
    let name = host.host().trim_start_matches('[').trim_end_matches(']');
    !host.as_str().contains('@') && (name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn asks(peer: &str, headers: &[(&'static str, &'static str)], allowed: &[&str]) -> Result<(), &'static str> {
        let pairs =
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let allowed: Vec<IpNet> = allowed.iter().map(|net| net.parse().expect("a network")).collect();
        let asked = HeaderMap::from_iter(pairs);
        to_change(peer.parse().expect("an address"), &Uri::from_static("/-/reload"), &asked, &allowed)
    }

    #[test]
    fn a_client_on_this_machine_may_ask() {
        for peer in ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"] {
            for host in ["127.0.0.1:10123", "localhost", "LOCALHOST:1", "[::1]:10123", "10.0.1.4"] {
                assert_eq!(asks(peer, &[("host", host)], &[]), Ok(()), "{peer} {host}");
            }
            assert_eq!(asks(peer, &[], &[]), Ok(()), "HTTP/1.0 names no host, and no browser speaks it");
        }
        let own = [("host", "127.0.0.1:1"), ("origin", "http://127.0.0.1:1"), ("sec-fetch-site", "same-origin")];
        assert_eq!(asks("127.0.0.1", &own, &[]), Ok(()));
    }

    #[test]
    fn nobody_else_may() {
        for (peer, headers, rule) in [
            ("10.0.0.9", vec![("host", "10.0.1.4")], "this machine"),
            ("fd00::9", vec![("host", "localhost")], "this machine"),
            ("127.0.0.1", vec![("host", "evil.example")], "must be an address"),
            ("127.0.0.1", vec![("host", "localhost.evil.example:10123")], "must be an address"),
            ("127.0.0.1", vec![("host", "127.0.0.1@evil.example")], "must be an address"),
            ("127.0.0.1", vec![("host", "localhost"), ("host", "127.0.0.1")], "named once"),
            ("127.0.0.1", vec![("host", "localhost"), ("origin", "http://evil.example")], "another site"),
            ("127.0.0.1", vec![("host", "localhost"), ("origin", "null")], "another site"),
            ("127.0.0.1", vec![("host", "localhost:1"), ("origin", "http://localhost:2")], "another site"),
            ("127.0.0.1", vec![("host", "localhost"), ("origin", "https://localhost")], "another site"),
            ("127.0.0.1", vec![("host", "localhost"), ("sec-fetch-site", "cross-site")], "another site"),
            ("127.0.0.1", vec![("host", "localhost"), ("sec-fetch-site", "same-site")], "another site"),
        ] {
            assert!(asks(peer, &headers, &[]).is_err_and(|said| said.contains(rule)), "{peer} {headers:?}");
        }
    }

    #[test]
    fn a_configured_network_may_by_any_name_and_its_browsers_pages_may_not() {
        let net = ["10.0.0.0/24"];
        assert_eq!(asks("10.0.0.9", &[("host", "agent.corp.example")], &net), Ok(()));
        assert!(asks("10.0.1.9", &[("host", "agent.corp.example")], &net).is_err());
        assert!(asks("10.0.0.9", &[("host", "agent.corp.example"), ("origin", "http://evil.example")], &net).is_err());
    }
}
