//! Exported rules of the sample: SQL is denied, and the platform's way in is not open.

use super::*;
use crate::{
    exports::{
        disk::FileRead,
        judged::{Judged, judged},
        view::{ExportsView, Joined, Now, Reading},
    },
    lint::read::Export,
    model::exports::{ExportFile, ExportKind, Exports, STALE_AFTER},
};

/// The group of the sample.
const GROUP: &str = r#"{"name": "ase-nsg", "securityRules": [
    {"name": "DenySql", "priority": 4000, "direction": "Outbound", "access": "Deny", "protocol": "Tcp",
     "sourceAddressPrefix": "*", "sourcePortRange": "*", "destinationAddressPrefix": "*", "destinationPortRange": "1433"}]}"#;

/// The keys of the sample.
pub(crate) fn keys() -> Exports {
    Exports {
        files: vec![ExportFile { kind: ExportKind::Nsg, path: "/etc/ase-agent/nsg.json".into() }],
        subnet: vec!["10.0.1.0/24".parse().expect("a prefix")],
        vnet: vec!["10.0.0.0/16".parse().expect("a prefix")],
        group: None,
        table: None,
        is_internal: Some(true),
        service_endpoints: None,
        suppress: BTreeMap::new(),
        stale_after: STALE_AFTER,
    }
}

/// These files, judged as written at this time; each is of the kind that its key says.
pub(crate) fn judge(keys: &Exports, catalog: &Catalog, texts: &[&str], written: Duration) -> Judged {
    let mut export = Export::default();
    for text in texts {
        export.read("export.json", text.as_bytes()).expect("it is an export");
    }
    let files = keys.files.iter().map(|file| FileRead { file: file.clone(), written }).collect();
    judged(keys, catalog, (export, files), Some(address("10.0.1.4")))
}

/// The exports of a snapshot whose endpoints and incidents stand already.
pub(super) fn view(snapshot: &Snapshot) -> ExportsView {
    let (keys, written) = (keys(), AT - Duration::from_secs(7200));
    let judged = Some(Arc::new(judge(&keys, &snapshot.catalog, &[GROUP], written)));
    let reading = Reading { judged, wrong: Vec::new() };
    let (open, views) = (&*snapshot.incidents.open, &*snapshot.endpoints);
    let now = Now { open, views, source: Some(address("10.0.1.4")), at: AT, is_single_look: false };
    Joined::default().view(&reading, &keys, now)
}
