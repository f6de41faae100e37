//! An incident as Markdown, line by line, for a ticket or a chat: what was heard is shown as it is and never read as marks.

use super::{incidents::Told, text::Text};
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
        format!("- **Since:** {} ({lasted})", told.since.utc),
    ];
    lines.extend(told.ended.as_ref().map(|ended| format!("- **Ended:** {}", ended.utc)));
    lines.extend(told.clock.iter().map(|clock| format!("- **Clock:** every time here is by {}", shown(clock))));
    lines.push(format!("- **Owner:** {}", told.owner));
    lines.extend(told.steps.iter().map(|(lead, words)| format!("- **{lead}:** {}", words.marked())));
    lines.extend(told.rules.iter().map(|rules| format!("- **Exported rules:** {}", rules.marked())));
    for typed in &told.commands {
        lines.push(format!("- **Type:** {}", code(&typed.command.to_string())));
        lines.extend(typed.expected.iter().map(|expected| format!("  - **Expect:** {}", shown(expected))));
    }
    lines.extend(told.elsewhere.iter().map(|elsewhere| format!("- **Note:** {}", elsewhere.marked())));
    lines.push(format!("- **Hits:** {}", hits(told)));
    lines.extend(told.link.as_ref().map(|link| format!("- **Page:** {link}")));
    lines.extend([String::new(), "Evidence:".to_owned(), String::new()]);
    lines.extend(told.evidence.iter().map(|line| format!("- {}", shown(line))));
    lines.into_iter().map(Text::of_texts).collect()
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
