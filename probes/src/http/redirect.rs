//! Where a redirect leads, as the next question. Whether it may be followed is not decided here.

use http::{Uri, uri::Authority};

use super::{Answer, Question, Scheme};
use crate::tls::Verify;

/// Characters in a Location header: what browsers and servers have long taken for the limit of an address.
pub(super) const LOCATION_LIMIT: usize = 2048;

/// Builds the question that a redirect leads to; `None` if the answer is no redirect.
///
/// # Errors
/// The rule that the target breaks.
pub fn redirect_target(question: &Question, answer: &Answer) -> Option<Result<Question, &'static str>> {
    let location = match answer.status {
        301 | 302 | 303 | 307 | 308 => answer.location.as_deref()?,
        _ => return None,
    };
    Some(resolve(question, location))
}

fn resolve(question: &Question, location: &str) -> Result<Question, &'static str> {
    if location.len() >= LOCATION_LIMIT {
        return Err("a redirect's target must be shorter than 2048 characters");
    }
    if location.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return Err("a redirect's target must be printable ASCII without spaces");
    }
    let target = location.split('#').next().unwrap_or_default();
    if let Some(rest) = target.strip_prefix("//") {
        let scheme = match question.scheme {
            Scheme::Http => "http",
            Scheme::Https(_) => "https",
        };
        return absolute(question, &format!("{scheme}://{rest}"));
    }
    match scheme_of(target) {
        Some(_) => absolute(question, target),
        None => with_path(question, relative(&question.path, target)),
    }
}

/// The scheme in front of the first colon, if the characters are those of RFC 3986 section 3.1.
fn scheme_of(target: &str) -> Option<&str> {
    let (scheme, _) = target.split_once(':')?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    (scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.bytes().all(allowed)).then_some(scheme)
}

fn absolute(question: &Question, target: &str) -> Result<Question, &'static str> {
    let secure = match scheme_of(target).map(str::to_ascii_lowercase).as_deref() {
        Some("http") => false,
        Some("https") => true,
        Some(_) | None => return Err("a redirect's scheme must be http or https"),
    };
    let uri: Uri = target.parse().map_err(|_| "a redirect's target must be a URI")?;
    let authority = uri.authority().ok_or("a redirect's target must name a host")?;
    let host = host_of(authority)?;
    let scheme = match question.scheme {
        _ if !secure => Scheme::Http,
        Scheme::Https(verify) if host.eq_ignore_ascii_case(&question.host) => Scheme::Https(verify),
        Scheme::Https(_) | Scheme::Http => Scheme::Https(Verify::Full),
    };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
    with_path(&Question { scheme, host, port, ..question.clone() }, path)
}

fn host_of(authority: &Authority) -> Result<String, &'static str> {
    if authority.as_str().contains('@') {
        return Err("a redirect's target must not carry a user");
    }
    if authority.port().is_none() && authority.as_str().len() != authority.host().len() {
        return Err("a redirect's port must be a number from 0 to 65535");
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() { Err("a redirect's target must name a host") } else { Ok(host.to_ascii_lowercase()) }
}

/// Resolves a reference without scheme and host against the path that was asked for (RFC 3986 section 5.2).
fn relative(base: &str, target: &str) -> String {
    let base = base.split('?').next().unwrap_or("/");
    match target.as_bytes().first() {
        None => base.to_owned(),
        Some(b'/') => target.to_owned(),
        Some(b'?') => format!("{base}{target}"),
        Some(_) => format!("{}/{target}", base.rsplit_once('/').map_or("", |(folder, _)| folder)),
    }
}

fn with_path(question: &Question, path: String) -> Result<Question, &'static str> {
    path.parse::<http::uri::PathAndQuery>().map_err(|_| "a redirect's path must be a valid path")?;
    Ok(Question { path, ..question.clone() })
}
