//! A host as people write it: a name, an address, `host:port`, brackets, or a whole URL.

use std::net::IpAddr;

use ase_probes::{class::Class, resolve::valid_name};

use super::error::{Broken, broken};
use crate::model::catalog::Host;

/// What was written in a host's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WrittenHost {
    /// The host itself.
    pub(super) host: Host,
    /// The port behind it.
    pub(super) port: Option<u16>,
    /// The class that a URL's scheme means.
    pub(super) class: Option<Class>,
    /// What a URL asks for, where that is more than `/`.
    pub(super) path: Option<String>,
}

/// Reads a host.
pub(super) fn read(key: &str, text: &str) -> Result<WrittenHost, Broken> {
    let Some((scheme, rest)) = text.split_once("://") else { return authority(key, text, text) };
    let class = match &*scheme.to_ascii_lowercase() {
        "http" => Class::Http,
        "https" => Class::Https,
        _ => return broken(key, shown(text), "must be a URL with http:// or https://, a name or an address"),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    if host.contains('@') {
        return broken(key, shown(text), "must hold no user or password: nobody is logged in");
    }
    let path = path.split('#').next().unwrap_or_default();
    let path = if path.starts_with('?') { format!("/{path}") } else { path.to_owned() };
    Ok(WrittenHost {
        class: Some(class),
        path: Some(path).filter(|path| path.len() > 1),
        ..authority(key, text, host)?
    })
}

/// A host and perhaps a port; an address in IPv6 notation needs brackets for a port.
fn authority(key: &str, text: &str, host: &str) -> Result<WrittenHost, Broken> {
    let written = |host, port| WrittenHost { host, port, class: None, path: None };
    let (name, port) = match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        Some((address, rest)) => (address, rest.strip_prefix(':').or((!rest.is_empty()).then_some(""))),
        None if host.parse::<IpAddr>().is_ok() || host.matches(':').count() > 1 => (host, None),
        None => host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
    };
    if let Some((address, zone)) = name.split_once('%')
        && address.parse::<IpAddr>().is_ok()
    {
        let rule = format!("must be without its scope: set `interface: {zone}`, which every probe then uses");
        return broken(key, text.escape_debug(), rule);
    }
    let port = match port.map(str::parse::<u16>) {
        None => None,
        Some(Ok(port)) if port > 0 => Some(port),
        Some(_) => return broken(key, shown(text), "must be a host, or host:port with a port between 1 and 65535"),
    };
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(written(Host::Address(address), port));
    }
    match valid_name(name) {
        Ok(()) => Ok(written(Host::Name(name.trim_end_matches('.').to_ascii_lowercase()), port)),
        Err(rule) => broken(key, shown(text), format!("must be a name or an address: {rule}")),
    }
}

/// The text without the user and password that a URL may hold.
fn shown(text: &str) -> String {
    let escaped = text.escape_debug().to_string();
    match (escaped.split_once("://"), escaped.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
        (None, Some((_, host))) => format!("…@{host}"),
        (_, None) => escaped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(text: &str) -> String {
        match read("host", text) {
            Ok(WrittenHost { host, port, class, path }) => {
                let port = port.map(|port| format!(" port {port}")).unwrap_or_default();
                let class = class.map(|class| format!(" {class}")).unwrap_or_default();
                format!("{host}{port}{class}{}", path.map(|path| format!(" {path}")).unwrap_or_default())
            }
            Err(broken) => broken.message,
        }
    }

    #[test]
    fn hosts_are_read_as_people_write_them() {
        for (text, expected) in [
            ("Api.Example.", "api.example"),
            ("api.example:8443", "api.example port 8443"),
            ("10.0.0.4", "10.0.0.4"),
            ("10.0.0.4:8080", "10.0.0.4 port 8080"),
            ("fd00::1", "fd00::1"),
            ("[fd00::1]", "fd00::1"),
            ("[fd00::1]:8443", "fd00::1 port 8443"),
            ("https://api.example", "api.example https"),
            ("https://api.example/", "api.example https"),
            ("HTTPS://api.example:8443/health?deep=1#top", "api.example port 8443 https /health?deep=1"),
            ("http://[fd00::1]:81/x", "fd00::1 port 81 http /x"),
            ("http://10.0.0.4?x=1", "10.0.0.4 http /?x=1"),
        ] {
            assert_eq!(summary(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_host_is_named_without_secrets() {
        for (text, expected) in [
            ("ftp://files.example", "host (ftp://files.example) must be a URL with http:// or https://"),
            ("https://me:secret@api.example/x", "host (https://…@api.example/x) must hold no user or password"),
            ("me:secret@api.example", "host (…@api.example) must be a host, or host:port"),
            ("api.example:0", "host (api.example:0) must be a host, or host:port"),
            ("api.example:99999", "must be a host, or host:port"),
            ("[fd00::1]x", "must be a host, or host:port"),
            ("", "host () must be a name or an address: the name is empty"),
            ("https:///x", "must be a name or an address: the name is empty"),
            ("a b", "host (a b) must be a name or an address: the name has the character ` `"),
        ] {
            let got = summary(text);
            assert!(got.contains(expected) && !got.contains("secret"), "{text}: {got}");
        }
    }
}
