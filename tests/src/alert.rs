//! From a lost dependency to a page and back, with real programs at every hop: agent, Prometheus, Alertmanager, webhook.
//! What must not page (a lost packet, a flap, a restart) comes first, then the cut that must.

mod stage;
mod watch;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use ase_probes::clock;
use clap::{Args, ValueEnum};

use self::{stage::Stage, watch::Watch};
use crate::loopback::Notice;

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// What a firewall does while its rules are replaced.
const REFUSE: &str = "[{match: {port: [\"1433\"], protocol: tcp, direction: out, segment: syn}, do: {reset: {}}}]";
/// The next packet to each of four ports.
const LOSE_ONE: &str = "[{match: {port: [\"1433\"], direction: out, first: 1}, do: drop},
    {match: {port: [\"443\"], direction: out, first: 1}, do: drop},
    {match: {port: [\"80\"], direction: out, first: 1}, do: drop},
    {match: {port: [\"53\"], direction: out, first: 1}, do: drop}]";

/// What is cut, and the one page that it must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Cut {
    /// Packets to SQL 1433 vanish.
    #[default]
    Sql,
    /// Nothing gets beyond the VNet and the platform: the default route leads nowhere.
    Egress,
    /// The custom DNS is silent: every name is lost with it.
    Dns,
    /// The agent's own machine loses its default route: nothing may page, and a ticket says why nothing is known.
    Machine,
}

impl Cut {
    fn story(self) -> &'static str {
        match self {
            Self::Sql => "packets to SQL 1433 vanish",
            Self::Egress => "packets to the internet vanish",
            Self::Dns => "packets to the custom DNS vanish",
            Self::Machine => "the agent's own machine loses its default route",
        }
    }

    fn rules(self) -> &'static str {
        match self {
            Self::Sql => "[{match: {port: [\"1433\"], protocol: tcp}, do: drop}]",
            Self::Egress => "[{match: {host: [internet]}, do: drop}]",
            Self::Dns => "[{match: {host: [10.53.0.4]}, do: drop}]",
            Self::Machine => "[]",
        }
    }

    /// The class that is looked at on the way.
    fn class(self) -> &'static str {
        match self {
            Self::Sql => "sql",
            Self::Egress => "https",
            Self::Dns => "dns",
            Self::Machine => "",
        }
    }

    fn alert(self) -> &'static str {
        match self {
            Self::Sql => "AseDependencyLost",
            Self::Egress => "AseEgressLost",
            Self::Dns => "AseDnsLost",
            Self::Machine => "AseProberOffline",
        }
    }
}

/// Arguments of `alert`.
#[derive(Clone, Copy, Debug, Args)]
pub struct Arguments {
    /// Keep the shipped waits, the built-in intervals and a scrape every 15 s; takes about ten minutes
    #[arg(long)]
    shipped_timing: bool,
    /// What is cut
    #[arg(long, value_enum, default_value_t)]
    cut: Cut,
    /// Leave out what must not page
    #[arg(long)]
    cut_only: bool,
}

/// How much time everything takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    /// As shipped, with a scrape and an evaluation every 15 s.
    Shipped,
    /// All waits of rules and routes a twentieth, probes every 2 s, scrapes and evaluations every second.
    Quick,
}

impl Timing {
    fn divisor(self) -> u32 {
        match self {
            Self::Shipped => 1,
            Self::Quick => 20,
        }
    }

    fn scrape_interval(self) -> Duration {
        Duration::from_secs(match self {
            Self::Shipped => 15,
            Self::Quick => 1,
        })
    }

    /// The longest wait for one hop.
    fn patience(self) -> Duration {
        Duration::from_secs(match self {
            Self::Shipped => 300,
            Self::Quick => 60,
        })
    }
}

/// Runs the show; the exit code is 1 if anything pages that must not, or the other way round.
///
/// # Errors
/// When a part cannot be started, or a hop is not reached in time.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let timing = if arguments.shipped_timing { Timing::Shipped } else { Timing::Quick };
    let stage = Stage::set(timing)?;
    let watch = Watch::start(stage.agent(), &stage.folder, timing)?;
    let mut show = Show { stage, watch, timing };
    show.begin()?;
    if !arguments.cut_only {
        show.a_lost_packet()?;
        show.a_flap()?;
        show.a_restart()?;
    }
    match arguments.cut {
        Cut::Sql | Cut::Egress | Cut::Dns => show.cut_and_restore(arguments.cut)?,
        Cut::Machine => show.an_offline_machine()?,
    }
    Ok(ExitCode::SUCCESS)
}

struct Show {
    stage: Stage,
    watch: Watch,
    timing: Timing,
}

/// Waits until something can be seen.
fn until<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let start = clock::now();
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if start.elapsed() > patience {
            bail!("waited {patience:?} in vain: {what}");
        }
        std::thread::park_timeout(LOOK);
    }
}

