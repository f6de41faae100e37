//! Reads an answer whose head has come: what is kept of the head, and the body as far as its proof needs it.

use std::{
    future::poll_fn,
    pin::pin,
    time::{Duration, UNIX_EPOCH},
};

use http::{HeaderMap, HeaderName, Response, header, response::Parts};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::{driven::Driven, trouble};
use crate::{
    clock,
    evidence::{Escaped, Trouble},
    http::{Answer, Proof, SetCookies, answer::BODY_START_LIMIT, coding, crl, redirect},
    pace::Pace,
    tap::Tap,
};

/// Bytes of a body that is only evidence: 512 are kept; a short page is read to its end, so that closing resets nothing.
const BODY_LIMIT: usize = 4 * 1024;
/// Bytes of a body that is searched for a text: the pages that connectivity checks ask for have a few dozen.
pub(super) const SEARCH_LIMIT: usize = 64 * 1024;
/// Characters of the Server header that are kept: one line of a report.
const SERVER_LIMIT: usize = 128;

/// Reads the body of an answer as far as the proof needs it. What came stays in `answer`, also of a body that is cut.
pub(super) async fn read<C: Future>(
    response: Response<Incoming>,
    mut line: Driven<'_, C>,
    (proof, tap): (&Proof, &Tap),
    answer: &mut Option<Answer>,
) -> Result<(), Trouble> {
    let (head, mut body) = response.into_parts();
    let codings = coding::of(&head.headers);
    let answer = answer.insert(of_head(&head));
    let proof = if head.status.is_success() { proof } else { &Proof::AnyResponse };
    let limit = body_limit(proof);
    let (mut kept, mut pace) = (Vec::new(), Pace::default());
    let result = loop {
        if answer.body_len > limit {
            break Ok(());
        }
        let mut frame = pin!(body.frame());
        let data = match poll_fn(|cx| line.poll(frame.as_mut(), cx)).await {
            None => break Ok(()),
            Some(Err(error)) => break Err(trouble(&error, tap)),
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
        };
        answer.body_len += data.len();
        kept.extend_from_slice(&data[..data.len().min((limit + 1).saturating_sub(kept.len()))]);
        if let Err(trouble) = pace.note(data.len(), clock::now()) {
            break Err(trouble);
        }
    };
    let text;
    (text, answer.compression) = coding::unpack(kept, &codings, limit + 1);
    answer.body_start = text[..text.len().min(BODY_START_LIMIT)].to_vec();
    examine(proof, text, answer).await;
    result
}

fn of_head(head: &Parts) -> Answer {
    let location = redirect::location(&head.headers);
    Answer {
        status: head.status.as_u16(),
        version: version(head.version),
        server: text(&head.headers, header::SERVER, SERVER_LIMIT),
        cookies: location.as_ref().map(|_| SetCookies::of(&head.headers)).unwrap_or_default(),
        location,
        clock_offset: clock_offset(&head.headers, clock::wall()),
        ..Answer::default()
    }
}

fn body_limit(proof: &Proof) -> usize {
    match proof {
        Proof::AnyResponse | Proof::Status(_) => BODY_LIMIT,
        Proof::Contains(_) => SEARCH_LIMIT,
        Proof::Crl => crl::LIMIT,
    }
}

async fn examine(proof: &Proof, body: Vec<u8>, answer: &mut Answer) {
    match proof {
        Proof::AnyResponse | Proof::Status(_) => {}
        Proof::Contains(text) => {
            answer.contains = text.is_empty() || body.windows(text.len()).any(|window| window == text.as_bytes());
        }
        Proof::Crl => answer.crl = crl::read(body, clock::wall()).await,
    }
}

fn version(version: http::Version) -> &'static str {
    match version {
        http::Version::HTTP_10 => "HTTP/1.0",
        http::Version::HTTP_11 => "HTTP/1.1",
        http::Version::HTTP_2 => "HTTP/2",
        _ => "HTTP",
    }
}

fn text(headers: &HeaderMap, name: HeaderName, limit: usize) -> Option<String> {
    let value = headers.get(name)?.as_bytes();
    Some(Escaped(&value[..value.len().min(limit)]).to_string())
}

/// The date of the answer (RFC 9110 section 6.6.1) minus our wall clock, in seconds.
fn clock_offset(headers: &HeaderMap, wall: Duration) -> Option<f64> {
    if headers.get(header::AGE).is_some_and(|age| age.as_bytes() != b"0") {
        return None;
    }
    let date = httpdate::parse_http_date(headers.get(header::DATE)?.to_str().ok()?).ok()?;
    let date = date.duration_since(UNIX_EPOCH).ok()?;
    Some(date.as_secs_f64() - wall.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_date_is_compared_with_our_clock_unless_a_cache_kept_it() {
        let wall = Duration::from_millis(1_764_000_000_500);
        let date = "Mon, 24 Nov 2025 16:00:02 GMT";
        type Pairs<'a> = &'a [(HeaderName, &'a str)];
        let rows: [(Pairs, Option<f64>); 6] = [
            (&[(header::DATE, date)], Some(1.5)),
            (&[(header::DATE, "Monday, 24-Nov-25 16:00:02 GMT")], Some(1.5)),
            (&[(header::DATE, date), (header::AGE, "0")], Some(1.5)),
            (&[(header::DATE, date), (header::AGE, "60")], None),
            (&[(header::DATE, "yesterday")], None),
            (&[], None),
        ];
        for (pairs, expected) in rows {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).expect("visible"));
            }
            assert_eq!(clock_offset(&headers, wall), expected, "{pairs:?}");
        }
    }
}
