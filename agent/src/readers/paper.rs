//! Paper for a terminal: how wide it is and in which colours, where lines break, and that nothing a peer or a file says can
//! steer it.

use std::fmt::Display;

use anstyle::{AnsiColor, Style};

use crate::net::foreign;

/// Narrower terminals are treated as this wide, in columns.
const NARROWEST: usize = 40;

pub(super) const PLAIN: Style = Style::new();
pub(super) const BOLD: Style = Style::new().bold();
pub(super) const DIM: Style = Style::new().dimmed();
pub(super) const RED: Style = AnsiColor::Red.on_default().bold();
pub(super) const YELLOW: Style = AnsiColor::Yellow.on_default();
pub(super) const GREEN: Style = AnsiColor::Green.on_default();

/// How a report looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// The terminal's width in columns; `None` leaves long lines whole.
    pub width: Option<u16>,
    /// The terminal's height in lines, where it is known.
    pub height: Option<u16>,
    /// Whether to colour by ANSI escapes.
    pub colour: bool,
    /// Whether to list healthy endpoints, and the evidence of every endpoint.
    pub verbose: bool,
    /// Whether to list only what failed, and to count the rest.
    pub only_failed: bool,
}

/// The colour of a verdict by its exit code.
pub(super) fn verdict_style(exit_code: u8) -> Style {
    match exit_code {
        0 => GREEN.bold(),
        1 => RED,
        _ => YELLOW.bold(),
    }
}

/// What is written so far.
pub(super) struct Paper {
    pub(super) look: Look,
    pub(super) text: String,
}

impl Paper {
    /// Nothing is written yet.
    pub(super) fn new(look: Look) -> Self {
        Self { look, text: String::new() }
    }

    /// Writes one paragraph: `lead` stands before its first line, the following lines are indented to match.
    pub(super) fn line(&mut self, indent: usize, lead: &str, text: &str, style: Style) {
        let hang = indent + lead.chars().count();
        let room = self.look.width.map_or(usize::MAX, |width| usize::from(width).max(NARROWEST).saturating_sub(hang));
        for (number, part) in wrap(&printable(text), room).into_iter().enumerate() {
            let start = if number == 0 { format!("{:indent$}{lead}", "") } else { " ".repeat(hang) };
            self.text.push_str(&start);
            self.styled(&part, style);
            self.text.push('\n');
        }
    }

    /// Writes a command as it is typed: on one line, however long, so that it can be copied.
    pub(super) fn command(&mut self, indent: usize, lead: &str, text: &str) {
        self.text.push_str(&format!("{:indent$}{lead}", ""));
        self.styled(&printable(text), BOLD);
        self.text.push('\n');
    }

    /// Writes text that holds no control characters, as it is.
    pub(super) fn styled(&mut self, text: &str, style: Style) {
        if self.look.colour && style != PLAIN {
            self.text.push_str(&format!("{style}{text}{style:#}"));
        } else {
            self.text.push_str(text);
        }
    }

    /// Writes a heading, with an empty line before it.
    pub(super) fn heading(&mut self, title: impl Display, style: Style) {
        self.text.push('\n');
        self.line(0, "", &title.to_string(), style);
    }
}

/// The text without control characters and without marks that turn the direction of writing, so that nothing a peer or a
/// file says can steer the terminal or show other words than it holds.
pub(super) fn printable(text: &str) -> String {
    foreign::plain(text)
}

/// The pieces of a command, between which a line may break where there is not room for all: an option stays with its value, everything else is a piece of its own.
pub(super) fn pieces(command: &str) -> Vec<&str> {
    let is_value = |word: &str| !word.starts_with(['-', '|', '<', '>', ';']) && !word.contains('>') && !word.is_empty();
    let mut pieces = Vec::new();
    let (mut start, mut at, mut takes_value) = (0, 0, false);
    for word in command.split(' ') {
        if at > start && !(takes_value && is_value(word)) {
            pieces.push(&command[start..at - 1]);
            start = at;
        }
        takes_value = word.len() > 1 && word.starts_with('-') && start == at;
        at += word.len() + 1;
    }
    pieces.push(&command[start..]);
    pieces
}

/// Breaks at spaces; a longer word stays whole.
fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("it starts with one line and only grows");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= room {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_terminal_or_turns_the_direction_of_writing() {
        let shown = printable("a\u{1b}[2Jb\r\nc\u{202e}d\u{2066}e\u{2028}f");
        assert_eq!(shown, "a\u{fffd}[2Jb\u{fffd}\u{fffd}c\u{fffd}d\u{fffd}e\u{fffd}f");
        assert_eq!(printable("ünïcode → …"), "ünïcode → …");
    }

    #[test]
    fn a_command_breaks_before_an_option_and_never_within_one() {
        for (command, said) in [
            (
                "az network watcher test-ip-flow -g GROUP --vm VM --local '10.0.0.4:*' -o table",
                vec![
                    "az",
                    "network",
                    "watcher",
                    "test-ip-flow",
                    "-g GROUP",
                    "--vm VM",
                    "--local '10.0.0.4:*'",
                    "-o table",
                ],
            ),
            (
                "a -noout -x </dev/null 2>/dev/null | b -v",
                vec!["a", "-noout", "-x", "</dev/null", "2>/dev/null", "|", "b", "-v"],
            ),
            ("ping -c 3 -M do 10.0.0.1", vec!["ping", "-c 3", "-M do", "10.0.0.1"]),
            ("ip  route", vec!["ip", "", "route"]),
            ("", vec![""]),
        ] {
            assert_eq!(pieces(command), said, "{command}");
            assert_eq!(said.join(" "), command, "nothing is lost");
        }
    }
}
