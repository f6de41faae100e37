//! A ticket as Markdown: what was heard is shown as it is and never read as marks.

use super::{Part, Ticket};
use crate::readers::paper::printable;

/// Renders it.
pub fn render(ticket: &Ticket) -> String {
    let mut text = format!("# {}\n", plain(&ticket.title));
    for part in &ticket.parts {
        text.push('\n');
        text.push_str(&rendered(part));
    }
    text
}

fn rendered(part: &Part) -> String {
    match part {
        Part::Heading(title) => format!("## {}\n", plain(title)),
        Part::Subheading(title) => format!("**{}**\n", plain(title)),
        Part::Text(text) => format!("{}\n", plain(text)),
        Part::Facts(facts) => facts.iter().map(|(label, fact)| format!("- **{label}**: {}\n", plain(fact))).collect(),
        Part::List(lines) => lines.iter().map(|line| format!("- {}\n", plain(line))).collect(),
        Part::Commands(commands) => fenced(commands),
        Part::Table(head, rows) => {
            let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
            let mut text = line(head.iter().map(|cell| plain(cell)).collect());
            text.push_str(&line(head.iter().map(|_| "---".to_owned()).collect()));
            rows.iter().for_each(|row| text.push_str(&line(row.iter().map(|cell| plain(cell)).collect())));
            text
        }
    }
}

/// Commands as they are typed, between fences that none of them can end.
fn fenced(commands: &[String]) -> String {
    let lines: Vec<String> = commands.iter().map(|command| printable(command)).collect();
    let longest = lines.iter().map(|line| backticks(line)).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}sh\n{}\n{fence}\n", lines.join("\n"))
}

/// The longest row of backticks in a line.
fn backticks(line: &str) -> usize {
    line.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// Text within a line as code, between more backticks than stand within it (CommonMark 6.1).
pub fn code(text: &str) -> String {
    let text = printable(text);
    let longest = backticks(&text);
    let (fence, room) = ("`".repeat(longest + 1), if longest > 0 { " " } else { "" });
    // Nothing between backticks would be a fence that somebody else ends.
    if text.is_empty() { String::new() } else { format!("{fence}{room}{text}{room}{fence}") }
}

/// Text of one line, every character escaped that could be a mark (CommonMark 2.4: any ASCII punctuation may be).
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '#' | '|' | '~' | '!' => {
                out.push('\\');
                out.push(c);
            }
            other => out.push(other),
        }
    }
    // A list within the list, or a line below a heading.
    if out.starts_with(['-', '+', '=']) { format!("\\{out}") } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_cannot_end_the_fence_it_stands_in() {
        let text = rendered(&Part::Commands(vec!["echo ````".to_owned(), "x\n```\n# y".to_owned()]));
        assert_eq!(text, "`````sh\necho ````\nx\u{fffd}```\u{fffd}# y\n`````\n");
    }

    #[test]
    fn code_within_a_line_cannot_end_itself() {
        assert_eq!(code("az network nic list"), "`az network nic list`");
        assert_eq!(code("echo `date` ``"), "``` echo `date` `` ```");
        assert_eq!(code(""), "");
    }

    #[test]
    fn a_line_begins_no_list_and_a_cell_no_column() {
        assert_eq!(plain("- a | b"), "\\- a \\| b");
        assert_eq!(plain("login.live.com:443 (https, critical)"), "login.live.com:443 (https, critical)");
    }
}
