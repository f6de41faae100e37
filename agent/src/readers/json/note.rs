//! A finding of a tool that looks once, as the documents of all of them have it.

use serde::Serialize;

use crate::readers::notes::Note;

#[derive(Serialize)]
pub(super) struct NoteEntry {
    level: &'static str,
    subject: String,
    text: String,
    mend: Option<String>,
    evidence: Vec<String>,
}

impl NoteEntry {
    pub(super) fn of(note: &Note) -> Self {
        Self {
            level: note.level.label(),
            subject: note.subject.clone(),
            text: note.says.clone(),
            mend: note.mend.clone(),
            evidence: note.evidence.clone(),
        }
    }
}
