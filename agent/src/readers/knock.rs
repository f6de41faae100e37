//! What `witness knock` prints: for each port what it proved, which way lost it, and who mends that.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use ase_probes::verdict::Finding;

use crate::{
    readers::notes::{self, Level, Note, shown},
    witness::{
        challenge::WINDOW,
        proof::{Knocked, Proof},
    },
};

/// Clocks that differ by more are worth a word, long before no knock is answered any more.
const APART: Duration = Duration::from_secs(5);

/// Everything that one run of `witness knock` learned.
#[derive(Clone, Copy, Debug)]
pub struct Knocks<'a> {
    /// The host as it was asked for.
    pub host: &'a str,
    /// Where the witness is.
    pub address: IpAddr,
    /// The address that packets to it leave from, where this machine says that.
    pub source: Option<IpAddr>,
    /// When the run began, since the Unix epoch.
    pub began: Duration,
    /// What each port showed.
    pub knocked: &'a [Knocked],
}

impl Knocks<'_> {
    /// The findings, one for each port, and one about the clocks where they differ.
    pub fn notes(&self) -> Vec<Note> {
        let is_there = self.knocked.iter().any(|knocked| knocked.answer.is_some());
        let ports = self.knocked.iter().map(|knocked| about(knocked, is_there));
        ports.chain(self.clocks()).collect()
    }

    /// Who knocked, as the witness saw it.
    pub(super) fn seen_as(&self) -> Option<SocketAddr> {
        self.knocked.iter().find_map(|knocked| Some(knocked.answer.as_ref()?.asker))
    }

    /// How far the witness's clock is ahead of this machine's, in seconds.
    pub(super) fn ahead(&self) -> Option<f64> {
        self.knocked.iter().find_map(|knocked| knocked.ahead)
    }

    fn clocks(&self) -> Option<Note> {
        let ahead = self.ahead().filter(|ahead| ahead.abs() > APART.as_secs_f64())?;
        let order = if ahead > 0.0 { "ahead of" } else { "behind" };
        let says = format!(
            "the witness's clock is {:.0} s {order} this machine's; beyond {} s it answers nobody",
            ahead.abs(),
            WINDOW.as_secs()
        );
        Some(
            Note::new(Level::Warning, "clock", says)
                .mended("synchronise both clocks (`ase-agent doctor` looks at one)"),
        )
    }
}

/// Renders everything.
pub fn render(knocks: &Knocks<'_>) -> String {
    let place = if knocks.host == knocks.address.to_string() {
        format!("knocked at {}", knocks.address)
    } else {
        format!("knocked at {} ({})", shown(knocks.host), knocks.address)
    };
    let seen = match (knocks.seen_as().map(|seen| seen.ip()), knocks.source) {
        (Some(seen), Some(source)) if seen != source => {
            format!("leaves here as {source}, arrives there as {seen}: translated on the way\n")
        }
        (Some(seen), _) => format!("arrives there as {seen}\n"),
        (None, Some(source)) => format!("leaves here as {source}\n"),
        (None, None) => String::new(),
    };
    format!("{place}\n{seen}\n{}", notes::render(&knocks.notes()))
}

fn about(knocked: &Knocked, is_there: bool) -> Note {
    let proof = Proof::of(knocked);
    let (level, says, mend) = meaning(proof, knocked, is_there);
    let note = Note { mend, ..Note::new(level, knocked.port.to_string(), says) };
    let seen = &knocked.exchange.seen;
    let stop = seen.stop.iter().map(ToString::to_string);
    note.resting_on(stop.chain(seen.icmp.iter().map(ToString::to_string)).collect())
}

/// How bad it is, what it is, how to mend it. `is_there` says that the witness answered at some port.
fn meaning(proof: Proof, knocked: &Knocked, is_there: bool) -> (Level, String, Option<String>) {
    let critical = |says: &str, mend: &str| (Level::Critical, says.to_owned(), Some(mend.to_owned()));
    match proof {
        Proof::Answered => {
            let time = knocked
                .exchange
                .seen
                .round_trip
                .map_or_else(String::new, |time| format!(" in {:.1} ms", time.as_secs_f64() * 1e3));
            (Level::Fine, format!("the witness itself answered{time}: open in both directions"), None)
        }
        Proof::Translated(port) => (
            Level::Warning,
            format!("the witness answered, but at {port}: the port is translated on the way"),
            Some("let the rule of the load balancer lead to the same port".to_owned()),
        ),
        Proof::Unproved if is_there => critical(
            "somebody else answers here: the witness, which has the same key and clock at its other ports, did not",
            "find the program on that machine, or the appliance or load balancer, that takes this port",
        ),
        Proof::Unproved => critical(
            "somebody accepts and gives no sealed answer: no witness, another key, or clocks that differ by more than a minute",
            "start `ase-agent witness` there with the same key; compare the clocks; a new witness answers only what was asked after its start",
        ),
        Proof::Refused => refused(knocked),
        Proof::LostIn => critical(
            "dropped on the way in: the witness listens here, and nothing of this knock came to it",
            "allow the port inbound in the security group of the witness's subnet, then look at its own firewall and at appliances on the way",
        ),
        Proof::LostBack => critical(
            "dropped on the way back: the knock came to the witness, and its answer did not come back",
            "compare the route table of the witness's subnet with the way in: a stateful device has to see both directions",
        ),
        Proof::Silent if knocked.witnessed.is_some() => critical(
            "silent, and the witness does not listen here: which way loses it cannot be told",
            "start the witness with this port, too, and knock again",
        ),
        Proof::Silent => critical(
            "silent: dropped on the way in or on the way back; at no port could the witness be asked which",
            "check the security group and the route table of the witness's subnet, and that the witness runs; one open port tells the ways apart",
        ),
        Proof::Stopped(finding) => stopped(Level::Critical, finding),
        Proof::Untested(finding) => stopped(Level::Unknown, finding),
    }
}

