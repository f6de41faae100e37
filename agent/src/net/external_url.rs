//! What may be the URL under which people reach the pages: http or https, a host, perhaps a port and a path; no query, no
//! fragment, no user and no password, because it stands in alerts and reports.

use std::{fmt, net::IpAddr};

use ase_probes::resolve::valid_name;

/// Bytes of one at most: it is a label of a series.
const LONGEST: usize = 500;

/// Such a URL, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalUrl(String);

impl ExternalUrl {
    /// Reads one.
    ///
    /// # Errors
    /// The rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let scheme = scheme.to_ascii_lowercase();
        if scheme != "http" && scheme != "https" {
            return Err("must begin with http:// or https://".to_owned());
        }
        if text.len() > LONGEST {
            return Err(format!("must have at most {LONGEST} bytes"));
        }
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if rest.contains(['?', '#']) {
            return Err("must hold no query and no fragment: paths are added to it".to_owned());
        }
        if host.contains('@') {
            return Err("must hold no user or password: it stands in alerts and reports".to_owned());
        }
        check_host(host)?;
        if let Some(wrong) = path.chars().find(|c| !may_stand_in_a_path(*c)) {
            return Err(format!("must escape the character {wrong:?} by % and two digits"));
        }
        Ok(Self(format!("{scheme}://{}{}", host.to_ascii_lowercase(), path.trim_end_matches('/'))))
    }

    /// The URL of a path that begins with a slash.
    pub fn below(&self, path: &str) -> String {
        format!("{self}{path}")
    }

    /// The text without a user and password that may stand in it, and without what may be a secret behind a question mark.
    pub fn without_secrets(text: &str) -> String {
        let shown = text.split(['?', '#']).next().unwrap_or_default().escape_debug().to_string();
        match (shown.split_once("://"), shown.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
            (None, Some((_, host))) => format!("…@{host}"),
            (_, None) => shown,
        }
    }
}

impl fmt::Display for ExternalUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check_host(host: &str) -> Result<(), String> {
    let (name, port) = match host.strip_prefix('[').map(|host| host.split_once(']')) {
        Some(Some((address, rest))) if address.parse::<std::net::Ipv6Addr>().is_ok() => (None, rest),
        Some(_) => return Err("must have an IPv6 address between its brackets".to_owned()),
        None => {
            let (name, port) = host.split_at(host.find(':').unwrap_or(host.len()));
            (Some(name), port)
        }
    };
    let is_port =
        |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|p| p > 0);
    if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_port) {
        return Err("must have a port between 1 and 65535 behind its host".to_owned());
    }
    match name.filter(|name| name.parse::<IpAddr>().is_err()) {
        Some(name) => valid_name(name).map_err(|rule| format!("must have a host that is a name or an address: {rule}")),
        None => Ok(()),
    }
}

/// What a path may hold (RFC 3986 section 3.3) and what ends no quotation.
fn may_stand_in_a_path(c: char) -> bool {
    c.is_ascii_alphanumeric() || "/-._~%!$&()*+,;=:@".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_as_people_write_it_and_paths_go_below_it() {
        for (text, first) in [
            ("https://monitor.example", "https://monitor.example/"),
            ("HTTPS://Monitor.Example/", "https://monitor.example/"),
            ("http://10.1.0.4:10123", "http://10.1.0.4:10123/"),
            ("http://[fd00::4]:10123/", "http://[fd00::4]:10123/"),
            ("https://monitor.example/ase/West%20Europe//", "https://monitor.example/ase/West%20Europe/"),
        ] {
            assert_eq!(ExternalUrl::parse(text).map(|url| url.below("/")), Ok(first.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_may_not_stand_in_an_alert_is_refused() {
        for (text, rule) in [
            ("", "must begin with http:// or https://"),
            ("monitor.example", "must begin with http:// or https://"),
            ("ftp://monitor.example", "must begin with http:// or https://"),
            ("javascript://x/%0aalert(1)", "must begin with http:// or https://"),
            ("https://", "the name is empty"),
            ("https:///x", "the name is empty"),
            ("https://me:secret@monitor.example/", "must hold no user or password"),
            ("https://monitor.example/?key=secret", "must hold no query"),
            ("https://monitor.example/#top", "no fragment"),
            ("https://monitor.example:0", "must have a port between 1 and 65535"),
            ("https://monitor.example:+80", "must have a port between 1 and 65535"),
            ("https://monitor.example:", "must have a port between 1 and 65535"),
            ("https://[fd00::4", "must have an IPv6 address between its brackets"),
            ("https://a b/", "must have a host that is a name or an address"),
            ("https://monitor.example/a b", "must escape the character ' '"),
            ("https://monitor.example/\"x", "must escape the character '\"'"),
            ("https://monitor.example/{{x}}", "must escape the character '{'"),
            ("https://monitor.example/\u{202e}", "must escape the character"),
        ] {
            let said = ExternalUrl::parse(text).expect_err(text);
            assert!(said.contains(rule), "{text}: {said}");
        }
        assert!(ExternalUrl::parse(&format!("https://a.example/{}", "x".repeat(LONGEST))).is_err());
    }

    #[test]
    fn a_message_shows_no_secret() {
        for text in
            ["https://me:secret@a.example/", "https://a.example/?k=secret", "me:secret@a.example", "a://b#secret"]
        {
            assert!(!ExternalUrl::without_secrets(text).contains("secret"), "{text}");
        }
    }
}
