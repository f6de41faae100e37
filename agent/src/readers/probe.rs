//! What `probe` prints: one visit message by message, in order of time, then its phases, what it rests on and what it means.

use std::{fmt::Write, time::Duration};

use ase_probes::{
    journal::{Dialect, Entry, Event, Reading},
    probe::Probe,
    verdict::{Finding, Verdict},
};

use crate::model::{
    catalog::EndpointId,
    target::Target,
    visit::{Untested, Visit},
};

/// One visit with everything that went over the wire.
#[derive(Clone, Copy, Debug)]
pub struct Trace<'a> {
    /// The class of the question.
    pub class: &'static str,
    /// Whom was asked what.
    pub target: &'a Target,
    /// The endpoint of the catalogue whose question it is.
    pub endpoint: Option<&'a EndpointId>,
    /// What the visit learned.
    pub visit: &'a Visit,
    /// Its messages in order of time.
    pub entries: &'a [Entry],
    /// Events that were not kept.
    pub left_out: usize,
}

/// How much of each message is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// What it is.
    Kind,
    /// What is in it, too.
    Content,
    /// Its bytes, too.
    Bytes,
}

impl Trace<'_> {
    /// 0 the peer proved itself, 1 it did not, 2 something about it is worse than it should be, 3 nothing could be judged.
    pub fn exit_code(&self) -> u8 {
        match self.visit.result {
            Ok(Verdict::Healthy) => 0,
            Ok(Verdict::Failed(_)) => 1,
            Ok(Verdict::Degraded(_)) => 2,
            Ok(Verdict::Inconclusive(_)) | Err(_) => 3,
        }
    }

    /// The word for what it means, as in the status: `healthy`, `degraded`, `failed` or `unknown`.
    pub(super) fn status(&self) -> &'static str {
        match self.visit.result {
            Ok(Verdict::Healthy) => "healthy",
            Ok(Verdict::Degraded(_)) => "degraded",
            Ok(Verdict::Failed(_)) => "failed",
            Ok(Verdict::Inconclusive(_)) | Err(_) => "unknown",
        }
    }

    /// What was found, where something was.
    pub(super) fn finding(&self) -> Option<Finding> {
        self.visit.result.map_or_else(Untested::finding, |verdict| verdict.finding())
    }

    /// The question in words.
    pub(super) fn question(&self) -> String {
        match &self.target.probe {
            Probe::Dns(question) => format!("the addresses of {} over {}", question.name, question.transport.label()),
            Probe::Ntp(_) => "the time".to_owned(),
            Probe::Http(question) => format!("GET {}", question.address()),
            Probe::Tds(_) => "PRELOGIN and the certificate behind it".to_owned(),
            Probe::Tcp(_) => "whether somebody accepts, and what the peer says first".to_owned(),
        }
    }

    /// Every entry with its words.
    pub(super) fn read(&self) -> Vec<(&Entry, Vec<String>)> {
        let dialect = match self.target.probe {
            Probe::Dns(_) => Dialect::Dns,
            Probe::Ntp(_) => Dialect::Ntp,
            Probe::Http(_) => Dialect::Http,
            Probe::Tds(_) => Dialect::Tds,
            Probe::Tcp(_) => Dialect::Any,
        };
        let mut reading = Reading::new(dialect, self.target.port);
        self.entries.iter().map(|entry| (entry, reading.lines(entry))).collect()
    }
}

/// Renders the whole trace.
pub fn render(trace: &Trace<'_>, detail: Detail) -> String {
    let mut text = head(trace);
    for (entry, lines) in trace.read() {
        write_entry(&mut text, entry, &lines, detail);
    }
    if trace.left_out > 0 {
        _ = writeln!(text, "  and {} further events", trace.left_out);
    }
    let phases: Vec<_> =
        trace.visit.phases.iter().map(|(phase, time)| format!("{} {}", phase.label(), millis(time))).collect();
    _ = writeln!(text, "\nphases    {}; {} in all", phases.join(", "), millis(trace.visit.took));
    text.push_str(&verdict(trace));
    text
}

fn head(trace: &Trace<'_>) -> String {
    let Trace { class, target, .. } = trace;
    let mut text = format!("asked     {class} {}:{}, {}\n", target.host, target.port, trace.question());
    if let Some(id) = trace.endpoint {
        _ = writeln!(text, "as        {id}, with the question of the configuration");
    }
    text.push('\n');
    text
}

fn write_entry(text: &mut String, entry: &Entry, lines: &[String], detail: Detail) {
    let sign = match entry.event {
        Event::Sent(_) => '→',
        Event::Received(_) => '←',
        Event::Connecting | Event::Accepted { .. } => '·',
        Event::Ended | Event::Icmp(_) | Event::Failed(_) => '×',
    };
    let flow = format!("#{} {} {}", entry.flow, entry.layer.label(), entry.peer);
    let mut lines = lines.iter();
    let first = lines.next().map_or("", String::as_str);
    _ = writeln!(text, "{:>10} {sign} {flow:<26} {first}", millis(entry.at));
    if detail >= Detail::Content {
        lines.for_each(|line| _ = writeln!(text, "{:>13} {line}", ""));
    }
    if let Some(message) = entry.event.message().filter(|_| detail == Detail::Bytes) {
        text.push_str(&dump(&message.bytes));
        let more = message.length - message.bytes.len();
        if more > 0 {
            _ = writeln!(text, "{:>13} {more} further bytes", "");
        }
    }
}

