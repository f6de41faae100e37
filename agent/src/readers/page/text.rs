//! The words of the page: what a peer, a file or the configuration said as text that cannot steer the page, markup that only
//! templates make, times and shares.

use std::{fmt, time::Duration};

use askama::{Template, filters::HtmlSafe};

use crate::readers::{
    paper::pieces,
    summary::{rfc3339, rfc3339_seconds},
    ticket::markdown::{code, plain},
};

/// Characters of one text that are shown; the longest evidence that an honest peer causes is a tenth of that.
const LONGEST: usize = 1000;

/// A text of somebody else's. Templates escape it; what would steer a reader's eye without being markup is made visible
/// here: control characters and those that turn the direction of writing.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Text(String);

impl<T: AsRef<str>> From<T> for Text {
    fn from(said: T) -> Self {
        let said = said.as_ref();
        let mut shown = String::with_capacity(said.len().min(2 * LONGEST));
        for c in said.chars().take(LONGEST) {
            if steers(c) {
                shown.extend(c.escape_unicode());
            } else {
                shown.push(c);
            }
        }
        let more = said.chars().count().saturating_sub(LONGEST);
        if more > 0 {
            shown.push_str(&format!("… ({more} more characters)"));
        }
        Self(shown)
    }
}

/// The pieces as markup; the template escapes each.
#[derive(Template)]
#[template(
    source = "{% for part in parts %}{% if part.is_code %}<code>{{ part.typed() }}</code>{% else %}{{ part.said }}{% endif %}{% endfor %}",
    ext = "html"
)]
struct Coded<'a> {
    parts: Vec<Part<'a>>,
}

/// Pieces of a line that is typed. A line breaks between them alone, and not after the hyphens that an option begins with.
#[derive(Template)]
#[template(
    source = "{% for piece in pieces %}{% if holds && piece.len() > 1 && piece.contains('-') %}<span class=\"piece\">{{ piece }}</span>{% else %}{{ piece }}{% endif %}{% if !loop.last %} {% endif %}{% endfor %}",
    ext = "html"
)]
struct Typed<'a> {
    pieces: Vec<&'a str>,
    /// Whether those with hyphens hold together.
    holds: bool,
}

/// A piece of a text: what stands between two backticks is to be typed or read as code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part<'a> {
    said: &'a str,
    is_code: bool,
}

/// Characters of an option in a sentence that a line does not break; what is longer may be somebody's text of any length.
const OPTION: usize = 24;

impl Part<'_> {
    /// Code within a sentence: words as pieces, where they are as short as those of commands.
    fn typed(&self) -> Html {
        let is_short = |word: &str| word.chars().count() <= OPTION;
        typed(self.said.split(' ').collect(), self.said.split(' ').all(is_short))
    }
}

fn typed(pieces: Vec<&str>, holds: bool) -> Html {
    Html::of(&Typed { pieces, holds })
}

impl Text {
    /// A line put together from texts, each of which has its longest: it is not cut again.
    pub(super) fn of_texts(line: String) -> Self {
        Self(line)
    }

    /// A line that is typed or copied, which breaks where its reader sees that it goes on. It stands in a box that scrolls.
    pub(super) fn typed(&self) -> Html {
        typed(pieces(&self.0), true)
    }

    /// Whether nothing was said.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text with what stands between backticks as code.
    pub(super) fn coded(&self) -> Html {
        Html::of(&Coded { parts: self.parts() })
    }

    /// The text as Markdown: what stands between backticks as code, everything else as it is and never as marks.
    pub(super) fn marked(&self) -> String {
        let mark = |part: &Part<'_>| if part.is_code { code(part.said) } else { plain(part.said) };
        self.parts().iter().map(mark).collect()
    }

