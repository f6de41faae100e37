//! An incident as Markdown, line by line, for a ticket or a chat: what was heard is shown as it is and never read as marks.

use super::{
    text::Text,
    told::{Judged, Told, Typed},
};
use crate::readers::ticket::markdown::{code, plain};

/// Endpoints that are named; the others are counted.
const NAMED: usize = 12;

/// The lines. Each text in them has its longest, so that none of them is cut amid its marks.
pub(super) fn lines(told: &Told) -> Vec<Text> {
    let Told { confidence, side, scope, .. } = told;
    let about = format!("({confidence}, side {side}, scope {scope})");
    let lasted =
        if told.is_unseen { "open when the last process ended, not seen again yet" } else { told.lasted.as_str() };
    let mut lines = vec![
        format!("### {}: {}", shown(&told.component), shown(&told.summary)),
        String::new(),
        format!("- **Cause:** {} {}", code(&told.cause.to_string()), plain(&about)),
        format!("- **Since:** {} (the first visit that showed it; {lasted})", told.since.utc),
    ];
    lines.extend(told.ended.as_ref().map(|ended| match &told.last_seen {
        Some(seen) => format!("- **Ended:** between {} and {}, while no agent looked", seen.utc, ended.utc),
        None => format!("- **Ended:** {}", ended.utc),
    }));
    lines.extend(told.clock.iter().map(|clock| format!("- **Clock:** every time here is by {}", shown(clock))));
    lines.extend(told.to_confirm.iter().map(|to_confirm| format!("- **How sure:** {}", to_confirm.marked())));
    lines.push(format!("- **Owner:** {}", owner(told)));
    lines.extend(told.steps.iter().map(|(lead, words)| format!("- **{lead}:** {}", words.marked())));
    lines.extend(told.rules.iter().map(|rules| format!("- **Exported rules:** {}", rules.marked())));
    lines.extend(told.hint.iter().map(|hint| format!("- **Hint:** {}", hint.marked())));
    lines.extend(told.elsewhere.iter().map(|elsewhere| format!("- **Note:** {}", elsewhere.marked())));
    lines.extend(told.blanks.iter().map(|blanks| format!("- **Fill in:** {}", blanks.marked())));
    told.commands.iter().for_each(|command| typed(&mut lines, "", command));
    lines.push(format!("- **Hits:** {}", hits(told)));
    lines.extend(hidden(told).map(|hidden| format!("- **Hides:** {hidden}")));
    lines.extend(told.link.as_ref().map(|link| format!("- **Page:** {link}")));
    listed(&mut lines, "Evidence", &told.met());
    for judged in &told.judged {
        let Judged { rule, endpoints, origin, contrasts } = judged;
        let by = format!("What was asked and answered ({})", plain(&format!("rule {rule} for {endpoints}, {origin}")));
        listed(&mut lines, &by, contrasts);
    }
    if !told.others.is_empty() {
        headed(&mut lines, "What else it could be");
    }
    for other in &told.others {
        let (cause, summary) = (code(&other.cause.to_string()), plain(other.summary));
        lines.push(format!("- {cause} {summary}: if {}", other.words.marked()));
        other.typed.iter().for_each(|command| typed(&mut lines, "  ", command));
    }
    lines.into_iter().map(Text::of_texts).collect()
}

/// Whom to call.
fn owner(told: &Told) -> String {
    match (told.owner, told.owner_means) {
        (owner, "") => owner.to_owned(),
        (owner, means) => format!("{owner} ({means})"),
    }
}

/// A command, and below it what it shows where the cause is right.
fn typed(lines: &mut Vec<String>, indent: &str, typed: &Typed) {
    let lead = typed.changed.map_or_else(|| "**Type:**".to_owned(), |changed| format!("**Mend** ({changed}):"));
    lines.push(format!("{indent}- {lead} {}", code(&typed.command.to_string())));
    lines.extend(typed.expected.iter().map(|expected| format!("{indent}  - **Expect:** {}", expected.marked())));
}

/// How many of its endpoints could not be tested because of it.
fn hidden(told: &Told) -> Option<String> {
    let (hidden, hits) = (told.hidden, told.hits.len());
    let whose = if hidden == 1 { "its" } else { "their" };
    (hidden > 0).then(|| format!("{hidden} of these {hits}: {whose} own service could not be tested"))
}

fn headed(lines: &mut Vec<String>, title: &str) {
    lines.extend([String::new(), format!("{title}:"), String::new()]);
}

fn listed(lines: &mut Vec<String>, title: &str, texts: &[Text]) {
    if !texts.is_empty() {
        headed(lines, title);
    }
    lines.extend(texts.iter().map(|line| format!("- {}", shown(line))));
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

#[cfg(test)]
mod tests;
