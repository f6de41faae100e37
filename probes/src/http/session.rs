//! What the answers of one visit leave behind for its next question: cookies (RFC 6265), and whether HTTP/2 was refused.

use std::fmt;

use http::{HeaderMap, header};
use url::Host;

use super::{Question, Scheme};

/// Cookies that a visit keeps: what RFC 6265 section 6.1 asks of any client for one domain.
const COOKIES: usize = 50;
/// Bytes of one cookie with its attributes (RFC 6265 section 6.1).
const COOKIE_LIMIT: usize = 4096;
/// Bytes of a Cookie header: the line that Apache and nginx take at most.
const HEADER_LIMIT: usize = 8 * 1024;

/// What earlier answers of the same visit left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// Whether the peer refused HTTP/2 (RFC 9113 section 7, `HTTP_1_1_REQUIRED`).
    pub http1_only: bool,
    cookies: Cookies,
}

/// A jar of cookies. Their values are secrets of the peers, and shown to nobody.
#[derive(Clone, Default, PartialEq, Eq)]
struct Cookies(Vec<Cookie>);

#[derive(Clone, PartialEq, Eq)]
struct Cookie {
    name: String,
    value: String,
    /// The host that set it, or the domain that it is for.
    domain: String,
    is_for_subdomains: bool,
    path: String,
    is_secure: bool,
}

impl fmt::Debug for Cookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cookies", self.0.len())
    }
}

/// The Set-Cookie lines of a redirect, as far as a visit keeps them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SetCookies(Vec<String>);

impl fmt::Debug for SetCookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} lines", self.0.len())
    }
}

impl SetCookies {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let lines = headers.get_all(header::SET_COOKIE).into_iter();
        let lines = lines.filter_map(|value| std::str::from_utf8(value.as_bytes()).ok());
        Self(lines.filter(|line| line.len() <= COOKIE_LIMIT).take(COOKIES).map(str::to_owned).collect())
    }
}

impl Session {
    /// The same after an answer to `question` that had these Set-Cookie lines.
    pub(super) fn after(&self, question: &Question, lines: &SetCookies) -> Self {
        let mut session = self.clone();
        for line in &lines.0 {
            session.cookies.set(question, line);
        }
        session
    }

    /// The Cookie header for a question; `None` where no cookie is meant for it.
    pub(super) fn cookie_header(&self, question: &Question) -> Option<String> {
        let mut sent: Vec<&Cookie> = self.cookies.0.iter().filter(|cookie| cookie.is_for(question)).collect();
        sent.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let mut header = String::new();
        for cookie in sent {
            let separator = if header.is_empty() { "" } else { "; " };
            let pair = format!("{separator}{}={}", cookie.name, cookie.value);
            if header.len() + pair.len() <= HEADER_LIMIT {
                header += &pair;
            }
        }
        (!header.is_empty()).then_some(header)
    }
}

impl Cookies {
    fn set(&mut self, question: &Question, line: &str) {
        let Some((cookie, is_over)) = Cookie::read(question, line) else { return };
        self.0.retain(|other| !other.is_same(&cookie));
        if !is_over && self.0.len() < COOKIES {
            self.0.push(cookie);
        }
    }
}

impl Cookie {
    /// Reads a Set-Cookie line (RFC 6265 section 5.2): the cookie, and whether it is over already; `None` where the one who
    /// sent it may not set it.
    fn read(question: &Question, line: &str) -> Option<(Self, bool)> {
        let mut parts = line.split(';').map(str::trim);
        let (name, value) = parts.next()?.split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || !line.bytes().all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f)) {
            return None;
        }
        let mut cookie = Self {
            name: name.to_owned(),
            value: value.to_owned(),
            domain: question.host.to_ascii_lowercase(),
            is_for_subdomains: false,
            path: default_path(&question.path).to_owned(),
            is_secure: false,
        };
        let (mut max_age, mut expires) = (None, None);
        for part in parts {
            let (key, value) = part.split_once('=').map_or((part, ""), |(key, value)| (key.trim(), value.trim()));
            match key.to_ascii_lowercase().as_str() {
                "domain" => cookie.widen(value)?,
                "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
                "secure" => cookie.is_secure = true,
                "max-age" => max_age = value.parse::<i64>().ok(),
                "expires" => expires = httpdate::parse_http_date(&value.replace('-', " ")).ok(),
                _ => {}
            }
        }
        if cookie.is_secure && question.scheme == Scheme::Http {
            return None;
        }
        // Servers delete a cookie by a date long ago; one that ends later than that outlives the visit.
        let is_over = match max_age {
            Some(seconds) => seconds <= 0,
            None => expires.is_some_and(|date| date < std::time::UNIX_EPOCH + crate::clock::wall()),
        };
        Some((cookie, is_over))
    }

    /// Makes it a cookie of a whole domain, if its host belongs to that; `None` otherwise. A top-level domain is nobody's.
    fn widen(&mut self, domain: &str) -> Option<()> {
        let domain = domain.trim_start_matches('.').to_ascii_lowercase();
        if domain.is_empty() || domain == self.domain {
            self.is_for_subdomains = !domain.is_empty();
            return Some(());
        }
        let is_name = matches!(Host::parse(&self.domain), Ok(Host::Domain(_)));
        if !is_name || !domain.contains('.') || !is_below(&self.domain, &domain) {
            return None;
        }
        (self.domain, self.is_for_subdomains) = (domain, true);
        Some(())
    }

    fn is_same(&self, other: &Self) -> bool {
        (&self.name, &self.domain, &self.path) == (&other.name, &other.domain, &other.path)
    }

    fn is_for(&self, question: &Question) -> bool {
        let host = question.host.to_ascii_lowercase();
        let is_host = host == self.domain || (self.is_for_subdomains && is_below(&host, &self.domain));
        let is_safe = !self.is_secure || question.scheme != Scheme::Http;
        is_host && is_safe && is_path(question.path.split('?').next().unwrap_or("/"), &self.path)
    }
}

