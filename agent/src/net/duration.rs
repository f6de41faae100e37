//! Durations as people write them: `30s`, `1m30s`, `500ms`, `2d`.

use std::time::Duration;

use jiff::{SignedDuration, Span, SpanRelativeTo};
use serde::{Deserialize, Deserializer, de::Error};

/// The shortest duration that has a meaning here; anything shorter would only spin.
const SHORTEST: Duration = Duration::from_millis(1);
/// The longest, 30 days: far behind every use, far from the end of the clock.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// A duration from 1 ms to 30 days, read from text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct HumanDuration(
    #[cfg_attr(test, schemars(with = "String", regex(pattern = "^[^-]*[0-9][^-]*[A-Za-z][^-]*$")))] pub Duration,
);

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).map(Self).map_err(D::Error::custom)
    }
}

/// Reads a duration.
///
/// # Errors
/// The rule that the text breaks, with the text.
pub fn parse(text: &str) -> Result<Duration, String> {
    let rule = || format!("duration ({text}) must be a number with a unit, for example 30s, 1m30s, 500ms or 2d");
    let signed = text.parse().ok().or_else(|| with_days(text)).ok_or_else(rule)?;
    match Duration::try_from(signed) {
        Ok(duration) if duration > LONGEST => Err(format!("duration ({text}) must be at most {}", show(LONGEST))),
        Ok(duration) if duration >= SHORTEST => Ok(duration),
        Ok(duration) if !duration.is_zero() => Err(format!("duration ({text}) must be at least {}", show(SHORTEST))),
        Ok(_) | Err(_) => Err(format!("duration ({text}) must be longer than zero")),
    }
}

/// Days of 24 hours and weeks of seven days; no clock is set by these durations, so that none is longer or shorter.
fn with_days(text: &str) -> Option<SignedDuration> {
    text.parse::<Span>().ok()?.to_duration(SpanRelativeTo::days_are_24_hours()).ok()
}

/// Writes a duration the way it is read.
pub fn show(duration: Duration) -> String {
    SignedDuration::try_from(duration)
        .map_or_else(|_| format!("{}s", duration.as_secs()), |signed| format!("{signed:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, millis) in [
            ("30s", 30_000),
            ("1m30s", 90_000),
            ("500ms", 500),
            ("2h", 7_200_000),
            ("1m 30s", 90_000),
            ("2d", 172_800_000),
            ("1d12h", 129_600_000),
            ("1w", 604_800_000),
            ("2 days", 172_800_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
            assert_eq!(parse(&show(Duration::from_millis(millis))), Ok(Duration::from_millis(millis)));
        }
        for text in
            ["", "30", "0s", "-5s", "5x", "soon", "1ns", "721h", "31d", "1mo", "d", "-2d", "0d", "9223372036854775807s"]
        {
            let error = parse(text).expect_err(text);
            assert!(error.contains(&format!("({text})")), "{error}");
        }
    }
    #[test]
    fn a_duration_that_ends_the_clock_or_spins_is_refused() {
        assert_eq!(parse("1h 9223372036854s").unwrap_err(), "duration (1h 9223372036854s) must be at most 720h");
        assert_eq!(parse("999us").unwrap_err(), "duration (999us) must be at least 1ms");
        assert_eq!(parse("720h"), Ok(LONGEST));
        assert_eq!(parse("1ms"), Ok(SHORTEST));
    }
}
