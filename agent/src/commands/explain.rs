//! `ase-agent explain`: what a cause means.

use std::process::ExitCode;

use ase_probes::cause::Cause;

use crate::{
    commands::{failure::Failure, options::Output, outcome},
    readers::{explain as layout, json},
};

/// Explains a cause, or lists them all.
///
/// # Errors
/// A label that no cause has.
pub fn run(cause: Option<&str>, output: Output) -> Result<ExitCode, Failure> {
    let Some(label) = cause else {
        let all: Vec<Cause> = layout::losses().copied().collect();
        return outcome::tell(output, || json::causes_to_json(&all), layout::list, 0);
    };
    let cause = Cause::from_label(&label.replace('-', "_").to_ascii_lowercase()).ok_or_else(|| {
        let near = near(label);
        let hint = if near.is_empty() { String::new() } else { format!(", did you mean {}?", near.join(" or ")) };
        let label = label.escape_debug();
        Failure::Usage(format!("cause ({label}): no such cause{hint} `ase-agent explain` lists them"))
    })?;
    outcome::tell(output, || json::causes_to_json(&[cause]), || layout::explain(cause), 0)
}

/// Labels that are offered at most.
const OFFERED: usize = 3;

/// The labels that were perhaps meant: those that hold the word, else those that few changes make of it.
fn near(word: &str) -> Vec<&'static str> {
    let word = word.replace('-', "_").to_ascii_lowercase();
    let labels = || Cause::ALL.iter().map(|cause| cause.label());
    let holding: Vec<_> = labels().filter(|label| word.len() > 2 && label.contains(&*word)).take(OFFERED).collect();
    if !holding.is_empty() {
        return holding;
    }
    let mut scored: Vec<_> = labels().map(|label| (strsim::damerau_levenshtein(&word, label), label)).collect();
    scored.sort_unstable();
    let best = scored.first().map_or(0, |(distance, _)| *distance);
    let few = |(distance, label): &&(usize, &str)| *distance == best && *distance <= (label.len() / 2).min(4);
    scored.iter().filter(few).take(OFFERED).map(|(_, label)| *label).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_labels_are_offered_and_far_ones_are_not() {
        assert_eq!(near("tls_intercept"), ["tls_intercepted"]);
        assert_eq!(near("droped"), ["dropped"]);
        assert_eq!(near("nxdomain"), ["dns_nxdomain"]);
        assert_eq!(near("tls-blockd"), ["tls_blocked"]);
        assert_eq!(near("gremlins and goblins"), Vec::<&str>::new());
    }
}