    /// The pieces, without the backticks; where one of these has no partner, the text as it is.
    fn parts(&self) -> Vec<Part<'_>> {
        let pieces: Vec<&str> = self.0.split('`').collect();
        if pieces.len().is_multiple_of(2) {
            return vec![Part { said: &self.0, is_code: false }];
        }
        pieces.into_iter().enumerate().map(|(number, said)| Part { said, is_code: number % 2 == 1 }).collect()
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Control characters, and the marks, embeddings, overrides and isolates of the bidirectional algorithm (UAX #9 section 2),
/// with the other characters that take no room.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Every line as text.
pub(super) fn texts<T: AsRef<str>>(lines: impl IntoIterator<Item = T>) -> Vec<Text> {
    lines.into_iter().map(Text::from).collect()
}

/// Markup that a template made, and so nothing to be escaped again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Html(String);

impl Html {
    /// What a template makes of its values.
    pub(super) fn of(template: &impl Template) -> Self {
        Self(template.render().expect("a template writes to memory, and its values have no failing form"))
    }

    /// The same where it is known that the markup takes about so many bytes.
    pub(super) fn with_room(template: &impl Template, bytes: usize) -> Self {
        let mut markup = String::with_capacity(bytes);
        template.render_into(&mut markup).expect("a template writes to memory, and its values have no failing form");
        Self(markup)
    }

    /// The markup.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The markup, to be sent.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Display for Html {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HtmlSafe for Html {}

/// A moment: the machine's form for the script, which shows it in the reader's zone, and UTC for everybody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct When {
    /// RFC 3339, to the second.
    pub(super) machine: String,
    /// The same for people.
    pub(super) utc: String,
}

impl When {
    /// A wall-clock time since the Unix epoch.
    pub(super) fn of(since_epoch: Duration) -> Self {
        Self::from_machine(rfc3339(Duration::from_secs(since_epoch.as_secs())))
    }

    /// A certificate's time in seconds since the Unix epoch.
    pub(super) fn of_seconds(since_epoch: i64) -> Self {
        Self::from_machine(rfc3339_seconds(since_epoch))
    }

    /// UTC for a line that has little room: to the minute, and without the date where that is the one of `now`.
    pub(super) fn short(&self, now: Duration) -> String {
        let minute = self.utc.get(..16).unwrap_or(&self.utc);
        let today = Self::of(now).utc;
        let is_today = |day: &str| today.starts_with(day);
        match minute.split_once(' ') {
            Some((day, time)) if is_today(day) => format!("{time} UTC"),
            _ => format!("{minute} UTC"),
        }
    }

    fn from_machine(machine: String) -> Self {
        let utc = machine.replace('T', " ").replace('Z', " UTC");
        Self { machine, utc }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { machine, utc } = self;
        write!(f, "<time datetime=\"{machine}\" title=\"{utc}\">{utc}</time>")
    }
}

// Digits and letters that `jiff` wrote: there is nothing in it to escape.
impl HtmlSafe for When {}

/// Milliseconds as they are read: one decimal below ten, none from there on.
pub(super) fn millis(elapsed: Duration) -> String {
    let millis = elapsed.as_secs_f64() * 1e3;
    // What rounds to ten has no decimal either.
    if millis < 9.95 { format!("{millis:.1} ms") } else { format!("{millis:.0} ms") }
}

/// A share as per cent. What is not whole is never rounded to all or nothing.
pub(super) fn share(part: f64) -> String {
    let percent = part.clamp(0.0, 1.0) * 100.0;
    match percent {
        p if p > 0.0 && p < 0.1 => "< 0.1 %".to_owned(),
        p if p < 100.0 && p > 99.9 => "> 99.9 %".to_owned(),
        p if p == 0.0 || p == 100.0 => format!("{p:.0} %"),
        p => format!("{p:.1} %"),
    }
}

/// A short name for an HTML id, made of any text: FNV-1a (64 bits).
pub(super) fn anchor(prefix: char, text: &str) -> String {
    format!("{prefix}-{:016x}", super::assets::fingerprint(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_the_eye_is_made_visible_and_what_is_long_is_cut() {
        let turned = Text::from("ok\u{202e}txt.exe\r\n\u{7}").to_string();
        assert_eq!(turned, "ok\\u{202e}txt.exe\\u{d}\\u{a}\\u{7}");
        let long = Text::from("x".repeat(10_000)).to_string();
        assert!(long.ends_with("… (9000 more characters)") && long.len() < 1100, "{}", long.len());
        assert_eq!(Text::from("<b>ünï</b>").to_string(), "<b>ünï</b>", "escaping is the template's business");
    }

    #[test]
    fn what_is_to_be_typed_is_told_from_words_by_backticks_in_pairs() {
        let pieces = |said: &str| -> Vec<(String, bool)> {
            Text::from(said).parts().iter().map(|part| (part.said.to_owned(), part.is_code)).collect()
        };
        let two = [("", false), ("date", true), (" or ", false), ("chronyc", true), (" here", false)];
        assert_eq!(pieces("`date` or `chronyc` here"), two.map(|(said, is_code)| (said.to_owned(), is_code)));
        assert_eq!(pieces("a ` alone"), [("a ` alone".to_owned(), false)]);
    }

    #[test]
    fn pieces_with_hyphens_hold_together_and_what_is_long_in_a_sentence_does_not() {
        let html = Text::from("az x --vm a&b").typed();
        assert_eq!(html.as_str(), "az x <span class=\"piece\">--vm a&#38;b</span>");
        let option = Text::from("`ping -s` takes it").coded();
        assert_eq!(option.as_str(), "<code>ping <span class=\"piece\">-s</span></code> takes it");
        let long = Text::from(format!("`-{}`", "x".repeat(OPTION))).coded();
        assert!(!long.as_str().contains("piece\">-x"), "what is long may break: {long:?}");
    }

    #[test]
    fn times_are_said_for_machines_and_for_people() {
        let when = When::of(Duration::from_millis(1_800_000_000_250)).to_string();
        assert_eq!(
            when,
            "<time datetime=\"2027-01-15T08:00:00Z\" title=\"2027-01-15 08:00:00 UTC\">2027-01-15 08:00:00 UTC</time>"
        );
        let at = |seconds: u64| Duration::from_secs(1_800_000_000 + seconds);
        assert_eq!(When::of(at(61)).short(at(3600)), "08:01 UTC");
        assert_eq!(When::of(at(61)).short(at(86_400)), "2027-01-15 08:01 UTC");
    }

    #[test]
    fn what_takes_ten_milliseconds_is_said_in_one_way() {
        let said =
            [1.26, 9.94, 9.96, 10.0, 10.4].map(|millis: f64| super::millis(Duration::from_secs_f64(millis / 1e3)));
        assert_eq!(said, ["1.3 ms", "9.9 ms", "10 ms", "10 ms", "10 ms"]);
    }

    #[test]
    fn a_share_is_not_rounded_to_all_or_nothing() {
        let shares = [0.0, 0.0001, 0.5, 0.998, 0.99999, 1.0].map(share);
        assert_eq!(shares, ["0 %", "< 0.1 %", "50.0 %", "99.8 %", "> 99.9 %", "100 %"]);
    }
}