impl Show {
    fn until<T>(&self, what: &str, look: impl FnMut() -> Option<T>) -> Result<T> {
        until(what, self.timing.patience(), look)
    }

    fn begin(&mut self) -> Result<()> {
        let waits = match self.timing {
            Timing::Shipped => "as shipped",
            Timing::Quick => "a twentieth of the shipped ones",
        };
        println!(
            "real agent, Prometheus, Alertmanager and webhook in namespaces; scrape every {:?}; waits {waits}\n",
            self.timing.scrape_interval()
        );
        self.until("the agent is ready", || self.stage.is_ready().then_some(()))?;
        self.until("all classes are up", || {
            let lost = self.watch.value("count(ase_dependency_up == 0 unless on (class) ase_dependency_unknown == 1)");
            (self.watch.value("ase_agent_ready")? == 1.0 && lost.is_none()).then_some(())
        })?;
        self.say("healthy", "the first round is done and scraped")?;
        Ok(())
    }

    /// The pages so far; the other receivers' messages are not pages.
    fn pages(&self) -> Vec<Notice> {
        let mut notices = self.watch.receiver.notices();
        notices.retain(|notice| notice.path == "/page");
        notices
    }

    /// Says what happened and fails if that paged somebody.
    fn say(&mut self, what: &str, how: &str) -> Result<()> {
        self.watch.check()?;
        // Whatever the evaluations so far put on its way has arrived after the longest wait of a group.
        let end = clock::now() + Duration::from_secs(15) / self.timing.divisor() + 2 * self.timing.scrape_interval();
        self.until("nothing pends that could page", || {
            let pending = self.watch.value("count(ALERTS{severity=\"critical\"})");
            (clock::now() >= end && pending.is_none()).then_some(())
        })?;
        let pages = self.pages();
        ensure!(pages.is_empty(), "{what} paged somebody: {:?}", pages[0].document);
        println!("{what:<28} {how}; nobody is paged");
        Ok(())
    }

    fn attempts(&self, class: &str) -> f64 {
        self.stage.metric(&format!("ase_probe_attempts_total{{class=\"{class}\"")).unwrap_or_default()
    }

    fn a_lost_packet(&mut self) -> Result<()> {
        let classes = ["dns", "http", "https", "sql"];
        let before = classes.map(|class| self.attempts(class));
        self.stage.fault(LOSE_ONE)?;
        self.until("every class is asked again", || {
            // Two endpoints each, so four visits are two rounds.
            let is_asked = |index: usize| self.attempts(classes[index]) >= before[index] + 4.0;
            (0..classes.len()).all(is_asked).then_some(())
        })?;
        self.stage.fault("[]")?;
        self.say("a lost packet", "one to each of the ports 53, 80, 443 and 1433 vanished")
    }

    fn a_flap(&mut self) -> Result<()> {
        let failures = |stage: &Stage| stage.metric("ase_probe_failures_total{class=\"sql\"").unwrap_or_default();
        let before = failures(&self.stage);
        self.stage.fault(REFUSE)?;
        let start = clock::now();
        self.until("a visit fails", || (failures(&self.stage) > before).then_some(()))?;
        self.stage.fault("[]")?;
        let lasted = start.elapsed();
        let attempts = self.attempts("sql");
        self.until("the confirmation", || (self.attempts("sql") >= attempts + 4.0).then_some(()))?;
        let failed = failures(&self.stage) - before;
        let how = format!("1433 was refused until a visit failed ({:.1} s, {failed} visits)", lasted.as_secs_f64());
        self.say("a flap before the confirmation", &how)
    }

    fn a_restart(&mut self) -> Result<()> {
        let started = |stage: &Stage| stage.metric("ase_agent_start_time_seconds ");
        let before = started(&self.stage);
        self.stage.restart_agent()?;
        let start = clock::now();
        self.until("the agent is back", || {
            let now = started(&self.stage);
            (now.is_some() && now != before && self.stage.is_ready()).then_some(())
        })?;
        let how = format!("ended and ready again after {:.1} s", start.elapsed().as_secs_f64());
        self.say("a restart of the agent", &how)
    }

