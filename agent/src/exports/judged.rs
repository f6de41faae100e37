//! Exports as they were judged last: what the lint says of them, and the rules and routes ready to be asked about flows.

use std::{net::IpAddr, time::Duration};

use ase_probes::class::Class;

use crate::{
    exports::disk::FileRead,
    lint::{
        finding::{Finding, Report, Severity},
        judge::{Deployment, Question, judge, passage::Fabric},
        read::Export,
        requirements::{Peer, Profile, Requirement},
    },
    model::{
        catalog::{Basis, Catalog, Host},
        exports::Exports,
    },
};

use super::threats;

/// Exports, judged.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The files.
    pub files: Vec<FileRead>,
    /// What the lint says.
    pub report: Report,
    /// The rules and routes.
    pub fabric: Fabric,
    /// By which profile.
    pub profile: String,
    /// Whether the platform suspends what the profile is for.
    pub suspends: bool,
}

/// Judges what was read. `stands` is the address that this agent's packets leave from.
pub fn judged(exports: &Exports, catalog: &Catalog, read: (Export, Vec<FileRead>), stands: Option<IpAddr>) -> Judged {
    let (export, files) = read;
    let profile = Profile::named(&catalog.profile).or_else(|| Profile::named("custom"));
    let profile = profile.expect("the profile custom is embedded, as a test of the lint shows");
    let name = profile.name.clone();
    let question = Question {
        profile,
        cloud: catalog.cloud.clone(),
        subnet: exports.subnet.clone(),
        vnet: exports.vnet.clone(),
        service_endpoints: exports.service_endpoints.clone(),
        deployment: exports.is_internal.map(|is| if is { Deployment::Ilb } else { Deployment::External }),
        app_ports: Vec::new(),
        group: exports.group.clone(),
        table: exports.table.clone(),
        needs: needs(catalog),
        suppress: exports.suppress.iter().map(|(id, reason)| (id.clone(), reason.clone())).collect(),
    };
    let report = judge(&question, &export);
    let (fabric, suspends) = (Fabric::new(&question, &export, stands), catalog.stakes.suspends);
    Judged { files, report, fabric, profile: name, suspends }
}

/// What the endpoints that a configuration adds need; those of its profile are required by the profile itself.
pub fn needs(catalog: &Catalog) -> Vec<Requirement> {
    let configured = catalog.endpoints.iter().filter(|endpoint| endpoint.about.basis == Basis::Configured);
    configured
        .map(|endpoint| {
            let peer = match &endpoint.target.host {
                Host::Address(address) => Peer::Nets(vec![(*address).into()]),
                Host::Name(_) => Peer::Somewhere,
            };
            let by_datagram = matches!(endpoint.class, Class::Ntp | Class::Dns);
            Requirement::of_endpoint(format!("app-{}", endpoint.id), by_datagram, endpoint.target.port, peer)
        })
        .collect()
}

impl Judged {
    /// When the oldest file with rules or routes was written, since the Unix epoch.
    pub fn written(&self) -> Option<Duration> {
        self.files.iter().filter(|read| read.file.kind.ages()).map(|read| read.written).min()
    }

    /// How many findings there are of a severity, without those that are set aside.
    pub fn count(&self, severity: Severity) -> usize {
        self.report.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// The findings for which environments are suspended; none where nothing is ever suspended.
    pub fn threats(&self) -> impl Iterator<Item = &Finding> {
        threats::of(&self.report).filter(|_| self.suspends)
    }
}
