//! Content codings (RFC 9110 section 8.4): what a body is compressed with although `identity` was asked for, and what it
//! says without that.

use std::io::Read;

use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, HeaderName, header};

use super::Compression;
use crate::evidence::Escaped;

/// Codings upon each other that are taken off: honest servers use one, a misconfigured pair of them two.
const LAYERS: usize = 2;
/// Characters of a coding's name that are kept.
const NAME_LIMIT: usize = 32;

/// The codings of an answer in the order in which they were applied, lower case. A transfer coding beside `chunked`
/// (RFC 9112 section 7.2) is one more.
pub(super) fn of(headers: &HeaderMap) -> Vec<String> {
    let named =
        |name: HeaderName| headers.get_all(name).into_iter().flat_map(|value| value.as_bytes().split(|b| *b == b','));
    named(header::CONTENT_ENCODING)
        .chain(named(header::TRANSFER_ENCODING))
        .map(|name| name.trim_ascii().to_ascii_lowercase())
        .filter(|name| !matches!(name.as_slice(), b"" | b"identity" | b"chunked"))
        .map(|name| Escaped(&name[..name.len().min(NAME_LIMIT)]).to_string())
        .collect()
}

/// Takes the codings off as far as `limit` bytes of text; `None` where one is not known here or the body is not what its
/// head says. A body that was cut gives its beginning.
fn decode(body: &[u8], codings: &[String], limit: usize) -> Option<Vec<u8>> {
    if codings.len() > LAYERS {
        return None;
    }
    codings.iter().rev().try_fold(body.to_vec(), |body, coding| match coding.as_str() {
        "gzip" | "x-gzip" => inflate(MultiGzDecoder::new(body.as_slice()), limit),
        // RFC 9110 section 8.4.1.2: zlib's format is meant, some send the bare stream.
        "deflate" => inflate(ZlibDecoder::new(body.as_slice()), limit)
            .or_else(|| inflate(DeflateDecoder::new(body.as_slice()), limit)),
        _ => None,
    })
}

/// Reads until the end, the limit or the first damage, whichever comes first.
fn inflate(mut decoder: impl Read, limit: usize) -> Option<Vec<u8>> {
    let (mut text, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let room = part.len().min(limit - text.len());
        match decoder.read(&mut part[..room]) {
            Ok(0) => return Some(text),
            Ok(count) => text.extend_from_slice(&part[..count]),
            Err(_) => return (!text.is_empty()).then_some(text),
        }
    }
}

/// What a body says, and what it was compressed with.
pub(super) fn unpack(body: Vec<u8>, codings: &[String], limit: usize) -> (Vec<u8>, Option<Compression>) {
    if codings.is_empty() || body.is_empty() {
        return (body, None);
    }
    let coding = codings.join(", ");
    match decode(&body, codings, limit) {
        Some(text) => (text, Some(Compression { coding, is_read: true })),
        None => (body, Some(Compression { coding, is_read: false })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression as Level, write};
    use std::io::Write;

    const TEXT: &[u8] = b"status: all is well";

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = write::GzEncoder::new(Vec::new(), Level::best());
        encoder.write_all(text).and_then(|()| encoder.finish()).expect("memory takes it")
    }

    fn unpacked(body: Vec<u8>, codings: &[&str]) -> (Vec<u8>, Option<bool>) {
        let codings: Vec<String> = codings.iter().map(ToString::to_string).collect();
        let (text, compression) = unpack(body, &codings, 1000);
        (text, compression.map(|compression| compression.is_read))
    }

    #[test]
    fn every_usual_coding_is_taken_off() {
        let mut zlib = write::ZlibEncoder::new(Vec::new(), Level::best());
        let mut bare = write::DeflateEncoder::new(Vec::new(), Level::best());
        zlib.write_all(TEXT).and_then(|()| bare.write_all(TEXT)).expect("memory takes it");
        let (zlib, bare) = (zlib.finish().expect("it ends"), bare.finish().expect("it ends"));
        for (body, codings) in [
            (gzip(TEXT), &["gzip"][..]),
            (gzip(TEXT), &["x-gzip"]),
            (zlib, &["deflate"]),
            (bare, &["deflate"]),
            (gzip(&gzip(TEXT)), &["gzip", "gzip"]),
            ([gzip(&TEXT[..7]), gzip(&TEXT[7..])].concat(), &["gzip"]),
        ] {
            assert_eq!(unpacked(body, codings), (TEXT.to_vec(), Some(true)), "{codings:?}");
        }
        assert_eq!(unpacked(TEXT.to_vec(), &[]), (TEXT.to_vec(), None));
    }

    #[test]
    fn what_is_unknown_damaged_or_endless_is_bounded_and_said() {
        assert_eq!(unpacked(TEXT.to_vec(), &["br"]), (TEXT.to_vec(), Some(false)));
        assert_eq!(unpacked(TEXT.to_vec(), &["gzip"]), (TEXT.to_vec(), Some(false)));
        assert_eq!(unpacked(gzip(TEXT), &["gzip"; 3]).1, Some(false));
        assert_eq!(unpacked(gzip(&[b'a'; 100_000]), &["gzip"]), (vec![b'a'; 1000], Some(true)));
        let long: Vec<u8> = (0..50_000_u32).flat_map(|number| (number % 9973).to_be_bytes()).collect();
        let mut cut = gzip(&long);
        cut.truncate(cut.len() / 2);
        assert_eq!(unpacked(cut, &["gzip"]), (long[..1000].to_vec(), Some(true)));
        assert_eq!(unpacked(Vec::new(), &["gzip"]), (Vec::new(), None));
    }

    #[test]
    fn codings_are_read_in_their_order_whatever_their_case() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (header::CONTENT_ENCODING, "GZIP , identity"),
            (header::CONTENT_ENCODING, "br"),
            (header::TRANSFER_ENCODING, "deflate, Chunked"),
        ] {
            headers.append(name, value.parse().expect("visible"));
        }
        assert_eq!(of(&headers), ["gzip", "br", "deflate"]);
    }
}
