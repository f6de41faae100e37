//! Entry point of the fuzz target for configuration files (`tests/fuzz`), and what must hold for any bytes.
//! Not part of the library: it exists for fuzzing and for the tests that replay the seeds.

use ase_probes::tls::Trust;

use super::{complete, error::Findings, source};

/// The longest text that is said about one file: a hundred mistakes of a thousand characters.
const LONGEST: usize = 600_000;

/// Any bytes as a configuration file: it is good, or what is wrong with it is said within bounds and without a character
/// that steers.
pub fn configuration(bytes: &[u8]) {
    let settings = source::of_bytes("fuzz.yaml", bytes.to_vec(), &|_| None)
        .and_then(|source| complete(&source, None, Trust::none(), Findings::default()));
    if let Err(error) = settings {
        let text = error.to_string();
        assert!(text.starts_with("fuzz.yaml:"), "{text}");
        assert!(text.len() <= LONGEST, "{} bytes are said", text.len());
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    }
}

#[cfg(test)]
mod tests {
    use crate::replay;

    #[test]
    fn every_seed_keeps_what_must_hold_for_any_bytes() {
        replay::seeds("configuration", super::configuration);
    }
}
