//! Whether a request takes gzip, by its `accept-encoding` (RFC 9110 section 12.5.3). Pure.

use axum::http::{HeaderMap, header};

/// Whether gzip may be sent: it is named with a quality above zero, or anything is and gzip is not excluded.
pub(super) fn takes_gzip(asked: &HeaderMap) -> bool {
    let values = asked.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let (mut gzip, mut any) = (None, None);
    for item in values.flat_map(|value| value.split(',')) {
        let (name, quality) = read(item);
        match name.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => gzip = Some(quality),
            "*" => any = Some(quality),
            _ => {}
        }
    }
    gzip.or(any).is_some_and(|quality| quality > 0.0)
}

/// A coding and its quality; one that cannot be read is none.
fn read(item: &str) -> (&str, f32) {
    let mut parts = item.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let quality = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
    let quality =
        quality.map_or(Some(1.0), |text| text.trim().parse().ok().filter(|quality: &f32| quality.is_finite()));
    (name, quality.unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn gzip_is_sent_to_who_takes_it() {
        for (value, takes) in [
            ("gzip", true),
            ("deflate, GZIP;q=0.5", true),
            ("*", true),
            ("*;q=0.1, gzip;q=0", false),
            ("gzip;q=0.000", false),
            ("gzip; q=nonsense", false),
            ("gzip;q=inf", false),
            ("identity, br", false),
            ("gzipped", false),
            ("", false),
        ] {
            let asked = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(value))]);
            assert_eq!(takes_gzip(&asked), takes, "{value:?}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