    fn cut_and_restore(&self, cut: Cut) -> Result<()> {
        let up = format!("ase_dependency_up{{class=\"{}\"}}", cut.class());
        self.stage.fault(cut.rules())?;
        let start = clock::now();
        println!("\ncut: {}", cut.story());
        self.hop(start, "agent has confirmed it", || self.stage.metric(&up) == Some(0.0))?;
        self.hop(start, "Prometheus has scraped it", || self.watch.value(&up) == Some(0.0))?;
        self.hop(start, "alert fires", || self.watch.firing().iter().any(|labels| labels["alertname"] == cut.alert()))?;
        let page = self.until("a page", || self.pages().first().cloned())?;
        tell(start, page.at, &format!("page: {}", summary(&page)));
        if cut != Cut::Sql {
            self.wait_for_the_children()?;
        }
        self.stage.fault("[]")?;
        let mended = clock::now();
        println!("restored");
        self.hop(mended, "agent sees it work", || self.stage.metric(&up) == Some(1.0))?;
        self.hop(mended, "Prometheus has scraped it", || self.watch.value(&up) == Some(1.0))?;
        let is_over = || self.watch.firing().iter().all(|labels| labels["severity"] != "critical");
        self.hop(mended, "alert is over", is_over)?;
        let over = self.until("the resolve", || self.pages().into_iter().find(|page| !page.is_firing()))?;
        tell(mended, over.at, "resolved");
        self.judge(cut)
    }

    fn an_offline_machine(&mut self) -> Result<()> {
        self.stage.lose_route()?;
        let start = clock::now();
        println!("\ncut: {}", Cut::Machine.story());
        let all = self.stage.metric("ase_probe_attempts_total").and(self.watch.value("count(ase_probe_unknown)"));
        self.hop(start, "agent says that it knows nothing", || self.stage.metric("ase_probe_unknown{") == all)?;
        for alert in ["AseProberOffline", "AseAgentBlind"] {
            self.hop(start, &format!("{alert} fires"), || {
                self.watch.firing().iter().any(|labels| labels["alertname"] == alert)
            })?;
        }
        let is_it = |notice: &Notice| notice.is_firing() && summary(notice).contains(Cut::Machine.alert());
        let ticket = self.until("a ticket", || self.watch.receiver.notices().into_iter().find(is_it))?;
        tell(start, ticket.at, &format!("{}: {}", ticket.path.trim_start_matches('/'), summary(&ticket)));
        let end = clock::now() + Duration::from_secs(60) / self.timing.divisor() + 2 * self.timing.scrape_interval();
        self.until("Alertmanager has judged them", || (clock::now() >= end).then_some(()))?;
        self.stage.restore_route()?;
        let mended = clock::now();
        println!("restored");
        self.hop(mended, "agent knows all again", || self.stage.metric("ase_probe_unknown{") == Some(0.0))?;
        self.say("an offline machine", "its alerts on dependencies are silent, and a ticket says so")
    }

    /// Lets every class that fails with its parent fire too, and stay for as long as Alertmanager waits for a group.
    fn wait_for_the_children(&self) -> Result<()> {
        let of_classes = "count(ALERTS{alertname=\"AseDependencyLost\",alertstate=\"firing\"})";
        let count =
            self.until("the alerts of the classes", || self.watch.value(of_classes).filter(|count| *count >= 3.0))?;
        let end = clock::now() + Duration::from_secs(60) / self.timing.divisor() + 2 * self.timing.scrape_interval();
        self.until("Alertmanager has judged them", || (clock::now() >= end).then_some(()))?;
        println!("           {count} alerts AseDependencyLost fire meanwhile");
        Ok(())
    }

    fn hop(&self, since: Instant, what: &str, mut look: impl FnMut() -> bool) -> Result<()> {
        self.until(what, || look().then_some(()))?;
        tell(since, clock::now(), what);
        Ok(())
    }

    /// One page that names the cause, one resolve, nothing else.
    fn judge(&self, cut: Cut) -> Result<()> {
        let pages = self.pages();
        let firing: Vec<&Notice> = pages.iter().filter(|page| page.is_firing()).collect();
        let all: Vec<String> = pages.iter().map(summary).collect();
        ensure!(
            firing.len() == 1 && pages.len() == 2,
            "{} messages, {} of them pages: {all:#?}",
            pages.len(),
            firing.len()
        );
        let [alert] = firing[0].alerts() else { bail!("one alert in the page: {all:#?}") };
        let labels = &alert["labels"];
        let is_it = labels["alertname"] == cut.alert() && (cut == Cut::Egress || labels["class"] == cut.class());
        ensure!(is_it, "it is about what was cut: {labels}");
        ensure!(
            labels["cause"] == "dropped" || cut == Cut::Dns && labels["cause"] == "dns_no_reply",
            "it names the cause: {labels}"
        );
        let tickets = self.watch.receiver.notices().len() - pages.len();
        println!("\nexactly one page and its resolve; {tickets} messages to other receivers");
        Ok(())
    }
}

fn tell(since: Instant, at: Instant, what: &str) {
    println!("  {:>6.1} s  {what}", at.saturating_duration_since(since).as_secs_f64());
}

/// The alerts of a page in one line.
fn summary(page: &Notice) -> String {
    let alerts = page.alerts().iter().map(|alert| {
        let label = |name: &str| alert["labels"][name].as_str().unwrap_or("-").to_owned();
        format!("{} class={} cause={}", label("alertname"), label("class"), label("cause"))
    });
    alerts.collect::<Vec<_>>().join(", ")
}
