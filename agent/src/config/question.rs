//! The question that proves an endpoint, by class and port, and what each class does unless told otherwise.

use std::time::Duration;

use ase_probes::{class::Class, http, ntp, probe::Probe, tcp, tds, tls::Verify};

use super::error::{Broken, broken};
use crate::{
    config::profile::{ClassName, Expect},
    model::{catalog::Host, politeness::TIME_SERVER_REST},
};

/// Time a peer gets to speak first where the accept is all that can be had.
const GREETING: Duration = Duration::from_millis(300);

/// What a probe is built from, wherever it was written down.
pub(super) struct Asked<'a> {
    pub(super) class: Class,
    pub(super) host: &'a Host,
    pub(super) port: u16,
    pub(super) path: Option<&'a str>,
    pub(super) expect: Option<&'a Expect>,
    pub(super) verify: Option<Verify>,
    pub(super) flavour: tds::Flavour,
}

impl<'a> Asked<'a> {
    pub(super) fn plain(class: Class, host: &'a Host, port: u16) -> Self {
        Self { class, host, port, path: None, expect: None, verify: None, flavour: tds::Flavour::Tds7 }
    }

    pub(super) fn probe(&self) -> Result<Probe, Broken> {
        Ok(match (self.class, self.port) {
            (Class::Http, _) | (Class::Monitoring, 80) => self.web(http::Scheme::Http)?,
            (Class::Https, _) | (Class::Monitoring, 443) => self.web(http::Scheme::Https(self.verify()))?,
            (Class::Sql, _) => Probe::Tds(tds::Question { host: self.host.to_string(), flavour: self.flavour }),
            (Class::Ntp, _) => Probe::Ntp(ntp::Question),
            (Class::Monitoring | Class::Tcp | Class::Dns, _) => Probe::Tcp(tcp::Question { listen: GREETING }),
        })
    }

    /// A peer known by address alone has no name to verify.
    fn verify(&self) -> Verify {
        self.verify.unwrap_or(match self.host {
            Host::Name(_) => Verify::Full,
            Host::Address(_) => Verify::Chain,
        })
    }

    fn web(&self, scheme: http::Scheme) -> Result<Probe, Broken> {
        let path = self.path.unwrap_or("/");
        if !path.starts_with('/') || path.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return broken("path", path, "must start with a slash and hold no blanks");
        }
        let proof = match self.expect {
            None | Some(Expect::Any) => http::Proof::AnyResponse,
            Some(Expect::Crl) => http::Proof::Crl,
            Some(Expect::Contains(text)) if text.is_empty() => {
                return broken("expect.contains", "\"\"", "must not be empty: every answer would hold it");
            }
            Some(Expect::Contains(text)) => http::Proof::Contains(text.clone()),
            Some(Expect::Status(codes)) if codes.is_empty() => {
                return broken("expect.status", "[]", "must name at least one status");
            }
            Some(Expect::Status(codes)) => match codes.iter().find(|code| !(200..600).contains(*code)) {
                Some(code) => return broken("expect.status", code, "must be between 200 and 599"),
                None => http::Proof::Status(codes.clone()),
            },
        };
        let (host, path, session) = (self.host.to_string(), path.to_owned(), http::Session::default());
        Ok(Probe::Http(http::Question { scheme, host, port: self.port, path, proof, session }))
    }
}

/// Whether an HTTP question is asked, with or without TLS.
pub(super) fn is_web(class: Class, port: u16) -> bool {
    matches!((class, port), (Class::Http | Class::Https, _) | (Class::Monitoring, 80 | 443))
}

/// Whether an HTTPS question is asked.
pub(super) fn is_tls(class: Class, port: u16) -> bool {
    matches!((class, port), (Class::Https, _) | (Class::Monitoring, 443))
}

pub(super) fn default_port(class: Class) -> Option<u16> {
    match class {
        Class::Dns => Some(53),
        Class::Ntp => Some(123),
        Class::Http => Some(80),
        Class::Https => Some(443),
        Class::Sql => Some(1433),
        Class::Monitoring => Some(12000),
        Class::Tcp => None,
    }
}

pub(super) fn default_interval(class: Class) -> Duration {
    match class {
        Class::Ntp => TIME_SERVER_REST,
        Class::Dns | Class::Http | Class::Https | Class::Sql | Class::Monitoring | Class::Tcp => {
            Duration::from_secs(30)
        }
    }
}

/// Five seconds give a lost SYN three tries on every kernel; a name server gets two of them before the probe.
pub(super) fn default_timeout(class: Class) -> Duration {
    match class {
        Class::Dns | Class::Ntp => Duration::from_secs(3),
        Class::Http | Class::Https | Class::Sql | Class::Monitoring | Class::Tcp => Duration::from_secs(7),
    }
}

pub(super) fn class_name(class: Class) -> ClassName {
    match class {
        Class::Dns => ClassName::Dns,
        Class::Ntp => ClassName::Ntp,
        Class::Http => ClassName::Http,
        Class::Https => ClassName::Https,
        Class::Sql => ClassName::Sql,
        Class::Monitoring => ClassName::Monitoring,
        Class::Tcp => ClassName::Tcp,
    }
}
