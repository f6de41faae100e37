//! What is logged: `info`, or `warn,ase_agent::visit=debug`, read strictly, so that a mistyped word is no silent module.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

/// The levels by name, the quietest first.
const LEVELS: [(&str, LevelFilter); 6] = [
    ("off", LevelFilter::OFF),
    ("error", LevelFilter::ERROR),
    ("warn", LevelFilter::WARN),
    ("info", LevelFilter::INFO),
    ("debug", LevelFilter::DEBUG),
    ("trace", LevelFilter::TRACE),
];
/// The product's own modules begin so.
const OWN: [&str; 2] = ["ase_agent", "ase_probes"];
/// A word is taken for a mistyped one where so many changes make it right.
const NEAR: usize = 2;

/// Reads a filter: levels, each for everything or for the modules that begin with a path, separated by commas.
///
/// # Errors
/// The rule that the text breaks, with the part that breaks it.
pub(super) fn parse(text: &str) -> Result<Targets, String> {
    let (mut targets, mut default) = (Targets::new(), None);
    for part in text.split(',').map(str::trim) {
        match part.split_once('=') {
            None => match (level(part)?, default) {
                (_, Some(_)) => return Err(format!("`{part}` is a second level for everything")),
                (level, None) => default = Some(level),
            },
            Some((module, word)) => targets = targets.with_target(path(module.trim())?, level(word.trim())?),
        }
    }
    Ok(targets.with_default(default.unwrap_or(LevelFilter::INFO)))
}

fn level(word: &str) -> Result<LevelFilter, String> {
    let found = LEVELS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
    found.map(|(_, level)| *level).ok_or_else(|| {
        let names = LEVELS.map(|(name, _)| name);
        let near = near(&word.to_ascii_lowercase(), &names);
        let hint = near.map(|near| format!(", did you mean `{near}`?")).unwrap_or_default();
        format!(
            "`{}` is no level{hint} (valid: {}; for one module: MODULE=LEVEL)",
            word.escape_debug(),
            names.join(", ")
        )
    })
}

/// A path of modules: any library's, and not one of ours with a slip in it.
fn path(module: &str) -> Result<&str, String> {
    let named = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let first = module.split("::").next().unwrap_or_default();
    if !OWN.contains(&first)
        && let Some(near) = near(first, &OWN)
    {
        return Err(format!("`{}` is no module, did you mean `{near}`?", module.escape_debug()));
    }
    if !module.split("::").all(named) {
        return Err(format!("`{}` must be a path of modules, for example ase_agent::visit", module.escape_debug()));
    }
    Ok(module)
}

fn near<'a>(word: &str, valid: &[&'a str]) -> Option<&'a str> {
    let scored = valid.iter().map(|valid| (strsim::damerau_levenshtein(word, valid), *valid));
    let most = |valid: &str| if valid.starts_with(word) || word.starts_with(valid) { word.len() } else { NEAR };
    scored.filter(|(distance, valid)| !word.is_empty() && *distance <= most(valid)).min().map(|(_, valid)| valid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_for_everything_and_for_modules() {
        let of = |text: &str| parse(text).expect(text);
        assert!(of("debug").would_enable("hyper", &tracing::Level::DEBUG));
        assert!(!of("INFO").would_enable("ase_agent", &tracing::Level::DEBUG));
        assert!(!of("off").would_enable("ase_agent", &tracing::Level::ERROR));
        let mixed = of("warn, ase_agent::visit=debug");
        assert!(mixed.would_enable("ase_agent::visit::visitor", &tracing::Level::DEBUG));
        assert!(!mixed.would_enable("ase_agent::engine", &tracing::Level::INFO));
        let module_only = of("ase_probes=trace");
        assert!(module_only.would_enable("ase_agent", &tracing::Level::INFO), "the rest stays as it is by default");
    }

    #[test]
    fn slips_are_errors_that_name_what_was_meant() {
        for (text, rule) in [
            ("inof", "`inof` is no level, did you mean `info`? (valid: off, error, warn, info, debug, trace"),
            ("warning", "did you mean `warn`?"),
            ("err", "did you mean `error`?"),
            ("verbose", "`verbose` is no level (valid:"),
            ("", "`` is no level (valid:"),
            ("info,", "`` is no level"),
            ("info,ase_agent=debgu", "`debgu` is no level, did you mean `debug`?"),
            ("ase-agent=debug", "`ase-agent` is no module, did you mean `ase_agent`?"),
            ("ase_agnet::visit=debug", "did you mean `ase_agent`?"),
            ("ase_agent", "`ase_agent` is no level (valid:"),
            ("info,debug", "`debug` is a second level for everything"),
            ("=debug", "`` must be a path of modules"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(rule), "{text}: {error}");
        }
    }
}
