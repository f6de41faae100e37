//! Exported files on the disk: how much of one is read at most, whether it holds what its key says, and by what it is known
//! to have changed.

use std::{fs, os::unix::fs::MetadataExt, path::Path, time::Duration};

use ase_probes::regular_file::{self, FileError};

use crate::{
    lint::read::Export,
    model::exports::{ExportFile, ExportKind},
};

/// Larger files are refused, in bytes: all service tags of Azure are 4 MB, and an agent under 256 MB reads them.
const LARGEST_FILE: u64 = 8 << 20;

/// By what a file is known to be another one than before: a new one in its place, or a new content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Print(Option<(u64, u64, i64, i64)>);

impl Print {
    /// Of a file as it is now; one that is not there has none.
    pub fn of(path: &Path) -> Self {
        Self(fs::metadata(path).ok().map(|about| (about.ino(), about.size(), about.mtime(), about.mtime_nsec())))
    }
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRead {
    /// Which.
    pub file: ExportFile,
    /// When it was written, since the Unix epoch: an export says nowhere when it was made.
    pub written: Duration,
}

/// Reads files in turn into one export.
///
/// # Errors
/// What is wrong with each that cannot be taken: key, file and rule.
pub fn read(files: &[ExportFile]) -> Result<(Export, Vec<FileRead>), Vec<String>> {
    let (mut export, mut taken, mut wrong) = (Export::default(), Vec::new(), Vec::new());
    for file in files {
        match one(&mut export, file) {
            Ok(written) => taken.push(FileRead { file: file.clone(), written }),
            Err(rule) => wrong.push(format!("exports.{} ({}) {rule}", file.kind.label(), file.path.display())),
        }
    }
    if wrong.is_empty() { Ok((export, taken)) } else { Err(wrong) }
}

fn one(export: &mut Export, file: &ExportFile) -> Result<Duration, String> {
    let words = |error: FileError| match error {
        FileError::Large { .. } => format!("must be at most {} MB", LARGEST_FILE >> 20),
        other => other.to_string(),
    };
    let mut opened = regular_file::open(&file.path).map_err(words)?;
    let about = opened.metadata().map_err(|error| words(error.into()))?;
    let bytes = regular_file::read_from(&mut opened, LARGEST_FILE).map_err(words)?;
    if bytes.is_empty() {
        return Err("is empty: the command that writes it failed, or is not done".to_owned());
    }
    take(export, file, &bytes)?;
    let nanos = u32::try_from(about.mtime_nsec()).unwrap_or_default();
    Ok(Duration::new(u64::try_from(about.mtime()).unwrap_or_default(), nanos))
}

/// Takes in what a file holds, if that is what its key says.
fn take(export: &mut Export, file: &ExportFile, bytes: &[u8]) -> Result<(), String> {
    let name = file.path.display().to_string();
    // The reader's words begin with the file, which stands before them already.
    let words = |error: &dyn std::fmt::Display| {
        let words = error.to_string();
        let rest = words.strip_prefix(&format!("{name}: ")).unwrap_or(&words);
        format!("cannot be judged: {rest}")
    };
    let mut own = Export::default();
    own.read(&name, bytes).map_err(|error| words(&error))?;
    let shape = own.kinds.last().map_or("nothing", |(_, shape)| *shape);
    if !fits(file.kind, shape) {
        let hint = ExportKind::ALL.into_iter().find(|kind| fits(*kind, shape));
        let hint =
            hint.map_or_else(|| "it is of no use here".to_owned(), |kind| format!("it belongs under {}", kind.label()));
        return Err(format!("holds something else ({shape}): {hint}"));
    }
    add(export, own);
    Ok(())
}

/// Whether a file of this shape may stand under a key; templates and plans hold all but service tags.
fn fits(kind: ExportKind, shape: &str) -> bool {
    let is_whole = matches!(shape, "ARM template" | "Terraform plan or state");
    match kind {
        ExportKind::Nsg => {
            is_whole
                || matches!(shape, "network security group" | "list of security rules" | "effective security rules")
        }
        ExportKind::Routes => is_whole || matches!(shape, "route table" | "list of routes" | "effective routes"),
        ExportKind::Effective => matches!(shape, "effective security rules" | "effective routes"),
        ExportKind::Subnet | ExportKind::Vnet => is_whole || matches!(shape, "subnet" | "virtual network"),
        ExportKind::Tags => shape == "service tags",
    }
}

fn add(export: &mut Export, own: Export) {
    let Export { groups, tables, subnets, network, book, inbound, app_ports, problems, unresolved, notes, kinds } = own;
    export.groups.extend(groups);
    export.tables.extend(tables);
    export.subnets.extend(subnets);
    export.network.extend(network);
    export.book = book.or(export.book.take());
    export.inbound.extend(inbound);
    export.app_ports.extend(app_ports);
    export.problems.extend(problems);
    export.unresolved.extend(unresolved);
    export.notes.extend(notes);
    export.kinds.extend(kinds);
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: &str = r#"{"name": "ase-nsg", "securityRules": []}"#;
    const TABLE: &str = r#"{"name": "ase-routes", "routes": []}"#;

    fn said(kind: ExportKind, bytes: &[u8]) -> Result<usize, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("export.json");
        fs::write(&path, bytes).expect("it is written");
        let read = read(&[ExportFile { kind, path: path.clone() }]);
        read.map(|(export, _)| export.groups.len() + export.tables.len())
            .map_err(|wrong| wrong.join("; ").replace(&path.display().to_string(), "FILE"))
    }