fn refused(knocked: &Knocked) -> (Level, String, Option<String>) {
    let (says, mend) = match knocked.witnessed.map(|witnessed| witnessed.listens) {
        Some(true) => (
            "refused on the way: the witness listens here, and somebody refuses in its place",
            "find the device that rejects: a firewall on that machine, an appliance, a load balancer without a target",
        ),
        Some(false) => ("refused: the witness does not listen here", "start the witness with this port, too"),
        None => (
            "refused: nobody listens here, or a device refuses in its place",
            "start `ase-agent witness` there with this port; then knock again",
        ),
    };
    (Level::Critical, says.to_owned(), Some(mend.to_owned()))
}

fn stopped(level: Level, finding: Finding) -> (Level, String, Option<String>) {
    let definition = finding.cause.definition();
    let says = format!("{} ({}): {}", definition.label, definition.owner.label(), definition.summary);
    (level, says, Some(definition.next_step.to_owned()))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use ase_probes::{
        cause::Cause,
        evidence::{Stop, Trouble},
        seen::{Exchange, Phases, Seen},
        verdict::{Confidence, Phase, Verdict},
    };

    use crate::witness::{challenge::Answer, port::parse, proof::Witnessed};

    fn answered(port: &str) -> Knocked {
        let port = parse(port).expect("a port");
        let answer = Answer {
            time: Duration::from_secs(1_700_000_000),
            run: 1,
            serial: 2,
            asker: "10.0.2.7:40000".parse().expect("an address"),
            reached: port,
            listens: Vec::new(),
            came: Vec::new(),
        };
        let seen = Seen { round_trip: Some(Duration::from_micros(412)), ..Seen::default() };
        let exchange = Exchange {
            address: ([10, 0, 1, 4], port.number).into(),
            phases: Phases::default(),
            verdict: Verdict::Healthy,
            seen,
            reply: Vec::new(),
        };
        Knocked { port, exchange, answer: Some(answer), ahead: Some(0.01), witnessed: None }
    }

    fn lost(port: &str, cause: Cause, witnessed: Option<Witnessed>) -> Knocked {
        let mut knocked = answered(port);
        let trouble = Trouble::TimedOut;
        let stop = Stop { phase: Phase::Connect, trouble, elapsed: Duration::from_secs(4) };
        knocked.exchange.seen = Seen { stop: Some(stop), ..Seen::default() };
        knocked.exchange.verdict = Finding::new(cause, Phase::Connect, Confidence::Likely).failed();
        (knocked.answer, knocked.ahead, knocked.witnessed) = (None, None, witnessed);
        knocked
    }

    pub(in crate::readers) fn sample() -> Vec<Knocked> {
        let said = |listens, came| Some(Witnessed { listens, came });
        vec![
            answered("454"),
            lost("455", Cause::Dropped, said(true, false)),
            lost("16001", Cause::Dropped, said(true, true)),
            lost("80", Cause::Refused, said(false, false)),
        ]
    }

    pub(in crate::readers) fn knocks<'a>(host: &'a str, knocked: &'a [Knocked]) -> Knocks<'a> {
        let (address, source) = (IpAddr::from([10, 0, 1, 4]), Some(IpAddr::from([10, 0, 2, 7])));
        Knocks { host, address, source, began: Duration::from_secs(1_700_000_000), knocked }
    }

    #[test]
    fn each_port_says_what_it_proved_within_eighty_columns() {
        let knocked = sample();
        let text = render(&knocks("10.0.1.4", &knocked));
        crate::golden::assert_golden("tests/golden/knock.txt", &text);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert_eq!(notes::exit_code(&knocks("10.0.1.4", &knocked).notes()), 1);
        assert_eq!(notes::exit_code(&knocks("10.0.1.4", &knocked[..1]).notes()), 0);
    }

    #[test]
    fn a_silent_port_alone_does_not_say_which_way_lost_it() {
        let knocked = [lost("455", Cause::Dropped, None)];
        let text = render(&knocks("a.example", &knocked));
        assert!(text.starts_with("knocked at a.example (10.0.1.4)\nleaves here as 10.0.2.7\n"), "{text}");
        assert!(text.contains("silent: dropped on the way in or on the way back"), "{text}");
    }

    #[test]
    fn clocks_that_differ_are_a_warning_before_nothing_is_answered_any_more() {
        let mut knocked = answered("454");
        knocked.ahead = Some(-42.4);
        let notes = knocks("10.0.1.4", std::slice::from_ref(&knocked)).notes();
        assert_eq!(notes::exit_code(&notes), 2);
        assert!(notes[1].says.contains("42 s behind this machine's"), "{notes:?}");
    }

    #[test]
    fn this_machine_s_own_faults_and_what_devices_say_come_with_their_cause() {
        let local = lost("455", Cause::LocalRoute, None);
        let notes = knocks("10.0.1.4", std::slice::from_ref(&local)).notes();
        assert_eq!(notes::exit_code(&notes), 3);
        assert!(notes[0].says.starts_with("local_route (this machine): "), "{notes:?}");
        let rejected = lost("455", Cause::Rejected, None);
        let notes = knocks("10.0.1.4", std::slice::from_ref(&rejected)).notes();
        assert!(notes[0].says.starts_with("rejected ("), "{notes:?}");
    }
}
