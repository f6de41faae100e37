//! `ase-agent check`: one round over the chosen endpoints, with the same engine and snapshot as the daemon; how wide and
//! whether in colour its report is printed.

mod baseline;
mod choice;
mod ticket;

use std::{ffi::OsString, io::IsTerminal, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use ase_probes::{class::Class, clock};
use clap::builder::TypedValueParser as _;
use clap::{Args, builder::PossibleValuesParser};

use crate::{
    commands::{
        failure::{Failure, runtime},
        open_files,
        options::{ConfigFile, Output},
        stdout,
        terminal::{TICK, Terminal},
    },
    config,
    engine::{monitor::Monitor, snapshot::Snapshot},
    model::{catalog::Catalog, rounds::Rounds, settings::Settings},
    net::duration,
    readers::{VERSION, json, report, summary::Summary, witness::Witness},
    web::witness,
};

pub use choice::Choice;

/// Thinking over what is known at the end, asking a daemon beside this look, and printing take so long at most.
const CLOSING: Duration = Duration::from_millis(250);
/// The shortest time in which a look answers by default: two default time-outs of 7 s and the wait of 1 s between them.
const SHORTEST: Duration = Duration::from_secs(15);

pub(super) const NOTES: &str = "\
Exit codes:
  0   all well (slots that are not configured do not count); with --baseline diff: nothing broke or got worse
  1   something critical is lost, or the command itself failed; with --baseline diff: something that worked is lost
  2   only warnings: something of lesser severity is lost, degraded or could not be tested; with --baseline diff: something
      got worse, could not be tested any more, or is new and not well
  3   with --baseline diff: no endpoint could be tested
  64  the command line is wrong
  78  the configuration is wrong, or a file cannot be used

Examples:
  ase-agent check
  ase-agent check --class dns --class sql
  ase-agent check --endpoint login.microsoftonline.com:443 --output json
  ase-agent check --fast --failed-only
  ase-agent check --report ticket.html
  ase-agent check --baseline save before.json
  ase-agent check --baseline diff before.json";

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
    /// List only what failed; of the rest the number
    #[arg(long, conflicts_with = "verbose")]
    pub failed_only: bool,
    /// Answer within 8 s: ask critical endpoints only, and wait for each 3 s at most; the report says what that leaves out
    #[arg(long)]
    pub fast: bool,
    /// `save FILE` keeps how everything stands; `diff FILE` says what broke, got better, is new or gone since then
    #[arg(long, num_args = 2, value_names = ["save|diff", "FILE"])]
    pub baseline: Vec<OsString>,
    /// Also write a ticket: answer, incidents, evidence, advice, what was not tested; FILE ends in .md or .html
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// Checks once and prints the report; the exit code says how bad it is.
///
/// # Errors
/// A bad configuration, an endpoint that the catalogue does not have, or a file that cannot be read or written.
pub fn run(arguments: &Check) -> Result<ExitCode, Failure> {
    let settings = config::load(arguments.config.config.as_deref())?;
    let whole = Arc::clone(&settings.catalog);
    let choice = Choice { classes: arguments.class.clone(), endpoints: arguments.endpoint.clone() };
    let catalog = choice.apply(&settings.catalog).map_err(|name| {
        Failure::Usage(format!(
            "--endpoint ({name}): the catalogue has no such endpoint; `ase-agent profile show` lists them"
        ))
    })?;
    let settings = Settings { catalog: Arc::new(catalog), ..settings };
    let usual = patience(&settings);
    let (settings, left_out) = if arguments.fast { choice::hurried(settings) } else { (settings, Vec::new()) };
    let within = arguments.within.unwrap_or(if arguments.fast { choice::FAST } else { usual });
    // Files that cannot be used are known before anybody waits for the look.
    let baseline = baseline::asked(&arguments.baseline, &whole)?;
    let ticket = arguments.report.as_deref().map(ticket::Target::at).transpose()?;
    let (snapshot, witness) = observe(settings, within)?;
    let snapshot = with_left_out(snapshot, left_out);
    let seen = Seen { snapshot: &snapshot, witness: witness.as_ref(), is_whole: is_whole(&snapshot, &whole) };
    ticket.iter().try_for_each(|target| target.write(&seen))?;
    if let Some(baseline) = baseline
        && let Some(code) = baseline.finish(&seen, &whole, arguments)?
    {
        return Ok(code);
    }
    stdout::print(&seen.rendered(arguments))?;
    let summary = Summary::of(&snapshot);
    Ok(ExitCode::from(if arguments.strict { summary.strict_exit_code() } else { summary.exit_code() }))
}

fn is_whole(snapshot: &Snapshot, whole: &Catalog) -> bool {
    snapshot.catalog.endpoints.len() == whole.endpoints.len()
}

/// What a look brought.
struct Seen<'a> {
    snapshot: &'a Snapshot,
    witness: Option<&'a Witness>,
    /// Whether the whole catalogue was asked.
    is_whole: bool,
}

