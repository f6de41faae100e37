//! What `tcpping` prints: the lines that people know from the App Service console, which programs parse, and beside them, on
//! standard error, what an accept is worth and why a try failed.

use std::{collections::BTreeSet, fmt::Write, net::SocketAddr, time::Duration};

use ase_probes::{
    cause::Cause,
    verdict::{Phase, Verdict},
};

use crate::model::visit::{Untested, Visit};

/// How one try ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Try {
    /// Somebody accepted.
    Connected {
        /// At which address.
        address: SocketAddr,
        /// After which time from the first packet of the connection, without the name's resolution.
        took: Duration,
    },
    /// The name has no address, or no DNS server said one.
    NoSuchHost,
    /// Nobody answered in time.
    TimedOut,
    /// The port is closed.
    Refused,
    /// This machine, or the policy of the agent, forbids it.
    Forbidden,
    /// A router, or this machine's own table, has no way there.
    Unreachable,
    /// Anything else that ended the connection.
    Broken,
}

impl Try {
    /// What a visit that asked for the accept only says.
    pub fn of(visit: &Visit) -> Self {
        let outcome = visit.outcomes.first();
        let connected = outcome.and_then(|outcome| Some((outcome.address, outcome.phases.of(Phase::Connect)?)));
        match (visit.result, connected) {
            (Ok(Verdict::Healthy | Verdict::Degraded(_)), Some((address, took))) => Self::Connected { address, took },
            (Ok(verdict), _) => {
                verdict.finding().map_or(Self::Broken, |finding| Self::failed(finding.cause, finding.phase))
            }
            (Err(Untested::Forbidden(_)), _) => Self::Forbidden,
            (Err(untested), _) => {
                untested.finding().map_or(Self::TimedOut, |finding| Self::failed(finding.cause, finding.phase))
            }
        }
    }

    fn failed(cause: Cause, phase: Phase) -> Self {
        match cause {
            _ if phase == Phase::Dns => Self::NoSuchHost,
            Cause::Refused => Self::Refused,
            Cause::LocalFirewall | Cause::LocalSetup => Self::Forbidden,
            Cause::LocalRoute | Cause::NextHopDown | Cause::Unreachable | Cause::Rejected => Self::Unreachable,
            Cause::Dropped => Self::TimedOut,
            _ => Self::Broken,
        }
    }

    /// The line of the console. Those for a refused port, an unreachable network and a broken connection are in Windows'
    /// own words for the error (WSAECONNREFUSED, WSAENETUNREACH, WSAECONNABORTED); what the console itself says is not documented.
    fn line(self, peer: &str) -> String {
        let why = match self {
            Self::Connected { took, .. } => return format!("Connected to {peer}, time taken: {}ms", took.as_millis()),
            Self::NoSuchHost => "No such host is known",
            Self::TimedOut => "Connection timed out.",
            Self::Refused => "No connection could be made because the target machine actively refused it",
            Self::Forbidden => "An attempt was made to access a socket in a way forbidden by its access permissions",
            Self::Unreachable => "A socket operation was attempted to an unreachable network",
            Self::Broken => "An established connection was aborted",
        };
        format!("Connection attempt failed: {why}")
    }

    /// The word for it in a document.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Connected { .. } => "connected",
            Self::NoSuchHost => "no_such_host",
            Self::TimedOut => "timed_out",
            Self::Refused => "refused",
            Self::Forbidden => "forbidden",
            Self::Unreachable => "unreachable",
            Self::Broken => "broken",
        }
    }

    /// How long it took to be accepted; `None` where nobody accepted.
    pub(super) fn time(self) -> Option<Duration> {
        match self {
            Self::Connected { took, .. } => Some(took),
            _ => None,
        }
    }
}

/// Renders one try as its line, without the line's end.
pub fn render_try(peer: &str, one: Try) -> String {
    one.line(peer)
}

/// What all tries came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Tries made.
    pub made: u32,
    /// Tries at which somebody accepted.
    pub good: u32,
    /// The sum of their times in whole milliseconds, as they are printed: the console averages those.
    pub millis: u128,
}

impl Tally {
    /// Counts one try.
    pub fn add(&mut self, one: Try) {
        self.made += 1;
        if let Some(time) = one.time() {
            self.good += 1;
            self.millis += time.as_millis();
        }
    }

    /// The exit code: 0 when every try succeeded, 2 when some did, 1 when none did.
    pub fn exit_code(&self) -> u8 {
        match self.good {
            0 => 1,
            good if good == self.made => 0,
            _ => 2,
        }
    }

