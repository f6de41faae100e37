//! Findings of a tool that looks once, in one layout for all of them: how bad, about what, what it is, how to mend it. It fits 80
//! columns, and what others wrote into it cannot command a terminal.

use std::fmt::Write;

/// Columns of a line.
const WIDTH: usize = 80;
/// Columns of the word for how bad it is, and of what it is about; a longer subject takes a line of its own.
const LEVEL: usize = 10;
const SUBJECT: usize = 16;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing to do.
    Fine,
    /// It could not be judged.
    Unknown,
    /// Worth a look.
    Warning,
    /// Something does not work.
    Critical,
}

impl Level {
    /// The word for it, also in documents.
    pub fn label(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// How bad it is.
    pub level: Level,
    /// What it is about, in a word or a name.
    pub subject: String,
    /// What it is, in a sentence.
    pub says: String,
    /// How to mend it; `None` where there is nothing to mend.
    pub mend: Option<String>,
    /// What it rests on, one line each.
    pub evidence: Vec<String>,
}

impl Note {
    /// A finding of which nothing more is to be said.
    pub fn new(level: Level, subject: impl Into<String>, says: impl Into<String>) -> Self {
        Self { level, subject: subject.into(), says: says.into(), mend: None, evidence: Vec::new() }
    }

    /// The same with a way to mend it.
    #[must_use]
    pub fn mended(self, by: impl Into<String>) -> Self {
        Self { mend: Some(by.into()), ..self }
    }

    /// The same with what it rests on.
    #[must_use]
    pub fn resting_on(self, evidence: Vec<String>) -> Self {
        Self { evidence, ..self }
    }
}

/// The exit code of several findings: 1 something is critical, 2 worth a look, 3 something could not be judged, else 0.
pub fn exit_code(notes: &[Note]) -> u8 {
    match notes.iter().map(|note| note.level).max().unwrap_or(Level::Unknown) {
        Level::Fine => 0,
        Level::Unknown => 3,
        Level::Warning => 2,
        Level::Critical => 1,
    }
}

/// Renders findings in their order, each below the one before.
pub fn render(notes: &[Note]) -> String {
    let mut text = String::new();
    for note in notes {
        write_note(&mut text, note);
    }
    text
}

fn write_note(text: &mut String, note: &Note) {
    let (subject, indent) = (shown(&note.subject), LEVEL + SUBJECT);
    let length = subject.chars().count();
    let lines = wrapped(&subject, WIDTH - LEVEL).join(&format!("\n{:LEVEL$}", ""));
    _ = write!(text, "{:<LEVEL$}{lines}", note.level.label());
    if length >= SUBJECT {
        _ = write!(text, "\n{:indent$}", "");
    } else {
        _ = write!(text, "{:1$}", "", SUBJECT - length);
    }
    write_wrapped(text, "", &note.says);
    note.evidence.iter().for_each(|line| write_again(text, "- ", line));
    note.mend.iter().for_each(|mend| write_again(text, "mend: ", mend));
}

fn write_again(text: &mut String, sign: &str, words: &str) {
    _ = write!(text, "{:1$}", "", LEVEL + SUBJECT);
    write_wrapped(text, sign, words);
}

/// Writes words from the third column on; further lines begin below the first word.
fn write_wrapped(text: &mut String, sign: &str, words: &str) {
    let indent = LEVEL + SUBJECT + sign.chars().count();
    let lines = wrapped(&shown(words), WIDTH - indent);
    text.push_str(sign);
    _ = writeln!(text, "{}", lines.join(&format!("\n{:indent$}", "")));
}

/// Lines of at most `room` columns; a word that is longer is cut.
pub(super) fn wrapped(words: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in words.split(' ').filter(|word| !word.is_empty()) {
        let letters: Vec<char> = word.chars().collect();
        for piece in letters.chunks(room) {
            let line = lines.last_mut().expect("there is always a line");
            let used = line.chars().count();
            if used == 0 {
                line.extend(piece);
            } else if used + 1 + piece.len() <= room {
                line.push(' ');
                line.extend(piece);
            } else {
                lines.push(piece.iter().collect());
            }
        }
    }
    lines
}

/// A text as a terminal may have it: what is no printable character is written out.
pub fn shown(text: &str) -> String {
    let letter = |letter: char| match letter {
        '"' | '\'' | '\\' => letter.to_string(),
        other => other.escape_debug().to_string(),
    };
    text.chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_stand_below_each_other_within_eighty_columns() {
        let long =
            "the answer came from a machine that nobody here has heard of, and it came twice as late as it should have";
        let notes = [
            Note::new(Level::Fine, "454/tcp", "answered"),
            Note::new(Level::Critical, "a-name.that.is-longer.example", long)
                .mended("correct the record at the server that answers for the zone")
                .resting_on(vec!["10.0.0.4:53 answered NXDOMAIN".to_owned()]),
        ];
        let text = render(&notes);
        assert_eq!(
            text,
            "ok        454/tcp         answered\n\
             critical  a-name.that.is-longer.example\n\
             \x20                         the answer came from a machine that nobody here has\n\
             \x20                         heard of, and it came twice as late as it should have\n\
             \x20                         - 10.0.0.4:53 answered NXDOMAIN\n\
             \x20                         mend: correct the record at the server that answers\n\
             \x20                               for the zone\n"
        );
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
    }

    #[test]
    fn what_others_wrote_cannot_command_a_terminal_nor_break_the_layout() {
        let hostile = format!("\u{1b}[2J\u{202e}\n{}\t'quoted'", "x".repeat(200));
        let text = render(&[Note::new(Level::Warning, &*hostile, &*hostile).resting_on(vec![hostile.clone()])]);
        assert!(text.contains("\\u{1b}[2J\\u{202e}\\n") && text.contains("'quoted'"), "{text}");
        assert!(text.chars().all(|letter| letter == '\n' || !letter.is_control()), "{text}");
        let lines: Vec<usize> = text.lines().map(|line| line.chars().count()).collect();
        assert!(lines.iter().all(|length| *length <= WIDTH), "{text}");
    }

    #[test]
    fn the_worst_finding_makes_the_exit_code() {
        let code =
            |levels: &[Level]| exit_code(&levels.iter().map(|level| Note::new(*level, "", "")).collect::<Vec<_>>());
        for (levels, expected) in [
            (&[Level::Fine][..], 0),
            (&[Level::Fine, Level::Unknown], 3),
            (&[Level::Unknown, Level::Warning], 2),
            (&[Level::Warning, Level::Critical], 1),
            (&[], 3),
        ] {
            assert_eq!(code(levels), expected, "{levels:?}");
        }
    }
}
