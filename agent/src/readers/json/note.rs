//! The document of a tool that looks once: its frame and its findings, as all of them have it.

use std::time::Duration;

use serde::Serialize;

use crate::readers::{VERSION, notes::Note, summary::rfc3339};

#[derive(Serialize)]
struct Document<B> {
    schema: &'static str,
    version: &'static str,
    began: String,
    #[serde(flatten)]
    body: B,
    findings: Vec<NoteEntry>,
}

/// Renders what a tool looked at, with its findings, as one document.
pub(super) fn document(schema: &'static str, began: Duration, body: impl Serialize, notes: &[Note]) -> String {
    let findings = notes.iter().map(NoteEntry::of).collect();
    let document = Document { schema, version: VERSION, began: rfc3339(began), body, findings };
    serde_json::to_string_pretty(&document).expect("plain structs with string keys serialise")
}

#[derive(Serialize)]
struct NoteEntry {
    level: &'static str,
    subject: String,
    text: String,
    mend: Option<String>,
    evidence: Vec<String>,
}

impl NoteEntry {
    fn of(note: &Note) -> Self {
        Self {
            level: note.level.label(),
            subject: note.subject.clone(),
            text: note.says.clone(),
            mend: note.mend.clone(),
            evidence: note.evidence.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::readers::notes::Level;

    #[derive(Serialize)]
    struct Body {
        exit_code: u8,
    }

    #[test]
    fn the_frame_stands_around_what_was_found() {
        let note = Note::new(Level::Fine, "clock", "it is right");
        let text = document("ase-agent/some/1", Duration::from_secs(1_800_000_000), Body { exit_code: 0 }, &[note]);
        let lines: Vec<&str> = text.lines().map(|line| line.split(':').next().unwrap_or_default().trim()).collect();
        let order = [
            "{",
            "\"schema\"",
            "\"version\"",
            "\"began\"",
            "\"exit_code\"",
            "\"findings\"",
            "{",
            "\"level\"",
            "\"subject\"",
            "\"text\"",
            "\"mend\"",
            "\"evidence\"",
            "}",
            "]",
            "}",
        ];
        assert_eq!(lines, order, "{text}");
    }
}