fn is_below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|front| front.ends_with('.'))
}

/// The folder of the path that was asked for (RFC 6265 section 5.1.4).
fn default_path(path: &str) -> &str {
    let path = path.split('?').next().unwrap_or("/");
    match path.rsplit_once('/') {
        Some((folder, _)) if !folder.is_empty() => folder,
        Some(_) | None => "/",
    }
}

/// RFC 6265 section 5.1.4: the path itself, or a part below it.
fn is_path(path: &str, of: &str) -> bool {
    path.strip_prefix(of).is_some_and(|rest| rest.is_empty() || of.ends_with('/') || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{http::Proof, tls::Verify};

    const SECURE: Scheme = Scheme::Https(Verify::Full);

    fn question(scheme: Scheme, host: &str, path: &str) -> Question {
        let (host, path) = (host.to_owned(), path.to_owned());
        Question { scheme, host, port: 80, path, proof: Proof::AnyResponse, session: Session::default() }
    }

    /// What is sent to a question after these lines came from `https://a.corp.example/in/page`.
    fn sent(lines: &[&str], to: &Question) -> Option<String> {
        let lines = SetCookies(lines.iter().map(ToString::to_string).collect());
        let asked = question(SECURE, "A.corp.example", "/in/page?x=/y");
        Session::default().after(&asked, &lines).cookie_header(to)
    }

    #[test]
    fn cookies_go_back_to_whom_they_are_for() {
        let here = question(SECURE, "a.corp.example", "/in/other");
        for (line, host, path, is_sent) in [
            ("s=1", "a.corp.example", "/in/other", true),
            ("s=1", "A.CORP.example", "/in", true),
            ("s=1", "a.corp.example", "/inside", false),
            ("s=1", "a.corp.example", "/", false),
            ("s=1; Path=/", "a.corp.example", "/?q", true),
            ("s=1; path=relative", "a.corp.example", "/in/x", true),
            ("s=1; path=/", "b.corp.example", "/", false),
            ("s=1; path=/; domain=corp.example", "b.corp.example", "/", true),
            ("s=1; path=/; DOMAIN=.Corp.Example", "corp.example", "/", true),
            ("s=1; path=/; domain=example", "b.example", "/", false),
            ("s=1; path=/; domain=b.corp.example", "b.corp.example", "/", false),
            ("s=1; path=/; domain=orp.example", "a.corp.example", "/", false),
            ("=1; path=/", "a.corp.example", "/", false),
            ("lonely; path=/", "a.corp.example", "/", false),
        ] {
            let got = sent(&[line], &question(SECURE, host, path));
            assert_eq!(got.as_deref(), is_sent.then_some("s=1"), "{line} to {host}{path}");
        }
        assert_eq!(sent(&["a=1; path=/", "b=2", "a=3; path=/"], &here).as_deref(), Some("b=2; a=3"));
        assert_eq!(sent(&["empty="], &here).as_deref(), Some("empty="));
    }

    #[test]
    fn a_cookie_ends_when_its_server_says_so_and_a_secure_one_never_travels_in_clear() {
        let there = question(SECURE, "a.corp.example", "/in/x");
        let gone = ["s=; Max-Age=0", "s=; max-age=-1", "s=; Expires=Thu, 01-Jan-1970 00:00:00 GMT"];
        for over in gone {
            assert_eq!(sent(&["s=1", over], &there), None, "{over}");
        }
        assert_eq!(sent(&["s=1; Expires=Fri, 01 Jan 2100 00:00:00 GMT"], &there).as_deref(), Some("s=1"));
        assert_eq!(sent(&["s=1; Max-Age=9; Expires=Thu, 01 Jan 1970 00:00:00 GMT"], &there).as_deref(), Some("s=1"));
        let clear = question(Scheme::Http, "a.corp.example", "/in/x");
        assert_eq!(sent(&["s=1; Secure"], &clear), None);
        assert_eq!(sent(&["s=1; secure"], &there).as_deref(), Some("s=1"));
        let set_in_clear = Session::default().after(&clear, &SetCookies(vec!["s=1; Secure".to_owned()]));
        assert_eq!(set_in_clear.cookie_header(&there), None);
    }

    #[test]
    fn a_jar_is_bounded_and_tells_nobody_what_is_in_it() {
        let lines = SetCookies((0..200).map(|number| format!("c{number}={}", "v".repeat(400))).collect());
        let asked = question(Scheme::Http, "a.example", "/");
        let session = Session::default().after(&asked, &lines);
        let header = session.cookie_header(&asked).expect("some fit");
        assert!(header.len() <= HEADER_LIMIT && session.cookies.0.len() == COOKIES, "{}", header.len());
        assert!(!format!("{session:?}").contains("vvv"), "{session:?}");
    }
}
