//! Names to addresses, by asking the configured servers ourselves: a failure then has evidence, not just an error.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use crate::{
    attempt::Attempt,
    cause::Cause,
    clock,
    deadline::Deadline,
    dns::{Question, RecordType, Reply, Transport},
    egress::{Egress, Shape},
    evidence::Millis,
    outcome::Outcome,
    seen::Exchange,
    verdict::{Confidence, Finding, Phase, Verdict},
};

/// Addresses kept of one name at most: four times what a visit asks, so that the report can say how many more there are.
const MAX_ADDRESSES: usize = 32;

/// Why a name cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing to ask for.
    #[error("the name is empty")]
    Empty,
    /// RFC 1035 section 2.3.4.
    #[error("the name has {0} bytes, at most 253 are allowed")]
    Long(usize),
    /// RFC 1035 section 2.3.4.
    #[error("the label `{0}` is empty or longer than 63 bytes")]
    Label(String),
    /// Names are asked in their ASCII form.
    #[error("the name has the character `{0}`; give an internationalised name in its ASCII form (xn--…)")]
    International(char),
    /// RFC 1035 section 2.3.1, and the underscore of service names.
    #[error("the name has the character `{}`; letters, digits, hyphens, underscores and dots are allowed", .0.escape_debug())]
    Character(char),
}

/// Checks that a name can be asked: letters, digits, hyphens and underscores in labels of 1 to 63 bytes.
///
/// # Errors
/// The rule of RFC 1035 that the name breaks.
pub fn valid_name(name: &str) -> Result<(), NameError> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > 253 {
        return Err(NameError::Long(name.len()));
    }
    let strange = |c: &char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if let Some(character) = name.chars().find(strange) {
        let is_letter = !character.is_ascii() && character.is_alphanumeric();
        return Err(if is_letter { NameError::International(character) } else { NameError::Character(character) });
    }
    match name.split('.').find(|label| label.is_empty() || label.len() > 63) {
        Some(label) => Err(NameError::Label(label.to_owned())),
        None => Ok(()),
    }
}

/// The servers to ask, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolver {
    /// The servers; the next is asked when one says neither yes nor no.
    pub servers: Vec<SocketAddr>,
    /// The most time one server gets for one question. Where the time is short, all of them get an equal share of it.
    pub timeout: Duration,
    /// Times the whole list is gone through, at least one.
    pub attempts: u32,
}

/// What resolving a name brought.
#[derive(Clone, Debug)]
pub struct Resolution {
    /// The name asked for.
    pub name: String,
    /// The addresses, IPv4 first; empty when there is a finding.
    pub addresses: Vec<IpAddr>,
    /// The server whose answer was taken.
    pub server: Option<SocketAddr>,
    /// How long it took.
    pub elapsed: Duration,
    /// Every exchange that decided nothing or said no.
    pub failures: Vec<Outcome>,
    /// Why there is no address; `None` when there is one.
    pub finding: Option<Finding>,
}

impl Resolution {
    /// The exchange that says why there is no address.
    pub fn telling(&self) -> Option<&Outcome> {
        let cause = |outcome: &Outcome| outcome.verdict.finding().map(|finding| finding.cause);
        let decides = |outcome: &&Outcome| self.finding.is_some_and(|finding| cause(outcome) == Some(finding.cause));
        self.failures.iter().rfind(decides).or(self.failures.last())
    }

    /// The servers that failed as the telling exchange did, each once, in the order in which they were asked. What others
    /// did is trouble of their own.
    pub fn failed_alike(&self) -> Vec<SocketAddr> {
        let cause = |outcome: &Outcome| outcome.verdict.finding().map(|finding| finding.cause);
        let Some(telling) = self.telling().map(cause) else { return Vec::new() };
        let mut servers = Vec::new();
        for failure in self.failures.iter().filter(|failure| cause(failure) == telling) {
            if !servers.contains(&failure.address) {
                servers.push(failure.address);
            }
        }
        servers
    }

    /// Adds the evidence lines: which server was believed, and what the others did.
    pub fn describe(&self, lines: &mut Vec<String>) {
        match (self.server, self.addresses.first()) {
            (Some(server), Some(first)) => {
                let more = match self.addresses.len() {
                    1 => String::new(),
                    count => format!(" and {} more", count - 1),
                };
                lines.push(format!("{} resolves to {first}{more} by {server} in {}", self.name, Millis(self.elapsed)));
            }
            (_, _) => lines.push(format!("{} does not resolve", self.name)),
        }
        for outcome in &self.failures {
            lines.extend(outcome.evidence().into_iter().map(|line| format!("DNS {}: {line}", outcome.address)));
        }
    }
}

