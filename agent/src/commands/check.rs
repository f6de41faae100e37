//! `ase-agent check`: one round over the chosen endpoints, with the same engine and snapshot as the daemon; how wide and
//! whether in colour its report is printed.

use std::{io::IsTerminal, process::ExitCode, sync::Arc, time::Duration};

use ase_probes::{class::Class, clock, local_facts::file_limit};
use clap::builder::TypedValueParser as _;
use clap::{Args, builder::PossibleValuesParser};

use crate::{
    commands::{
        cli::{ConfigFile, Output},
        failure::{Failure, runtime},
        stdout,
        terminal::Terminal,
    },
    config,
    engine::{monitor::Monitor, snapshot::Snapshot},
    model::{catalog::Catalog, rounds::Rounds, settings::Settings},
    net::duration,
    readers::{VERSION, json, report, summary::Summary},
    web::witness,
};

/// Thinking over what is known at the end, asking a daemon beside this look, and printing take so long at most.
const CLOSING: Duration = Duration::from_millis(250);
/// The shortest time in which a look answers by default: two default time-outs of 7 s and the wait of 1 s between them.
const SHORTEST: Duration = Duration::from_secs(15);

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct Check {
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigFile,
    /// Check only this class (repeatable)
    #[arg(long, value_name = "CLASS", value_parser = PossibleValuesParser::new(Class::ALL.map(Class::label))
        .map(|label| Class::from_label(&label).expect("clap admits only labels of classes")))]
    pub class: Vec<Class>,
    /// Check only this endpoint: its id or its host name (repeatable)
    #[arg(long, value_name = "NAME")]
    pub endpoint: Vec<String>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// Answer within this time and say what was not asked [default: 15s, or twice the longest time-out and the wait
    /// between them where that is longer]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub within: Option<Duration>,
    /// Exit with 2 where a critical slot is not filled, although all that is watched is well
    #[arg(long)]
    pub strict: bool,
    /// List healthy endpoints too
    #[arg(long, short)]
    pub verbose: bool,
}

/// Checks once and prints the report; the exit code says how bad it is.
///
/// # Errors
/// A bad configuration, or an endpoint that the catalogue does not have.
pub fn run(arguments: &Check) -> Result<ExitCode, Failure> {
    let settings = config::load(arguments.config.config.as_deref())?;
    let choice = Choice { classes: arguments.class.clone(), endpoints: arguments.endpoint.clone() };
    let catalog = choice.apply(&settings.catalog).map_err(|name| {
        Failure::Usage(format!(
            "--endpoint ({name}): the catalogue has no such endpoint; `ase-agent profile show` lists them"
        ))
    })?;
    let settings = Settings { catalog: Arc::new(catalog), ..settings };
    let (listen, within) = (settings.listen, arguments.within.unwrap_or_else(|| patience(&settings)));
    let mut terminal = Terminal::new(settings.catalog.endpoints.len());
    let (snapshot, witness) = runtime()?.block_on(async {
        let snapshot = round(settings, within, |monitor| terminal.watch(monitor)).await;
        (snapshot, witness::ask(listen).await)
    });
    terminal.close();
    let text = match arguments.output {
        Output::Json => json::check_to_json(&snapshot, witness.as_ref(), VERSION) + "\n",
        Output::Table => report::render(&snapshot, witness.as_ref(), look(arguments.verbose)),
    };
    stdout::print(&text)?;
    let summary = Summary::of(&snapshot);
    Ok(ExitCode::from(if arguments.strict { summary.strict_exit_code() } else { summary.exit_code() }))
}

fn look(verbose: bool) -> report::Look {
    let is_terminal = std::io::stdout().is_terminal();
    let (height, width) = console::Term::stdout().size_checked().unzip();
    let wanted = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    report::Look { width: wanted.or(width).filter(|_| is_terminal), height, colour: is_terminal, verbose }
}

/// The time in which the answer stands: a silence and its confirmation, each as long as the longest time-out, and the wait
/// between them. Follow-up measurements take up to 9 s after the first failure, so it is not less than [`SHORTEST`].
fn patience(settings: &Settings) -> Duration {
    let longest = settings.catalog.endpoints.iter().map(|endpoint| endpoint.target.timeout).max().unwrap_or_default();
    (longest * 2 + settings.pace.confirm_after).max(SHORTEST)
}

/// Which endpoints to check. Empty lists choose all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Classes to check.
    pub classes: Vec<Class>,
    /// Endpoint ids or host names to check.
    pub endpoints: Vec<String>,
}

impl Choice {
    /// The catalogue cut down to the chosen endpoints and slots.
    ///
    /// # Errors
    /// The name that no endpoint has.
    pub fn apply(&self, catalog: &Catalog) -> Result<Catalog, String> {
        if let Some(missing) = self.endpoints.iter().find(|name| !catalog.endpoints.iter().any(|e| names(e, name))) {
            return Err(missing.clone());
        }
        let mut chosen = catalog.clone();
        chosen.endpoints.retain(|endpoint| {
            self.has(endpoint.class) && (self.endpoints.is_empty() || self.endpoints.iter().any(|n| names(endpoint, n)))
        });
        chosen.slots.retain(|slot| self.has(slot.class) && self.endpoints.is_empty());
        Ok(chosen)
    }

    fn has(&self, class: Class) -> bool {
        self.classes.is_empty() || self.classes.contains(&class)
    }
}

fn names(endpoint: &crate::model::catalog::Endpoint, name: &str) -> bool {
    *endpoint.id.0 == *name || endpoint.target.host.to_string() == name
}

/// Visits every endpoint once, a second time where the first was bad, and answers within this time. `watch` sees the loop
/// after each step.
pub async fn round(settings: Settings, within: Duration, mut watch: impl FnMut(&Monitor)) -> Arc<Snapshot> {
    let ends = clock::now() + within.saturating_sub(CLOSING);
    let mut monitor = Monitor::new(settings, Rounds::One, file_limit(), rand::random());
    monitor.end_at(ends);
    while !monitor.is_settled() {
        tokio::select! {
            () = monitor.step() => watch(&monitor),
            () = tokio::time::sleep_until(ends.into()) => break,
        }
    }
    monitor.conclude();
    Arc::clone(&monitor.subscribe().borrow())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_endpoint_is_named_and_a_class_cuts_the_slots_too() {
        let catalog = Catalog {
            profile: "p".to_owned(),
            cloud: "public".to_owned(),
            edition: "2023-11-20".to_owned(),
            endpoints: Vec::new(),
            slots: Vec::new(),
        };
        let choice = Choice { endpoints: vec!["nowhere:1".to_owned()], ..Choice::default() };
        assert_eq!(choice.apply(&catalog), Err("nowhere:1".to_owned()));
        assert_eq!(Choice::default().apply(&catalog), Ok(catalog));
    }
}