    /// The mean in milliseconds with at most two decimals, none of them an idle zero.
    fn average(&self) -> String {
        if self.good == 0 {
            return "0".to_owned();
        }
        let text = format!("{:.2}", self.millis as f64 / f64::from(self.good));
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

/// Renders the last line: how many succeeded, and the average time of those.
pub fn render_end(tally: &Tally) -> String {
    let Tally { made, good, .. } = *tally;
    let percent = u64::from(good) * 100 / u64::from(made.max(1));
    format!("Complete: {good}/{made} successful attempts ({percent}%). Average success time: {}ms", tally.average())
}

/// Renders what stands behind failed tries, each kind once: cause, evidence and what to do.
pub fn render_failures(visits: &[Visit]) -> String {
    let mut text = String::new();
    let mut told = BTreeSet::new();
    for visit in visits {
        match visit.result {
            Ok(verdict @ Verdict::Failed(finding)) if told.insert(finding.cause.label()) => {
                _ = writeln!(text, "{}", sentence(&verdict));
                visit.evidence().iter().for_each(|line| _ = writeln!(text, "  {line}"));
                _ = writeln!(text, "  next: {}", finding.cause.definition().next_step);
            }
            Err(untested) if told.insert("untested") => _ = writeln!(text, "untested: {}", untested.reason()),
            Ok(_) | Err(_) => {}
        }
    }
    text
}

/// Renders what the accept is worth: what the peer's own protocol said, or that nobody can say.
pub fn render_worth(proof: Option<&Visit>) -> String {
    let Some(visit) = proof else {
        return "The accept alone proves no peer: an appliance can give it. No protocol is known for this port.\n"
            .to_owned();
    };
    let mut text = match visit.result {
        Ok(Verdict::Healthy) => "The peer proved itself.\n".to_owned(),
        Ok(verdict) => format!("Accepted, but the peer did not prove itself: {}\n", sentence(&verdict)),
        Err(untested) => format!("Accepted; whether by the peer itself is untested: {}\n", untested.reason()),
    };
    visit.evidence().iter().for_each(|line| _ = writeln!(text, "  {line}"));
    text
}

fn sentence(verdict: &Verdict) -> String {
    verdict.finding().map_or_else(String::new, |finding| {
        let definition = finding.cause.definition();
        format!(
            "{} ({}, {}): {}",
            definition.label,
            definition.side.label(),
            finding.confidence.label(),
            definition.summary
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "login.example:443";

    fn connected(millis: u64) -> Try {
        Try::Connected { address: ([10, 0, 0, 4], 443).into(), took: Duration::from_micros(millis * 1000 + 400) }
    }

    fn tally(tries: &[Try]) -> Tally {
        let mut tally = Tally::default();
        tries.iter().for_each(|one| tally.add(*one));
        tally
    }

    /// What the portal's network check makes of the console's lines: the first that it knows counts, one success wins, and
    /// a line that it does not know is an error.
    fn parsed(lines: &[String]) -> Result<&'static str, String> {
        let mut first = None;
        for line in lines {
            let status = if line.starts_with("Connected to ") {
                return Ok("ok");
            } else if line.contains("No such host is known") {
                "not found"
            } else if line.contains("Connection timed out") {
                "time-out"
            } else if line.starts_with("Connection attempt failed: An attempt was made to access a socket") {
                "blocked"
            } else if line.starts_with("Complete") {
                break;
            } else {
                return Err(line.clone());
            };
            first = first.or(Some(status));
        }
        first.ok_or_else(|| "nothing".to_owned())
    }

    #[test]
    fn every_outcome_is_read_as_the_portal_reads_the_console() {
        for (one, expected) in [
            (connected(139), Ok("ok")),
            (Try::NoSuchHost, Ok("not found")),
            (Try::TimedOut, Ok("time-out")),
            (Try::Forbidden, Ok("blocked")),
        ] {
            let lines = [render_try(PEER, one), render_end(&tally(&[one]))];
            assert_eq!(parsed(&lines), expected, "{lines:?}");
        }
        for unknown in [Try::Refused, Try::Unreachable, Try::Broken] {
            let line = render_try(PEER, unknown);
            assert!(line.starts_with("Connection attempt failed: "), "{line}");
            assert!(parsed(std::slice::from_ref(&line)).is_err(), "the portal has no word for it: {line}");
        }
    }

    #[test]
    fn times_are_whole_milliseconds_and_only_their_average_has_decimals() {
        assert_eq!(render_try(PEER, connected(139)), "Connected to login.example:443, time taken: 139ms");
        for (tries, expected) in [
            (
                &[connected(139), connected(70), connected(71), connected(73)][..],
                "4/4 successful attempts (100%). Average success time: 88.25ms",
            ),
            (&[Try::TimedOut; 4], "0/4 successful attempts (0%). Average success time: 0ms"),
            (
                &[connected(10), Try::Refused, connected(20)],
                "2/3 successful attempts (66%). Average success time: 15ms",
            ),
            (
                &[connected(100), connected(100), connected(101)],
                "3/3 successful attempts (100%). Average success time: 100.33ms",
            ),
            (&[], "0/0 successful attempts (0%). Average success time: 0ms"),
        ] {
            assert_eq!(render_end(&tally(tries)), format!("Complete: {expected}"));
        }
    }

    #[test]
    fn the_exit_code_says_all_some_or_none() {
        for (tries, expected) in [
            (&[connected(1), connected(2)][..], 0),
            (&[connected(1), Try::TimedOut], 2),
            (&[Try::Refused], 1),
            (&[], 1),
        ] {
            assert_eq!(tally(tries).exit_code(), expected, "{tries:?}");
        }
    }

    #[test]
    fn a_cause_becomes_the_line_that_an_app_would_see() {
        for (cause, phase, expected) in [
            (Cause::Refused, Phase::Connect, Try::Refused),
            (Cause::Dropped, Phase::Connect, Try::TimedOut),
            (Cause::LocalFirewall, Phase::Connect, Try::Forbidden),
            (Cause::Rejected, Phase::Connect, Try::Unreachable),
            (Cause::Dropped, Phase::Dns, Try::NoSuchHost),
            (Cause::Reset, Phase::Connect, Try::Broken),
        ] {
            assert_eq!(Try::failed(cause, phase), expected, "{cause:?}");
        }
    }
}