    #[test]
    fn a_file_is_taken_where_it_holds_what_its_key_says() {
        assert_eq!(said(ExportKind::Nsg, GROUP.as_bytes()), Ok(1));
        assert_eq!(said(ExportKind::Routes, TABLE.as_bytes()), Ok(1));
        for (kind, bytes, words) in [
            (
                ExportKind::Nsg,
                TABLE.as_bytes(),
                "exports.nsg (FILE) holds something else (route table): it belongs under routes",
            ),
            (ExportKind::Nsg, b"", "exports.nsg (FILE) is empty"),
            (ExportKind::Nsg, b"{\"name\": ", "exports.nsg (FILE) cannot be judged: no JSON: "),
            (ExportKind::Nsg, b"\xff\x01\x02", "exports.nsg (FILE) cannot be judged: neither UTF-8 nor UTF-16"),
            (ExportKind::Tags, GROUP.as_bytes(), "holds something else (network security group): it belongs under nsg"),
            (ExportKind::Effective, GROUP.as_bytes(), "it belongs under nsg"),
        ] {
            let error = said(kind, bytes).expect_err(words);
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn no_more_is_read_than_an_export_has_and_what_is_no_file_is_not_opened() {
        let large = vec![b' '; usize::try_from(LARGEST_FILE).expect("it fits") + 1];
        assert!(said(ExportKind::Nsg, &large).is_err_and(|error| error.ends_with("must be at most 8 MB")));
        for path in ["/dev/zero", "/proc", "/nowhere"] {
            let wrong = read(&[ExportFile { kind: ExportKind::Nsg, path: path.into() }]).expect_err(path);
            assert!(wrong[0].starts_with(&format!("exports.nsg ({path}) ")), "{wrong:?}");
        }
    }

    #[test]
    fn a_new_file_in_the_place_of_another_is_known_by_its_print() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, next) = (folder.path().join("nsg.json"), folder.path().join("next.json"));
        assert_eq!(Print::of(&path), Print(None));
        fs::write(&path, GROUP).expect("it is written");
        let before = Print::of(&path);
        assert_eq!(before, Print::of(&path));
        fs::write(&next, GROUP).expect("it is written");
        fs::rename(&next, &path).expect("it is moved");
        assert_ne!(before, Print::of(&path));
    }
}
