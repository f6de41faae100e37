//! HTTP in words: the heads of HTTP/1 line by line, without what is secret in them, and the frames of HTTP/2.

use super::records::Head;
use crate::evidence::Escaped;

/// What an HTTP/2 client says first (RFC 9113 section 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Length of a frame's head (RFC 9113 section 4.1), in bytes.
pub(super) const FRAME_HEAD: usize = 9;
/// Lines of a head that are shown at most.
const LINES: usize = 60;
/// Headers whose values are nobody else's business.
const SECRET: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "set-cookie"];

/// The head of a request or an answer line by line, and how much stands behind it; `None` where no head begins here.
pub(super) fn head(bytes: &[u8], length: usize) -> Option<Vec<String>> {
    let is_head = bytes.starts_with(b"HTTP/") || bytes.starts_with(b"GET ");
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let text = String::from_utf8_lossy(&bytes[..end.filter(|_| is_head).unwrap_or(bytes.len())]);
    let mut lines: Vec<_> = is_head.then(|| text.lines().take(LINES).map(line).collect())?;
    if let Some(body) = end.map(|end| length - end - 4).filter(|body| *body > 0) {
        lines.push(format!("and {body} bytes of body"));
    }
    Some(lines)
}

/// One line without its secrets: a query may carry them as well as a cookie.
fn line(text: &str) -> String {
    let shown = match text.split_once(':') {
        Some((name, _)) if SECRET.contains(&name.trim().to_ascii_lowercase().as_str()) => format!("{name}: …"),
        Some((name, _)) if name.eq_ignore_ascii_case("location") => without_query(text),
        None if text.starts_with("GET ") => without_query(text),
        Some(_) | None => text.to_owned(),
    };
    let shown: String =
        shown.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect();
    shown.trim_end().to_owned()
}

fn without_query(text: &str) -> String {
    let Some((front, query)) = text.split_once('?') else { return text.to_owned() };
    let rest = query.split_once(' ').map(|(_, rest)| format!(" {rest}")).unwrap_or_default();
    format!("{front}?…{rest}")
}

/// Reads a frame.
pub(super) fn frame(bytes: &[u8]) -> Head {
    let length = usize::from(bytes[0]) << 16 | usize::from(bytes[1]) << 8 | usize::from(bytes[2]);
    let stream = u32::from_be_bytes([bytes[5] & 0x7f, bytes[6], bytes[7], bytes[8]]);
    let name = match bytes[3] {
        0 => "DATA",
        1 => "HEADERS",
        2 => "PRIORITY",
        3 => "RST_STREAM",
        4 => "SETTINGS",
        5 => "PUSH_PROMISE",
        6 => "PING",
        7 => "GOAWAY",
        8 => "WINDOW_UPDATE",
        9 => "CONTINUATION",
        _ => "a frame of an extension",
    };
    let place = if stream == 0 { String::new() } else { format!(" of stream {stream}") };
    Head { length, words: format!("HTTP/2: {name}{place}, {length} bytes") }
}

/// Bytes of no known form.
pub(super) fn bytes(bytes: &[u8], length: usize) -> String {
    let shown = &bytes[..bytes.len().min(60)];
    let more = if shown.len() < length { "…" } else { "" };
    format!("{length} bytes: {}{more}", Escaped(shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_shown_without_cookies_and_queries() {
        let answer =
            b"HTTP/1.1 302 Found\r\nLocation: https://a.example/x?code=s3cret\r\nset-cookie: id=s3cret\r\n\r\nbody";
        let lines = head(answer, answer.len()).expect("a head");
        assert_eq!(
            lines,
            ["HTTP/1.1 302 Found", "Location: https://a.example/x?…", "set-cookie: …", "and 4 bytes of body"]
        );
        let request = b"GET /x?sig=s3cret HTTP/1.1\r\nCookie: s3cret\r\nhost: a\x1b.example\r\n\r\n";
        let lines = head(request, request.len()).expect("a head");
        assert_eq!(lines, ["GET /x?… HTTP/1.1", "Cookie: …", "host: a\\u{1b}.example"]);
        assert_eq!(head(b"SSH-2.0", 7), None);
    }

    #[test]
    fn frames_are_named_with_their_stream() {
        assert_eq!(frame(&[0, 0, 6, 4, 0, 0, 0, 0, 0]).words, "HTTP/2: SETTINGS, 6 bytes");
        let Head { length, words } = frame(&[0, 1, 0, 1, 4, 0x80, 0, 0, 1]);
        assert_eq!((length, words.as_str()), (256, "HTTP/2: HEADERS of stream 1, 256 bytes"));
    }
}
