//! A ticket as one HTML page that needs nothing from elsewhere. Text becomes part of it through `Markup` alone, which escapes.

use super::{Part, Ticket};
use crate::readers::paper::{pieces, printable};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b;background:#fff}\
h1{font-size:1.4rem}h2{font-size:1.15rem;margin-top:2rem;border-top:1px solid #ccc;padding-top:1rem}h3{font-size:1rem;margin-bottom:.2rem}\
ul{margin-top:.2rem}li,td,pre{overflow-wrap:anywhere}pre{background:#f3f3f3;padding:.6rem;white-space:pre-wrap;overflow-x:auto}pre span{white-space:nowrap}\
table{border-collapse:collapse}th,td{text-align:left;vertical-align:top;padding:.15rem .8rem .15rem 0}\
@media (prefers-color-scheme:dark){body{color:#ddd;background:#161616}pre{background:#242424}}";
/// The page loads nothing, wherever it is opened (CSP level 3).
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// Markup whose every text was escaped: there is no other way to make one.
#[derive(Clone, Debug, Default)]
struct Markup(String);

impl Markup {
    /// Text, escaped.
    fn text(text: &str) -> Self {
        let mut out = String::with_capacity(text.len());
        for c in printable(text).chars() {
            match c {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '"' => out.push_str("&quot;"),
                '\'' => out.push_str("&#39;"),
                other => out.push(other),
            }
        }
        Self(out)
    }

    /// A command, which breaks before an option and not within one.
    fn typed(command: &str) -> Self {
        let held = |piece: &str| {
            let text = Self::text(piece).0;
            if piece.len() > 1 && piece.contains('-') { format!("<span>{text}</span>") } else { text }
        };
        Self(pieces(command).into_iter().map(held).collect::<Vec<_>>().join(" "))
    }

    /// An element around markup.
    fn element(name: &'static str, inside: &Self) -> Self {
        Self(format!("<{name}>{}</{name}>\n", inside.0))
    }

    /// An element around each of some texts, one after the other.
    fn each<'a>(name: &'static str, texts: impl Iterator<Item = &'a str>) -> Self {
        texts.map(|text| Self::element(name, &Self::text(text))).collect()
    }
}

impl FromIterator<Markup> for Markup {
    fn from_iter<T: IntoIterator<Item = Markup>>(parts: T) -> Self {
        Self(parts.into_iter().map(|Self(text)| text).collect())
    }
}

/// Renders it.
pub fn render(ticket: &Ticket) -> String {
    let title = Markup::text(&ticket.title);
    let body: Markup = ticket.parts.iter().map(rendered).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{}{}</body>\n</html>\n",
        title.0,
        Markup::element("h1", &title).0,
        body.0
    )
}

fn rendered(part: &Part) -> Markup {
    match part {
        Part::Heading(title) => Markup::element("h2", &Markup::text(title)),
        Part::Subheading(title) => Markup::element("h3", &Markup::text(title)),
        Part::Text(text) => Markup::element("p", &Markup::text(text)),
        Part::Facts(facts) => {
            let row = |(label, fact): &(&'static str, String)| {
                let cells = [Markup::each("th", [*label].into_iter()), Markup::each("td", [&**fact].into_iter())];
                Markup::element("tr", &cells.into_iter().collect())
            };
            Markup::element("table", &facts.iter().map(row).collect())
        }
        Part::List(lines) => Markup::element("ul", &Markup::each("li", lines.iter().map(String::as_str))),
        Part::Commands(commands) => {
            commands.iter().map(|command| Markup::element("pre", &Markup::typed(command))).collect()
        }
        Part::Table(head, rows) => {
            let row =
                |cells: &Vec<String>| Markup::element("tr", &Markup::each("td", cells.iter().map(String::as_str)));
            let head = Markup::element("tr", &Markup::each("th", head.iter().copied()));
            Markup::element("table", &std::iter::once(head).chain(rows.iter().map(row)).collect())
        }
    }
}
