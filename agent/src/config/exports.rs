//! The key `exports`: which files were exported from Azure, and that each is a file which can be read.

use std::path::{Path, PathBuf};

use ase_probes::regular_file;
use ipnet::IpNet;

use super::{
    error::{Broken, Findings, broken},
    file::{ExportKeys, File, Texts},
};
use crate::{
    model::exports::{ExportFile, ExportKind, Exports, STALE_AFTER},
    net::policy,
};

/// Files under one key at most: no subnet has more groups or tables, and each is read as a whole.
const MAX_FILES: usize = 16;

/// What the key says. A relative path begins at the folder of the configuration file.
pub(super) fn exports(file: &File, folder: &Path, findings: &mut Findings) -> Option<Exports> {
    let keys = file.exports.as_ref()?;
    let mut files = Vec::new();
    let mut nets: [Vec<IpNet>; 2] = Default::default();
    for (kind, texts) in lists(keys) {
        findings.keep(countable(kind, texts));
        for text in &texts.0 {
            let named = match kind {
                ExportKind::Subnet | ExportKind::Vnet if is_prefix(text) => {
                    let prefix = policy::prefix(text).or_else(|rule| broken(&key(kind), text, rule));
                    nets[usize::from(kind == ExportKind::Vnet)].extend(findings.keep(prefix));
                    continue;
                }
                _ => ExportFile { kind, path: folder.join(text) },
            };
            if files.contains(&named) {
                findings.keep::<()>(broken(&key(kind), text, "must be named once"));
            }
            files.push(named);
        }
    }
    if !files.iter().any(|file| file.kind.ages()) {
        let rule = "must name at least one file under nsg, routes or effective";
        findings.keep::<()>(broken("exports", "no file", rule));
    }
    for (id, reason) in &keys.suppress {
        if reason.trim().is_empty() {
            let key = format!("exports.suppress.{}", id.escape_debug());
            findings.keep::<()>(broken(&key, reason, "must say why: a finding is set aside for a reason"));
        }
    }
    let [subnet, vnet] = nets;
    Some(Exports {
        files,
        subnet,
        vnet,
        group: keys.group.clone(),
        table: keys.table.clone(),
        is_internal: keys.deployment.map(|name| name.is_internal()),
        service_endpoints: keys.service_endpoints.clone(),
        suppress: keys.suppress.clone(),
        stale_after: keys.stale_after.map_or(STALE_AFTER, |human| human.0),
    })
}

/// Whether each file is there and is one: what is in it may change at any time, and is judged when it is read.
pub(super) fn check_files(file: &File, folder: &Path, findings: &mut Findings) {
    let Some(keys) = &file.exports else { return };
    for (kind, texts) in lists(keys) {
        let is_range = |text: &str| matches!(kind, ExportKind::Subnet | ExportKind::Vnet) && is_prefix(text);
        for text in texts.0.iter().filter(|text| !is_range(text)) {
            findings.keep(readable(&folder.join(text)).or_else(|rule| broken(&key(kind), text, rule)));
        }
    }
}

/// The folder that relative paths begin at.
pub(super) fn folder_of(origin: &str) -> PathBuf {
    Path::new(origin).parent().map(Path::to_owned).unwrap_or_default()
}

fn key(kind: ExportKind) -> String {
    format!("exports.{}", kind.label())
}

fn lists(keys: &ExportKeys) -> impl Iterator<Item = (ExportKind, &Texts)> {
    let of = |kind| match kind {
        ExportKind::Nsg => &keys.nsg,
        ExportKind::Routes => &keys.routes,
        ExportKind::Effective => &keys.effective,
        ExportKind::Subnet => &keys.subnet,
        ExportKind::Vnet => &keys.vnet,
        ExportKind::Tags => &keys.tags,
    };
    ExportKind::ALL.into_iter().filter_map(move |kind| Some((kind, of(kind).as_ref()?)))
}

fn countable(kind: ExportKind, texts: &Texts) -> Result<(), Broken> {
    match texts.0.len() {
        0 => broken(&key(kind), "[]", "must name at least one file, or be left out"),
        many if many > MAX_FILES => broken(&key(kind), many, format!("must be at most {MAX_FILES} files")),
        many if many > 1 && kind == ExportKind::Tags => broken(&key(kind), many, "must be one file"),
        _ => Ok(()),
    }
}

