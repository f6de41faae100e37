//! Words of others in a form that can be shown: nothing in them steers a terminal, turns the direction of the text around
//! them or ends a line, and they end somewhere. Pure.

/// The text with a replacement for every character that steers instead of being seen: controls (Unicode category Cc), line
/// and paragraph separators, marks and embeddings of direction (Unicode Standard Annex 9), and others without width.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if is_steering(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// The text as [`plain`] shows it, of at most so many characters; what is cut off is said.
pub fn plain_within(text: &str, most: usize) -> String {
    let mut shown = plain(&text.chars().take(most).collect::<String>());
    if text.chars().nth(most).is_some() {
        shown.push('…');
    }
    shown
}

/// The text as it is, of at most so many characters; what is cut off is said.
pub fn within(text: String, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}… ({} characters in all)", &text[..end], text.chars().count()),
        None => text,
    }
}

/// A variant's name that a library prints for want of words, in words: `CaUsedAsEndEntity` is `ca used as end entity`.
pub fn spoken(name: &str) -> String {
    let mut words = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !words.is_empty() && !words.ends_with(' ') {
            words.push(' ');
        }
        words.push(c.to_ascii_lowercase());
    }
    words
}

fn is_steering(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_is_replaced_and_what_is_seen_stays() {
        assert_eq!(plain("a\u{1b}[31m\u{202e}b\nc\u{2066}\u{200f}"), "a�[31m�b�c��");
        assert_eq!(plain("Grüße, 東京 – “ok” 🚀"), "Grüße, 東京 – “ok” 🚀");
    }

    #[test]
    fn a_text_ends_where_it_is_cut_and_says_so() {
        assert_eq!((plain_within("äöü", 3), plain_within("äöü", 2)), ("äöü".to_owned(), "äö…".to_owned()));
        assert_eq!(within("äöü".to_owned(), 3), "äöü");
        assert_eq!(within("äöü".repeat(50_000), 2), "äö… (150000 characters in all)");
    }

    #[test]
    fn a_variant_is_said_in_words() {
        assert_eq!(spoken("CaUsedAsEndEntity"), "ca used as end entity");
    }
}