/// Sixteen bytes on each line: where, in hexadecimal digits, and as characters.
fn dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (row, sixteen) in bytes.chunks(16).enumerate() {
        let digits: String = sixteen.iter().map(|byte| format!("{byte:02x} ")).collect();
        let shown = |byte: &u8| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' };
        let characters: String = sixteen.iter().map(shown).collect();
        _ = writeln!(text, "{:>13} {:04x}  {digits:<48} {characters}", "", row * 16);
    }
    text
}

fn verdict(trace: &Trace<'_>) -> String {
    let status = trace.status();
    let mut text = match (&trace.visit.result, trace.finding()) {
        (Err(untested), None) => format!("verdict   {status}: {}\n", untested.reason()),
        (_, None) => format!("verdict   {status}: {}\n", proof(trace)),
        (_, Some(finding)) => {
            let definition = finding.cause.definition();
            let (side, confidence) = (finding.side.label(), finding.confidence.label());
            let phase = finding.phase.label();
            format!(
                "verdict   {status}: {} ({side}, {confidence}, in {phase}): {}\n",
                definition.label, definition.summary
            )
        }
    };
    trace.visit.evidence().iter().for_each(|line| _ = writeln!(text, "          {line}"));
    if let Some(definition) = trace.finding().map(|finding| finding.cause.definition()) {
        _ = writeln!(text, "owner     {}\nnext      {}", definition.owner.words(), definition.next_words());
    }
    text
}

/// Why a visit that is well is well.
fn proof(trace: &Trace<'_>) -> &'static str {
    let is_bare = trace.visit.outcomes.first().is_some_and(|outcome| outcome.is_bare_accept());
    if is_bare { "somebody accepts, which proves no peer" } else { "the peer proved itself" }
}

fn millis(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ase_probes::{
        cause::Cause,
        journal::{Layer, Message},
        tcp,
        verdict::{Confidence, Phase},
    };

    use crate::model::{
        target::{Addresses, ExpectAddress, Host, ResolvedBy},
        visit::Judgement,
    };

    fn visit(result: Judgement) -> Visit {
        let (took, remarks) = (Duration::from_micros(1500), vec!["noticed on the way".to_owned()]);
        Visit { took, remarks, result, ..Visit::nothing_yet(Duration::ZERO) }
    }

    fn target() -> Target {
        Target {
            host: Host::Address([10, 0, 0, 4].into()),
            port: 22,
            probe: Probe::Tcp(tcp::Question::default()),
            addresses: Addresses::First,
            expect_address: ExpectAddress::Any,
            resolved_by: ResolvedBy::Custom,
            timeout: Duration::from_secs(7),
        }
    }

    fn rendered(result: Judgement, detail: Detail) -> (u8, String) {
        let (visit, target) = (visit(result), target());
        let message = Message { bytes: b"SSH-2.0-x\r\nmore than sixteen".to_vec(), length: 40 };
        let entry = |at, event| {
            let peer = ([10, 0, 0, 4], 22).into();
            Entry { at: Duration::from_micros(at), flow: 1, peer, layer: Layer::Tcp, event }
        };
        let entries = [entry(0, Event::Connecting), entry(900, Event::Received(message)), entry(1000, Event::Ended)];
        let trace =
            Trace { class: "tcp", target: &target, endpoint: None, visit: &visit, entries: &entries, left_out: 2 };
        (trace.exit_code(), render(&trace, detail))
    }

    #[test]
    fn a_trace_has_each_message_with_its_time_and_says_what_it_means() {
        let (code, text) = rendered(Ok(Verdict::Healthy), Detail::Kind);
        assert_eq!(code, 0);
        assert_eq!(
            text,
            "asked     tcp 10.0.0.4:22, whether somebody accepts, and what the peer says first\n\n\
             \x20 0.000 ms · #1 tcp 10.0.0.4:22         connecting\n\
             \x20 0.900 ms ← #1 tcp 10.0.0.4:22         40 bytes: SSH-2.0-x\\r\\nmore than sixteen…\n\
             \x20 1.000 ms × #1 tcp 10.0.0.4:22         the peer ended its side\n\
             \x20 and 2 further events\n\n\
             phases    ; 1.500 ms in all\n\
             verdict   healthy: the peer proved itself\n\
             \x20         noticed on the way\n"
        );
    }

    #[test]
    fn bytes_are_shown_on_request_and_what_is_not_kept_is_said() {
        let (_, text) = rendered(Ok(Verdict::Healthy), Detail::Bytes);
        assert!(text.contains("0000  53 53 48 2d 32 2e 30 2d 78 0d 0a 6d 6f 72 65 20  SSH-2.0-x..more \n"), "{text}");
        assert!(text.contains(" 12 further bytes\n"), "{text}");
    }

    #[test]
    fn each_verdict_has_its_exit_code_and_a_loss_has_owner_and_advice() {
        let finding = Finding::new(Cause::Refused, Phase::Connect, Confidence::Likely);
        let local = Finding::new(Cause::LocalRoute, Phase::Local, Confidence::Confirmed);
        for (result, code, words) in [
            (Ok(Verdict::Failed(finding)), 1, "verdict   failed: refused (remote, likely, in connect): "),
            (Ok(Verdict::Degraded(finding)), 2, "verdict   degraded: refused "),
            (Ok(Verdict::Inconclusive(local)), 3, "verdict   unknown: local_route "),
            (Err(Untested::BudgetSpent), 3, "verdict   unknown: the budget of new flows"),
        ] {
            let (exit, text) = rendered(result, Detail::Kind);
            assert_eq!(exit, code, "{text}");
            assert!(text.contains(words), "{text}");
            assert_eq!(text.contains("\nnext      "), result.is_ok(), "{text}");
        }
    }
}
