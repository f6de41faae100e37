//! `ase-lab screen-pictures`: terminals as they were captured with their colours, drawn by a browser for the documentation. The
//! captures are those that the tests hold (`tests/tests/golden/terminal`).

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::browser::{Browser, Screen};

/// Where the captures are, from the repository.
const CAPTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/terminal");
/// The size of a letter and of a line, in CSS pixels, and the room around all of them.
const LETTER: f64 = 8.43;
const LINE: u32 = 18;
const ROOM: u32 = 24;
/// The colours 0 to 7 of a terminal, and 8 to 15, its bright ones, on a dark ground: each has a contrast of 4.5 at least.
const COLOURS: [&str; 16] = [
    "#8a8f98", "#ff7b72", "#56d364", "#e3b341", "#79c0ff", "#d2a8ff", "#56d4dd", "#d0d7de", "#a0a7b0", "#ffa198",
    "#7ee787", "#f2cc60", "#a5d6ff", "#e2c5ff", "#7fe3ea", "#ffffff",
];

/// Arguments of `screen-pictures`.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// Where the pictures go
    #[arg(value_name = "FOLDER", default_value = "docs/images")]
    folder: PathBuf,
}

/// Draws every capture.
///
/// # Errors
/// Without Chromium, or where a capture or a picture cannot be read or written.
pub fn run(arguments: &Arguments) -> Result<()> {
    fs::create_dir_all(&arguments.folder)?;
    let pages = tempfile::tempdir()?;
    let mut captures: Vec<PathBuf> = fs::read_dir(CAPTURES)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    captures.sort();
    let mut browser = Browser::start(&["chromium"])?;
    for capture in captures.iter().filter(|path| path.extension().is_some_and(|extension| extension == "ansi")) {
        let name = capture.file_stem().and_then(|name| name.to_str()).context("a capture has a name")?;
        let (columns, lines) = size(name).with_context(|| format!("{name} says no size, as in NAME-80x24"))?;
        let page = pages.path().join("page.html");
        fs::write(&page, html(&fs::read_to_string(capture)?))?;
        let width = (f64::from(columns) * LETTER).ceil() as u32 + 2 * ROOM;
        browser.look_by(Screen { width, height: lines * LINE + 2 * ROOM, scale: 1.0, is_dark: true })?;
        browser.go(&format!("file://{}", page.display()))?;
        let picture = arguments.folder.join(format!("screen-{name}.png"));
        browser.picture(&picture)?;
        println!("{}", picture.display());
    }
    ensure!(browser.complaints.is_empty(), "the browser complained: {:?}", browser.complaints);
    Ok(())
}

/// Columns and lines, as the name of a capture ends with them.
fn size(name: &str) -> Option<(u32, u32)> {
    let (columns, lines) = name.rsplit_once('-')?.1.split_once('x')?;
    Some((columns.parse().ok()?, lines.parse().ok()?))
}

/// How letters look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Look {
    colour: Option<usize>,
    is_bold: bool,
    is_dim: bool,
}

impl Look {
    /// Takes one parameter of a sequence that selects how letters look (ECMA-48 section 8.3.117).
    fn select(&mut self, parameter: usize) {
        match parameter {
            0 => *self = Self::default(),
            1 => self.is_bold = true,
            2 => self.is_dim = true,
            22 => (self.is_bold, self.is_dim) = (false, false),
            30..=37 => self.colour = Some(parameter - 30),
            39 => self.colour = None,
            90..=97 => self.colour = Some(parameter - 82),
            _ => {}
        }
    }

    fn style(self) -> String {
        let mut style = self.colour.map(|colour| format!("color:{};", COLOURS[colour])).unwrap_or_default();
        if self.is_bold {
            style.push_str("font-weight:bold;");
        }
        if self.is_dim {
            style.push_str("opacity:.7;");
        }
        style
    }
}

/// A capture as runs of letters that look alike.
fn runs(capture: &str) -> Vec<(Look, String)> {
    let (mut look, mut runs) = (Look::default(), Vec::new());
    for (number, part) in capture.split("\u{1b}[").enumerate() {
        // Only the first part begins without a sequence.
        let (sequence, text) = if number == 0 { ("", part) } else { part.split_once('m').unwrap_or(("", part)) };
        if number > 0 {
            let parameters = sequence.split(';').map(|one| one.parse().unwrap_or_default());
            parameters.for_each(|parameter| look.select(parameter));
        }
        runs.push((look, text.to_owned()));
    }
    runs
}

/// A capture without its colours.
pub fn plain(capture: &str) -> String {
    runs(capture).into_iter().map(|(_, text)| text).collect()
}

/// A capture as a page that needs nothing from elsewhere.
fn html(capture: &str) -> String {
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let letters: String = runs(capture)
        .iter()
        .map(|(look, text)| format!("<span style=\"{}\">{}</span>", look.style(), escaped(text)))
        .collect();
    format!(
        "<!doctype html><meta charset=\"utf-8\"><title>terminal</title><style>body{{margin:0;background:#0d1117;color:#d0d7de}}\
         pre{{margin:{ROOM}px;font:14px/{LINE}px 'DejaVu Sans Mono',monospace}}</style><pre>{letters}</pre>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_become_spans_and_letters_stay_as_they_are() {
        let capture = "a \u{1b}[1m\u{1b}[31m<b>\u{1b}[0m c\u{1b}[2;92md\u{1b}[39m\u{1b}[22me";
        assert_eq!(plain(capture), "a <b> cde");
        let page = html(capture);
        for words in [
            "<span style=\"\">a </span>",
            "<span style=\"color:#ff7b72;font-weight:bold;\">&lt;b&gt;</span>",
            "<span style=\"\"> c</span>",
            "<span style=\"color:#7ee787;opacity:.7;\">d</span>",
            "<span style=\"\">e</span>",
        ] {
            assert!(page.contains(words), "{words} in {page}");
        }
    }

    #[test]
    fn a_capture_says_its_size_by_its_name() {
        assert_eq!(size("trace-busy-80x24"), Some((80, 24)));
        assert_eq!((size("trace"), size("trace-80"), size("trace-80xa")), (None, None, None));
    }
}