/// Whether a text is meant as a prefix and not as a file: it has nothing but what addresses are written with.
fn is_prefix(text: &str) -> bool {
    let (address, _) = text.split_once('/').unwrap_or((text, ""));
    let of_address = |c: char| c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '/');
    text.chars().all(of_address) && address.contains(['.', ':']) && address.starts_with(|c: char| c != '.')
}

/// Only a regular file has an end and can be read again: a pipe would be waited for.
fn readable(path: &Path) -> Result<(), String> {
    regular_file::open(path).map(drop).map_err(|error| match error {
        missing if missing.is_missing() => "is not there".to_owned(),
        other => other.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::source;

    /// What is said of a key's value, in a folder with a file, a folder and a pipe.
    fn said(value: &str) -> Result<Exports, String> {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("nsg.json"), "{}").expect("it is written");
        fs::create_dir(folder.path().join("folder")).expect("it is made");
        let text = format!("exports: {value}\n");
        let source = source::parse("f.yaml", &text, &|_| None).map_err(|error| error.to_string())?;
        let mut findings = Findings::default();
        let read = exports(&source.file, folder.path(), &mut findings);
        check_files(&source.file, folder.path(), &mut findings);
        match read.filter(|_| findings.0.is_empty() && source.mistakes.is_empty()) {
            Some(exports) => Ok(exports),
            None => Err(source.error(findings.0).to_string().replace(&folder.path().display().to_string(), "FOLDER")),
        }
    }

    #[test]
    fn one_file_or_several_and_prefixes_where_a_file_says_none() {
        let one = said("{nsg: nsg.json}").expect("it is good");
        assert_eq!((one.files.len(), one.files[0].kind, one.stale_after), (1, ExportKind::Nsg, STALE_AFTER));
        assert!(one.files[0].path.is_absolute(), "it begins at the folder of the configuration");
        let text = "{nsg: [nsg.json], subnet: 10.1.0.0/24, vnet: [10.1.0.0/16, 'fd00:1::/48'], deployment: ilb, \
            stale_after: 2h, suppress: {default_only: known}}";
        let more = said(text).expect("it is good");
        assert_eq!((more.subnet.len(), more.vnet.len(), more.is_internal), (1, 2, Some(true)));
        assert_eq!((more.stale_after.as_secs(), more.suppress.len()), (7200, 1));
    }

    #[test]
    fn what_is_wrong_is_named_with_file_key_value_and_rule() {
        for (value, words) in [
            ("{subnet: 10.1.0.0/24}", "exports (no file) must name at least one file under nsg, routes or effective"),
            ("{nsg: []}", "exports.nsg ([]) must name at least one file, or be left out"),
            ("{nsg: [gone.json]}", "f.yaml:1:17: exports.nsg (gone.json) is not there"),
            ("{nsg: nsg.json, routes: folder}", "exports.routes (folder) must be a file, and is a directory"),
            ("{nsg: /dev/null}", "exports.nsg (/dev/null) must be a regular file, and is a pipe, socket or device"),
            ("{nsg: [nsg.json, nsg.json]}", "exports.nsg (nsg.json) must be named once"),
            ("{nsg: nsg.json, subnet: 10.1.0.9/24}", "exports.subnet (10.1.0.9/24) must have no host bits set"),
            ("{nsg: nsg.json, tags: [nsg.json, nsg.json]}", "exports.tags (2) must be one file"),
            ("{nsgs: nsg.json}", "unknown key `nsgs`, did you mean `nsg`?"),
            ("{nsg: nsg.json, suppress: {lb_cut: ' '}}", "exports.suppress.lb_cut ( ) must say why"),
            ("{nsg: nsg.json, stale_after: soon}", "duration (soon) must be a number with a unit"),
            ("{nsg: {a: b}}", "must be a text or a list of texts"),
        ] {
            let error = said(value).expect_err(value);
            assert!(error.contains(words), "{value}: {error}");
        }
    }
}
