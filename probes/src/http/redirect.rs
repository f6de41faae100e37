//! Where a redirect leads, as the next question. Whether it may be followed is not decided here.

use http::{HeaderMap, header, uri::PathAndQuery};
use url::{Host, ParseError, Position, Url};

use super::{Answer, Question, Scheme};
use crate::tls::Verify;

/// Characters in a Location header: what RFC 9110 section 4.1 asks everybody to take; sign-on fills a good part of it.
const LOCATION_LIMIT: usize = 8000;

/// The Location header of an answer, cut at its limit. It is UTF-8 or, byte by byte, percent-encoded.
pub(super) fn location(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::LOCATION)?.as_bytes();
    let value = &value[..value.len().min(LOCATION_LIMIT)];
    Some(match std::str::from_utf8(value) {
        Ok(text) => text.to_owned(),
        Err(_) => value
            .iter()
            .map(|byte| if byte.is_ascii() { char::from(*byte).to_string() } else { format!("%{byte:02X}") })
            .collect(),
    })
}

/// Builds the question that a redirect leads to, with the cookies that it set; `None` if the answer is no redirect.
///
/// # Errors
/// The rule that the target breaks.
pub fn redirect_target(question: &Question, answer: &Answer) -> Option<Result<Question, &'static str>> {
    let location = match answer.status {
        301 | 302 | 303 | 307 | 308 => answer.location.as_deref()?,
        _ => return None,
    };
    Some(resolve(question, location).map(|mut next| {
        next.session = question.session.after(question, &answer.cookies);
        next.session.http1_only &= (&next.host, next.port) == (&question.host, question.port);
        next
    }))
}

/// Resolves a target as browsers do (the URL standard, which percent-encodes blanks and UTF-8, and RFC 3986 section 5.2).
fn resolve(question: &Question, location: &str) -> Result<Question, &'static str> {
    if location.len() >= LOCATION_LIMIT {
        return Err("a redirect's target must be shorter than 8000 characters");
    }
    let base = Url::parse(&question.url()).map_err(|_| "host and path must form a URI")?;
    let target = base.join(location).map_err(|error| match error {
        ParseError::InvalidPort => "a redirect's port must be a number from 0 to 65535",
        ParseError::EmptyHost => "a redirect's target must name a host",
        _ => "a redirect's target must be a URI",
    })?;
    let is_secure = match target.scheme() {
        "http" => false,
        "https" => true,
        _ => return Err("a redirect's scheme must be http or https"),
    };
    if !target.username().is_empty() || target.password().is_some() {
        return Err("a redirect's target must not carry a user");
    }
    let host = match target.host() {
        Some(Host::Domain(name)) => name.to_owned(),
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(address)) => address.to_string(),
        None => return Err("a redirect's target must name a host"),
    };
    let scheme = match question.scheme {
        _ if !is_secure => Scheme::Http,
        Scheme::Https(verify) if host.eq_ignore_ascii_case(&question.host) => Scheme::Https(verify),
        Scheme::Https(_) | Scheme::Http => Scheme::Https(Verify::Full),
    };
    let port = target.port_or_known_default().ok_or("a redirect's target must be a URI")?;
    let path = target[Position::BeforePath..Position::AfterQuery].to_owned();
    path.parse::<PathAndQuery>().map_err(|_| "a redirect's path must be a valid path")?;
    Ok(Question { scheme, host, port, path, ..question.clone() })
}