impl Seen<'_> {
    fn rendered(&self, arguments: &Check) -> String {
        let (snapshot, witness) = (self.snapshot, self.witness);
        match (arguments.output, arguments.failed_only) {
            (Output::Json, false) => json::check_to_json(snapshot, witness, VERSION) + "\n",
            (Output::Json, true) => json::failed_to_json(snapshot, witness, VERSION) + "\n",
            (Output::Table, only_failed) => {
                report::render(snapshot, witness, report::Look { only_failed, ..look(arguments.verbose) })
            }
        }
    }
}

/// One round, with a line of progress, and what a daemon on this machine says beside it.
///
/// # Errors
/// What the system refused.
pub(super) fn observe(settings: Settings, within: Duration) -> Result<(Arc<Snapshot>, Option<Witness>), Failure> {
    let listen = settings.listen;
    let mut terminal = Terminal::new(settings.catalog.endpoints.len());
    let seen = runtime()?.block_on(async {
        let snapshot = round(settings, within, |monitor| terminal.watch(monitor)).await;
        (snapshot, witness::ask(listen).await)
    });
    terminal.close();
    Ok(seen)
}

fn with_left_out(mut snapshot: Arc<Snapshot>, left_out: Vec<String>) -> Arc<Snapshot> {
    if !left_out.is_empty() {
        Arc::make_mut(&mut snapshot).left_out.splice(0..0, left_out);
    }
    snapshot
}

/// How wide and in which colours a report is printed.
pub(super) fn look(verbose: bool) -> report::Look {
    let is_terminal = std::io::stdout().is_terminal();
    let (height, width) = console::Term::stdout().size_checked().unzip();
    let wanted = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let width = wanted.or(width).filter(|_| is_terminal);
    report::Look { width, height, colour: is_terminal, verbose, only_failed: false }
}

/// The time in which the answer stands: a silence and its confirmation, each as long as the longest time-out, and the wait
/// between them. Follow-up measurements take up to 9 s after the first failure, so it is not less than [`SHORTEST`].
pub(super) fn patience(settings: &Settings) -> Duration {
    let longest = settings.catalog.endpoints.iter().map(|endpoint| endpoint.target.timeout).max().unwrap_or_default();
    (longest * 2 + settings.pace.confirm_after).max(SHORTEST)
}

/// Visits every endpoint once, a second time where the first was bad, and answers within this time. `watch` sees the loop
/// as often as a line of progress moves: it may cost more than a step.
pub async fn round(settings: Settings, within: Duration, mut watch: impl FnMut(&Monitor)) -> Arc<Snapshot> {
    let ends = clock::now() + within.saturating_sub(CLOSING);
    let mut monitor = Monitor::new(settings, Rounds::One, open_files::take(), rand::random());
    monitor.end_at(ends);
    let mut watched = clock::now();
    while !monitor.is_settled() {
        tokio::select! {
            () = monitor.step() => {}
            () = tokio::time::sleep_until((watched + TICK).into()) => {
                watch(&monitor);
                watched = clock::now();
            }
            () = tokio::time::sleep_until(ends.into()) => break,
        }
    }
    monitor.conclude();
    Arc::clone(&monitor.subscribe().borrow())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn progress_is_looked_at_by_the_clock_and_not_after_every_step() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = closed.expect("loopback is there").port();
        let rows: Vec<String> =
            (1..250).map(|host| format!("{{host: 127.0.1.{host}, port: {port}, class: tcp}}")).collect();
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let text = format!(
            "resolvers: {{custom: [127.0.0.1]}}\ndiagnosis: {{enabled: false}}\nprofile: custom\nendpoints: {{add: [{}]}}\n",
            rows.join(", ")
        );
        std::fs::write(file.path(), text).expect("the file takes text");
        let settings = config::load(Some(file.path())).expect("a good configuration");
        let (begun, mut looked) = (clock::now(), 0);
        let snapshot = round(settings, SHORTEST, |_| looked += 1).await;
        assert!(snapshot.endpoints.iter().all(|view| view.last.is_some()), "all were visited");
        let most = begun.elapsed().as_millis() / TICK.as_millis();
        assert!((1..=most).contains(&looked), "looked {looked} times, {most} at most");
    }
}
