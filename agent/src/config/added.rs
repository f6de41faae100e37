//! An endpoint of the operator's own: every key is used or refused.

use ase_probes::{class::Class, dns, probe::Probe, resolve::valid_name, tds, tls::Verify};

use super::{
    build::{Builder, apply, id_of},
    error::{Broken, broken},
    file::{Added, Override, TdsName, TransportName, VerifyName},
    question::{Asked, default_port, is_tls, is_web},
    written_host::{self, WrittenHost},
};
use crate::{
    config::profile::Expect,
    model::catalog::{About, Basis, Endpoint, EndpointId, Host, Severity, Workload},
};

/// An id is a label value and a word in reports, in bytes.
const MAX_ID: usize = 255;

/// The source of an endpoint that the operator added, as the catalogue names it.
pub(super) const CONFIGURATION: &str = "configuration";

impl Builder<'_> {
    /// Builds the endpoint, or names the key that is wrong.
    pub(super) fn added(&self, index: usize, added: &Added) -> Result<Endpoint, Broken> {
        self.endpoint(added).map_err(|broken| broken.below(&format!("endpoints.add[{index}]")))
    }

    fn endpoint(&self, added: &Added) -> Result<Endpoint, Broken> {
        let written = written_host::read("host", &added.host)?;
        let class = class_of(added, &written)?;
        let port = same("port", added.port, written.port)?;
        let path = same("path", added.path.clone(), written.path.clone())?;
        let added = &Added { path, ..added.clone() };
        let host = written.host;
        let port = match port.or_else(|| default_port(class)) {
            Some(0) => return broken("port", 0, "must be between 1 and 65535"),
            Some(port) => port,
            None => return broken("port", "none", "must be given for class tcp"),
        };
        if let Some((key, value)) = meaningless(added, class, port) {
            return broken(key, value, format!("has no meaning for class {class} on port {port}"));
        }
        let (probe, suffix) = match class {
            Class::Dns => self.dns_probe(added, &host)?,
            Class::Ntp | Class::Http | Class::Https | Class::Sql | Class::Monitoring | Class::Tcp => {
                (asked(added, class, &host, port).probe()?, "")
            }
        };
        let id = match &added.id {
            None => EndpointId(format!("{}{suffix}", id_of(&host, port)).into()),
            Some(id) if is_id(id) => EndpointId(id.as_str().into()),
            Some(id) => {
                return broken("id", id.escape_debug(), format!("must be 1 to {MAX_ID} visible ASCII characters"));
            }
        };
        let blank = self.blank(class, Severity::Critical);
        let target = self.target(class, host, port, probe);
        let mut endpoint = Endpoint { id, target, about: about(added), ..blank };
        apply(&mut endpoint, &added.common());
        Ok(endpoint)
    }

    fn dns_probe(&self, added: &Added, host: &Host) -> Result<(Probe, &'static str), Broken> {
        if let Host::Name(name) = host {
            return broken("host", name, "must be an address for class dns");
        }
        let name = added.question.clone().unwrap_or_else(|| self.profile.dns.question.clone());
        if let Err(rule) = valid_name(&name) {
            return broken("question", name.escape_debug(), format!("must be a name: {rule}"));
        }
        let (transport, suffix) = match added.transport {
            Some(TransportName::Tcp) => (dns::Transport::Tcp, "/tcp"),
            Some(TransportName::Udp) | None => (dns::Transport::Udp, "/udp"),
        };
        Ok((Probe::Dns(dns::Question::liveness(name, transport)), suffix))
    }
}

/// The class that the key names, or the scheme of a URL in the host's place.
fn class_of(added: &Added, written: &WrittenHost) -> Result<Class, Broken> {
    match (added.class.map(Class::from), written.class) {
        (Some(Class::Monitoring), _) => Ok(Class::Monitoring),
        (Some(class), Some(scheme)) if class != scheme => {
            broken("class", class, format!("differs from the host's, which is a URL of class {scheme}"))
        }
        (Some(class), _) | (None, Some(class)) => Ok(class),
        (None, None) => broken("class", "none", "must be given, or the host must be a URL"),
    }
}

/// What two places say that must not differ: the key, and the host.
fn same<T: PartialEq + std::fmt::Display>(key: &str, own: Option<T>, host: Option<T>) -> Result<Option<T>, Broken> {
    match (own, host) {
        (Some(own), Some(host)) if own != host => broken(key, own, format!("differs from the host's, which is {host}")),
        (own, host) => Ok(own.or(host)),
    }
}

fn asked<'a>(added: &'a Added, class: Class, host: &'a Host, port: u16) -> Asked<'a> {
    let verify = added.verify.map(|verify| match verify {
        VerifyName::Full => Verify::Full,
        VerifyName::Chain => Verify::Chain,
    });
    let flavour = match added.tds {
        Some(TdsName::Eight) => tds::Flavour::Tds8,
        Some(TdsName::Seven) | None => tds::Flavour::Tds7,
    };
    Asked { class, host, port, path: added.path.as_deref(), expect: added.expect.as_ref(), verify, flavour }
}

/// The first key that says something about a question which is not asked, and its value.
fn meaningless(added: &Added, class: Class, port: u16) -> Option<(&'static str, &str)> {
    let expect = added.expect.as_ref().map(|expect| match expect {
        Expect::Any => "any",
        Expect::Crl => "crl",
        Expect::Status(_) => "status",
        Expect::Contains(_) => "contains",
    });
    let verify = added.verify.map(|verify| match verify {
        VerifyName::Full => "full",
        VerifyName::Chain => "chain",
    });
    let tds = added.tds.map(|tds| match tds {
        TdsName::Seven => "7.x",
        TdsName::Eight => "8.0",
    });
    let transport = added.transport.map(|transport| match transport {
        TransportName::Udp => "udp",
        TransportName::Tcp => "tcp",
    });
    let keys = [
        ("path", added.path.as_deref(), is_web(class, port)),
        ("expect", expect, is_web(class, port)),
        ("verify", verify, is_tls(class, port)),
        ("tds", tds, class == Class::Sql),
        ("question", added.question.as_deref(), class == Class::Dns),
        ("transport", transport, class == Class::Dns),
    ];
    keys.into_iter().find_map(|(key, value, is_used)| value.filter(|_| !is_used).map(|value| (key, value)))
}

fn is_id(id: &str) -> bool {
    (1..=MAX_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

fn about(added: &Added) -> About {
    About {
        documented_as: None,
        successor: None,
        purpose: added.purpose.clone().unwrap_or_else(|| "configured".to_owned()),
        workload: Workload::Any,
        pack: None,
        basis: Basis::Configured,
        source: CONFIGURATION.to_owned(),
        as_of: String::new(),
        note: None,
    }
}

impl Added {
    fn common(&self) -> Override {
        Override {
            severity: self.severity,
            interval: self.interval,
            timeout: self.timeout,
            addresses: self.addresses,
            expect_address: self.expect_address,
            resolved_by: self.resolved_by,
        }
    }
}