impl Resolver {
    /// Resolves a name within the deadline. Never fails: what went wrong is a finding with evidence.
    pub async fn resolve(&self, name: &str, egress: &Egress, deadline: Deadline, nonce: u64) -> Resolution {
        let start = clock::now();
        let mut resolution = Resolution {
            name: name.to_owned(),
            addresses: Vec::new(),
            server: None,
            elapsed: Duration::ZERO,
            failures: Vec::new(),
            finding: None,
        };
        match name.parse::<IpAddr>() {
            Ok(address) => resolution.addresses.push(address),
            Err(_) if valid_name(name).is_err() || self.servers.is_empty() => {
                resolution.finding = Some(Finding::new(Cause::LocalSetup, Phase::Local, Confidence::Confirmed));
            }
            Err(_) => self.ask_in_turn(&mut resolution, egress, deadline, nonce).await,
        }
        resolution.elapsed = start.elapsed();
        resolution
    }

    async fn ask_in_turn(&self, resolution: &mut Resolution, egress: &Egress, deadline: Deadline, nonce: u64) {
        let turns: Vec<_> = (0..self.attempts.max(1)).flat_map(|_| &self.servers).collect();
        let count = u32::try_from(turns.len()).unwrap_or(u32::MAX);
        for (turn, server) in (0..count).zip(turns) {
            let share = share(deadline.remaining(), count - turn);
            let asker = Asker {
                name: &resolution.name,
                server: *server,
                egress,
                deadline: deadline.at_most(self.timeout.min(share)),
                nonce: nonce.rotate_left(turn * 7),
            };
            let (v4, v6) = tokio::join!(asker.ask(RecordType::A), asker.ask(RecordType::Aaaa));
            resolution.server = Some(*server);
            resolution.addresses = addresses(&v4.reply, &v6.reply);
            if !resolution.addresses.is_empty() {
                resolution.finding = None;
                return;
            }
            let (decisive, other) = decisive(v4, v6);
            let denied = says_no(&decisive.verdict);
            let found = finding(&decisive.verdict);
            resolution.failures.extend(other.map(Outcome::from).into_iter().chain([decisive.into()]));
            // What proves something outranks silence, whichever server it was; of equals the last one counts.
            if resolution.finding.is_none_or(|earlier| earlier.confidence <= found.confidence) {
                resolution.finding = Some(found);
            }
            if denied || deadline.remaining().is_zero() {
                return;
            }
        }
    }
}

/// The time of a server's turn where so many turns are left, this one too. A silent server takes nothing from those behind
/// it, nor from what the name is resolved for, which has a share as well; the last one may take what is left.
fn share(remaining: Duration, turns: u32) -> Duration {
    if turns > 1 { remaining / turns.saturating_add(1) } else { remaining }
}

/// The exchange that decides where neither family has an address, and the other one where it adds something. A name
/// without an IPv4 address whose IPv6 one was not told is not denied.
fn decisive(v4: Exchange<Reply>, v6: Exchange<Reply>) -> (Exchange<Reply>, Option<Exchange<Reply>>) {
    let cause = |exchange: &Exchange<Reply>| exchange.verdict.finding().map(|finding| finding.cause);
    if cause(&v4) == Some(Cause::DnsNodata) && !says_no(&v6.verdict) { (v6, Some(v4)) } else { (v4, None) }
}

/// One server, asked for one name.
struct Asker<'a> {
    name: &'a str,
    server: SocketAddr,
    egress: &'a Egress,
    deadline: Deadline,
    nonce: u64,
}

impl Asker<'_> {
    async fn ask(&self, record: RecordType) -> Exchange<Reply> {
        let nonce = if record == RecordType::A { self.nonce } else { self.nonce.rotate_left(32) };
        let Self { server, deadline, egress, .. } = *self;
        let attempt = Attempt { address: server, deadline, egress, nonce, shape: Shape::default() };
        Question::address(self.name.to_owned(), record, Transport::Udp).ask(&attempt).await
    }
}

