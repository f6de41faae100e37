//! Any evidence as a diagnosis: an exchange that ended anyhow, and any contrasts in any order.
#![no_main]

use std::{net::SocketAddr, time::Duration};

use ase_agent::{diagnosis::{conclude::{asked_of, conclude}, symptom::{Sign, self}}, model::contrast::{Contrast, Contrasts}};
use ase_probes::{
    cause::Cause,
    evidence::{IcmpError, Operation, Stop, TcpInfo, Trouble},
    outcome::{Outcome, Protocol},
    seen::{Phases, Seen},
    tls::{Certificate, Handshake, Invalid},
    verdict::{Confidence, Finding, Phase},
};
use libfuzzer_sys::arbitrary::{Result, Unstructured};

const CONFIDENCES: [Confidence; 3] = [Confidence::Possible, Confidence::Likely, Confidence::Confirmed];

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // Bytes that run out make a shorter case.
    let _ = diagnose(&mut Unstructured::new(bytes));
});

fn diagnose(any: &mut Unstructured<'_>) -> Result<()> {
    let finding = Finding::new(*any.choose(Cause::ALL)?, *any.choose(&Phase::ALL)?, *any.choose(&CONFIDENCES)?);
    let outcome = outcome(any, finding)?;
    let symptom = symptom::of(&outcome, finding);
    let sign = Sign { symptom, finding, peer: Some(outcome.address), is_resolving: any.arbitrary()? };
    let mut known = Contrasts::default();
    let mut before = conclude(&sign, &known);
    loop {
        assert!(Cause::ALL.contains(&before.finding.cause), "a cause of the closed set");
        assert!(Phase::ALL.contains(&before.finding.phase), "a phase of the closed set");
        assert!(before.candidates.contains(&before.finding.cause), "the conclusion is a candidate");
        assert!(before.open.iter().all(|open| known.get(*open).is_none()), "what is open is not known");
        assert!(before.open.iter().all(|open| asked_of(symptom).any(|asked| asked == *open)), "and worth asking");
        let shown = before.clone().diagnosis(&known).contrasts;
        let is_shown = |(contrast, answer): &(Contrast, bool)| shown.iter().any(|line| line == contrast.words(*answer));
        let mut grounds = before.rule.needs.iter().filter(|(contrast, _)| !contrast.is_circumstance());
        assert!(grounds.all(is_shown), "what the decision rests on is shown");
        assert_eq!(shown.len(), known.iter().filter(is_shown).count(), "and nothing that nobody said");
        if any.is_empty() {
            return Ok(());
        }
        let (contrast, answer) = (*any.choose(Contrast::ALL)?, any.arbitrary()?);
        if known.get(contrast).is_some() {
            continue;
        }
        known.learn(contrast, answer);
        let after = conclude(&sign, &known);
        assert!(before.candidates.contains(&after.finding.cause), "more evidence stays within the candidates");
        before = after;
    }
}

/// An exchange with this finding that ended anyhow.
fn outcome(any: &mut Unstructured<'_>, finding: Finding) -> Result<Outcome> {
    let offender = any.arbitrary::<bool>()?.then_some([10, 0, 0, 1].into());
    let icmp = match any.int_in_range(0..=3)? {
        0 => Some(IcmpError {
            v6: any.arbitrary()?,
            kind: any.arbitrary()?,
            code: any.arbitrary()?,
            mtu: any.arbitrary()?,
            offender,
            from_self: any.arbitrary()?,
        }),
        _ => None,
    };
    let tcp = any.arbitrary::<bool>()?.then(|| any.arbitrary()).transpose()?;
    let seen = Seen {
        stop: any.arbitrary::<bool>()?.then(|| stop(any)).transpose()?,
        icmp,
        tcp: tcp.map(|unacked| TcpInfo { unacked, ..TcpInfo::default() }),
        ..Seen::default()
    };
    let protocol = protocol(any)?;
    let address = SocketAddr::from(([20, 0, 0, 1], any.arbitrary()?));
    Ok(Outcome { address, phases: Phases::default(), verdict: finding.failed(), seen, protocol })
}

fn stop(any: &mut Unstructured<'_>) -> Result<Stop> {
    const OPERATIONS: [Operation; 6] = [
        Operation::Socket,
        Operation::Option,
        Operation::Bind,
        Operation::Connect,
        Operation::Send,
        Operation::Receive,
    ];
    let trouble = match any.int_in_range(0..=7)? {
        0 => Trouble::TimedOut,
        1 => Trouble::Closed,
        2 => Trouble::TooMuch("a limit"),
        3 => Trouble::Malformed("a rule"),
        4 => Trouble::Alert(any.arbitrary()?),
        5 => Trouble::Certificate,
        6 => Trouble::Unasked("a rule"),
        _ => Trouble::Os { operation: *any.choose(&OPERATIONS)?, errno: any.arbitrary()? },
    };
    let elapsed = Duration::from_millis(any.arbitrary::<u16>()?.into());
    Ok(Stop { phase: *any.choose(&Phase::ALL)?, trouble, elapsed })
}

fn protocol(any: &mut Unstructured<'_>) -> Result<Protocol> {
    if any.arbitrary()? {
        return Ok(Protocol::Nothing);
    }
    let invalid = match any.int_in_range(0..=5)? {
        0 => None,
        1 => Some(Invalid::Expired),
        2 => Some(Invalid::NotYetValid),
        3 => Some(Invalid::WrongName),
        4 => Some(Invalid::UnknownIssuer),
        _ => Some(Invalid::Other("anything".to_owned())),
    };
    let chain = if any.arbitrary()? { vec![Certificate::default()] } else { Vec::new() };
    let tls = Some(Handshake { chain, invalid, ..Handshake::default() });
    Ok(Protocol::Http(Box::new(ase_probes::http::Reply { tls, ..Default::default() })))
}
