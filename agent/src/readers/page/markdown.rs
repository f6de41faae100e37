//! An incident as Markdown, line by line, for a ticket or a chat: what was heard is shown as it is and never read as marks.

use super::{
    incidents::{Told, Typed},
    text::Text,
};
use crate::readers::ticket::markdown::{code, plain};

/// Endpoints that are named; the others are counted.
const NAMED: usize = 12;

/// The lines. Each text in them has its longest, so that none of them is cut amid its marks.
pub(super) fn lines(told: &Told) -> Vec<Text> {
    let Told { confidence, side, scope, .. } = told;
    let about = format!("({confidence}, side {side}, scope {scope})");
    let mut lines = vec![
        format!("### {}: {}", shown(&told.component), shown(&told.summary)),
        String::new(),
        format!("- **Cause:** {} {}", code(&told.cause.to_string()), plain(&about)),
        format!("- **Since:** {} (the first visit that showed it; {})", told.since.utc, told.lasted),
    ];
    lines.extend(told.ended.as_ref().map(|ended| format!("- **Ended:** {}", ended.utc)));
    lines.extend(told.clock.iter().map(|clock| format!("- **Clock:** every time here is by {}", shown(clock))));
    lines.push(format!("- **Owner:** {}", told.owner));
    lines.extend(told.steps.iter().map(|(lead, words)| format!("- **{lead}:** {}", words.marked())));
    lines.extend(told.rules.iter().map(|rules| format!("- **Exported rules:** {}", rules.marked())));
    lines.extend(told.hint.iter().map(|hint| format!("- **Hint:** {}", hint.marked())));
    lines.extend(told.elsewhere.iter().map(|elsewhere| format!("- **Note:** {}", elsewhere.marked())));
    lines.extend(told.blanks.iter().map(|blanks| format!("- **Fill in:** {}", blanks.marked())));
    told.commands.iter().for_each(|command| typed(&mut lines, "", command));
    for other in &told.others {
        lines.push(format!("- **Or:** {}, if {}", code(&other.cause.to_string()), other.words.marked()));
        other.typed.iter().for_each(|command| typed(&mut lines, "  ", command));
    }
    lines.push(format!("- **Hits:** {}", hits(told)));
    lines.extend(hidden(told).map(|hidden| format!("- **Hides:** {hidden}")));
    lines.extend(told.link.as_ref().map(|link| format!("- **Page:** {link}")));
    lines.extend([String::new(), "Evidence:".to_owned(), String::new()]);
    lines.extend(told.evidence.iter().map(|line| format!("- {}", shown(line))));
    lines.into_iter().map(Text::of_texts).collect()
}

/// A command, and below it what it shows where the cause is right.
fn typed(lines: &mut Vec<String>, indent: &str, typed: &Typed) {
    let lead = if typed.is_mending { "Mend" } else { "Type" };
    lines.push(format!("{indent}- **{lead}:** {}", code(&typed.command.to_string())));
    lines.extend(typed.expected.iter().map(|expected| format!("{indent}  - **Expect:** {}", expected.marked())));
}

/// How many of its endpoints could not be tested because of it.
fn hidden(told: &Told) -> Option<String> {
    let (hidden, hits) = (told.hidden, told.hits.len());
    let whose = if hidden == 1 { "its" } else { "their" };
    (hidden > 0).then(|| format!("{hidden} of these {hits}: {whose} own service could not be tested"))
}

fn shown(text: &Text) -> String {
    plain(&text.to_string())
}

/// The first endpoints by name, and how many more there are.
fn hits(told: &Told) -> String {
    let named: Vec<String> = told.hits.iter().take(NAMED).map(|hit| shown(&hit.id)).collect();
    match told.hits.len().saturating_sub(NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}
