//! Entry point of the fuzz target for rows of the store (`tests/fuzz`), and what must hold for any bytes.
//! Not part of the library: it exists for fuzzing and for the tests that replay the seeds.

use super::rows::{clocks_from_text, clocks_to_text, standings_from_text, standings_to_text};
use crate::risk::estimate::RiskMemory;

/// Any bytes as the clocks and standings of a row: what can be read is written and read again as the same.
pub fn rows(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Some(clocks) = clocks_from_text(&text) {
        assert!(clocks.values().all(|clock| clock.outage.is_finite() && clock.outage >= 0.0 && clock.loss.is_finite()));
        let risk = RiskMemory { clocks, ..RiskMemory::default() };
        assert_eq!(clocks_from_text(&clocks_to_text(&risk)), Some(risk.clocks));
    }
    if let Some(standings) = standings_from_text(&text) {
        // An id with an end of line in it is not remembered.
        let kept = standings.iter().filter(|(id, _)| !id.0.contains(['\n', '\r'])).map(|(id, one)| (id.clone(), *one));
        let kept = kept.collect();
        assert_eq!(standings_from_text(&standings_to_text(&kept)), Some(kept));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::replay;

    #[test]
    fn every_seed_keeps_what_must_hold_for_any_bytes() {
        replay::seeds("rows", super::rows);
    }

    proptest! {
        #[test]
        fn any_text_is_rows_or_none(text in "(sql|dns|up|down|unknown|[0-9.e-]{1,6}|[ \n\r:])*") {
            super::rows(text.as_bytes());
        }
    }
}