/// The addresses of both answers, IPv4 first, each once.
fn addresses(v4: &Reply, v6: &Reply) -> Vec<IpAddr> {
    let mut all = Vec::new();
    for address in [v4, v6].into_iter().filter_map(|reply| reply.answer.as_ref()).flat_map(|answer| &answer.addresses) {
        if !all.contains(address) && all.len() < MAX_ADDRESSES {
            all.push(*address);
        }
    }
    all
}

/// Whether the server denied the name, so that asking another one would only hide it.
fn says_no(verdict: &Verdict) -> bool {
    let cause = verdict.finding().map(|finding| finding.cause);
    matches!(cause, Some(Cause::DnsNxdomain | Cause::DnsNodata))
}

/// Whatever phase the exchange itself was in, the endpoint was lost while its name was resolved.
fn finding(verdict: &Verdict) -> Finding {
    match verdict.finding() {
        Some(finding) if finding.cause.is_local() => finding,
        Some(finding) => Finding { phase: Phase::Dns, ..finding },
        None => Finding::new(Cause::DnsNodata, Phase::Dns, Confidence::Confirmed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::udp;

    async fn server(reply: fn(&[u8]) -> Option<Vec<u8>>) -> SocketAddr {
        udp(move |question| reply(question).into_iter().collect()).await
    }

    /// Answers A with one address, and AAAA with none.
    fn good(question: &[u8]) -> Option<Vec<u8>> {
        let body = question.len() - if question[11] > 0 { 11 } else { 0 };
        let is_v4 = question[body - 3] == 1;
        let mut bytes = question[..body].to_vec();
        bytes[2..4].copy_from_slice(&[0x81, 0x80]);
        bytes[6..12].copy_from_slice(&[0, u8::from(is_v4), 0, 0, 0, 0]);
        if is_v4 {
            bytes.extend(b"\xc0\x0c\0\x01\0\x01\0\0\0\x1e\0\x04\x14\0\0\x01");
        }
        Some(bytes)
    }

    fn code(question: &[u8], code: u8) -> Option<Vec<u8>> {
        let mut bytes = question[..question.len() - if question[11] > 0 { 11 } else { 0 }].to_vec();
        bytes[2..4].copy_from_slice(&[0x81, 0x80 | code]);
        bytes[6..12].fill(0);
        Some(bytes)
    }

    #[tokio::test]
    async fn however_little_time_there_is_silent_servers_leave_enough_of_it_for_the_one_that_answers() {
        let (silent, deaf) = (server(|_| None).await, server(|_| None).await);
        let good = server(good).await;
        let time = Duration::from_millis(900);
        for servers in [vec![silent, good], vec![silent, deaf, good], vec![good, silent, deaf]] {
            let silent_before = servers.iter().take_while(|server| **server != good).copied().collect::<Vec<_>>();
            let shares = u32::try_from(servers.len() + 1).expect("few");
            let resolver = Resolver { servers, timeout: time * 10, attempts: 1 };
            let deadline = Deadline::within(time);
            let found = resolver.resolve("login.example", &Egress::default(), deadline, 99).await;
            assert_eq!((found.server, found.addresses.len(), found.finding), (Some(good), 1, None), "{found:?}");
            let told: Vec<_> = found.failures.iter().map(|failure| failure.address).collect();
            assert_eq!(told, silent_before, "who was silent is told");
            assert!(deadline.remaining() > time / shares / 2, "its share is left: {:?}", deadline.remaining());
        }
    }

    #[tokio::test]
    async fn a_slow_server_that_is_alone_has_all_the_time() {
        let silent = server(|_| None).await;
        let resolver = Resolver { servers: vec![silent], timeout: Duration::from_secs(9), attempts: 1 };
        let time = Duration::from_millis(300);
        let found = resolver.resolve("login.example", &Egress::default(), Deadline::within(time), 99).await;
        assert!(found.elapsed >= time, "{:?}", found.elapsed);
    }

    async fn resolve(servers: Vec<SocketAddr>, name: &str) -> Resolution {
        let resolver = Resolver { servers, timeout: Duration::from_millis(200), attempts: 1 };
        resolver.resolve(name, &Egress::default(), Deadline::within(Duration::from_secs(3)), 99).await
    }

    #[tokio::test]
    async fn the_next_server_is_asked_after_silence_and_after_servfail() {
        let silent = server(|_| None).await;
        let servfail = server(|question| code(question, 2)).await;
        let good = server(good).await;
        let found = resolve(vec![silent, servfail, good], "login.example").await;
        assert_eq!(found.addresses, [IpAddr::from([20, 0, 0, 1])]);
        assert_eq!((found.server, found.finding, found.failures.len()), (Some(good), None, 2));
        assert!(found.elapsed >= Duration::from_millis(200));
    }

    #[tokio::test]
    async fn a_denied_name_is_final_and_says_so() {
        let (denies, good) = (server(|question| code(question, 3)).await, server(good).await);
        let found = resolve(vec![denies, good], "login.example").await;
        assert_eq!(found.finding.map(|f| (f.cause, f.phase)), Some((Cause::DnsNxdomain, Phase::Dns)));
        let mut lines = Vec::new();
        found.describe(&mut lines);
        assert!(lines[1].contains("NXDOMAIN"), "{lines:?}");
    }

    #[tokio::test]
    async fn what_proves_something_outranks_silence_wherever_it_came_first_and_servers_stand_for_their_own_failure() {
        let (silent, deaf) = (server(|_| None).await, server(|_| None).await);
        let (broken, unwilling) =
            (server(|question| code(question, 2)).await, server(|question| code(question, 5)).await);
        for (asked, cause, alike) in [
            (vec![broken, silent], Cause::DnsServfail, vec![broken]),
            (vec![silent, broken], Cause::DnsServfail, vec![broken]),
            (vec![broken, unwilling], Cause::DnsRefused, vec![unwilling]),
            (vec![broken, silent, broken], Cause::DnsServfail, vec![broken]),
        ] {
            let found = resolve(asked.clone(), "login.example").await;
            assert_eq!(found.finding.map(|finding| finding.cause), Some(cause), "{asked:?}");
            assert_eq!(found.failed_alike(), alike);
        }
        let found = resolve(vec![silent, deaf], "login.example").await;
        assert_eq!(found.failed_alike(), [silent, deaf], "what two do alike is the failure of both");
    }

    #[tokio::test]
    async fn addresses_and_impossible_names_are_not_asked() {
        assert_eq!(resolve(Vec::new(), "10.0.0.4").await.addresses, [IpAddr::from([10, 0, 0, 4])]);
        let found = resolve(vec![server(good).await], "no spaces please").await;
        assert_eq!(found.finding.map(|f| f.cause), Some(Cause::LocalSetup));
    }

    /// No IPv4 address, and no word about IPv6.
    fn half(question: &[u8]) -> Option<Vec<u8>> {
        let is_v4 = question[question.len() - if question[11] > 0 { 14 } else { 3 }] == 1;
        code(question, if is_v4 { 0 } else { 2 })
    }

    #[tokio::test]
    async fn a_name_whose_second_family_is_not_told_is_not_denied() {
        let found = resolve(vec![server(half).await, server(good).await], "login.example").await;
        assert_eq!(found.addresses.len(), 1, "the next server is asked");
        let found = resolve(vec![server(half).await], "login.example").await;
        assert_eq!(found.finding.map(|f| f.cause), Some(Cause::DnsServfail));
    }

    #[tokio::test]
    async fn a_server_that_only_leads_to_others_is_followed_by_the_next() {
        let referral = |question: &[u8]| {
            let mut bytes = code(question, 0)?;
            bytes[3] = 0;
            Some(bytes)
        };
        let found = resolve(vec![server(referral).await, server(good).await], "login.example").await;
        assert_eq!(found.addresses.len(), 1);
        let found = resolve(vec![server(referral).await], "login.example").await;
        assert_eq!(found.finding.map(|f| f.cause), Some(Cause::DnsRefused));
    }

    #[test]
    fn names_are_checked_by_rule() {
        let long = format!("{}example", "abcdefg.".repeat(32));
        for (name, valid) in [
            ("a.example", true),
            ("a.example.", true),
            ("_sip.example", true),
            ("", false),
            (".", false),
            ("a..example", false),
            ("bücher.example", false),
            (long.as_str(), false),
        ] {
            assert_eq!(valid_name(name).is_ok(), valid, "{name}");
        }
        assert!(valid_name(&"a".repeat(64)).is_err());
        let error = valid_name("bücher.example").expect_err("not ASCII").to_string();
        assert!(error.contains('ü') && error.contains("xn--"), "{error}");
    }
}
