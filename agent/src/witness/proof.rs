//! What a knock showed at a port and what that proves: that both ways are open, or on which of them it was lost, as far as the
//! transport and the witness's own word at another port tell. Pure.

use ase_probes::{
    cause::Cause,
    dns::Transport,
    seen::Exchange,
    verdict::{Finding, Phase, Verdict},
};

use super::{challenge::Answer, port::Port};

/// What one port showed.
#[derive(Clone, Debug)]
pub struct Knocked {
    /// The port.
    pub port: Port,
    /// What the transport showed.
    pub exchange: Exchange<Vec<u8>>,
    /// What the witness said.
    pub answer: Option<Answer>,
    /// How far the witness's clock is ahead of this machine's, in seconds, by its answer.
    pub ahead: Option<f64>,
    /// What the witness said at another port about this one; `None` where it could not be asked.
    pub witnessed: Option<Witnessed>,
}

/// What a witness knows of a port at which it gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Witnessed {
    /// Whether it listens there.
    pub listens: bool,
    /// Whether a packet of this knock came there.
    pub came: bool,
}

/// What one port proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The witness itself answered: the way in and the way back are open.
    Answered,
    /// The witness answered at another port.
    Translated(Port),
    /// Somebody accepted or answered without the witness's seal.
    Unproved,
    /// The port is closed, or somebody says so.
    Refused,
    /// The knock did not come to the witness, which listens there.
    LostIn,
    /// The knock came to the witness, and its answer did not come back.
    LostBack,
    /// Nothing came back, and nobody can say which way lost it.
    Silent,
    /// A device said that it does not pass it, or has no way.
    Stopped(Finding),
    /// This machine could not knock.
    Untested(Finding),
}

impl Proof {
    /// What a port proved by what it showed and by what the witness said about it.
    pub fn of(knocked: &Knocked) -> Self {
        match (&knocked.answer, knocked.exchange.verdict) {
            (Some(answer), _) if answer.reached == knocked.port => Self::Answered,
            (Some(answer), _) => Self::Translated(answer.reached),
            (None, Verdict::Inconclusive(finding)) => Self::Untested(finding),
            (None, Verdict::Healthy) => Self::Unproved,
            (None, Verdict::Failed(finding) | Verdict::Degraded(finding)) => Self::of_failure(knocked, finding),
        }
    }

    fn of_failure(knocked: &Knocked, finding: Finding) -> Self {
        let is_accepted = knocked.port.transport == Transport::Tcp && finding.phase != Phase::Connect;
        let is_silent = finding.cause == Cause::Dropped;
        match knocked.witnessed {
            Some(Witnessed { came: true, .. }) if is_accepted || is_silent => Self::LostBack,
            _ if is_accepted => Self::Unproved,
            _ if finding.cause == Cause::Refused => Self::Refused,
            Some(Witnessed { listens: true, .. }) if is_silent => Self::LostIn,
            _ if is_silent => Self::Silent,
            _ => Self::Stopped(finding),
        }
    }

    /// The word for it in a document.
    pub fn label(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Translated(_) => "translated",
            Self::Unproved => "unproved",
            Self::Refused => "refused",
            Self::LostIn => "dropped_in",
            Self::LostBack => "dropped_back",
            Self::Silent => "silent",
            Self::Stopped(_) => "stopped",
            Self::Untested(_) => "untested",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ase_probes::{
        seen::{Phases, Seen},
        verdict::Confidence,
    };

    fn knocked(transport: Transport, cause: Option<(Cause, Phase)>, witnessed: Option<Witnessed>) -> Knocked {
        let finding = cause.map(|(cause, phase)| Finding::new(cause, phase, Confidence::Likely));
        let exchange = Exchange {
            address: ([10, 0, 1, 4], 454).into(),
            phases: Phases::default(),
            verdict: finding.map_or(Verdict::Healthy, Finding::failed),
            seen: Seen::default(),
            reply: Vec::new(),
        };
        Knocked { port: Port { transport, number: 454 }, exchange, answer: None, ahead: None, witnessed }
    }

    #[test]
    fn the_witness_s_word_tells_the_way_in_from_the_way_back() {
        let said = |listens, came| Some(Witnessed { listens, came });
        let (silent, cut) = ((Cause::Dropped, Phase::Connect), (Cause::Reset, Phase::Request));
        for (cause, witnessed, expected) in [
            (silent, None, Proof::Silent),
            (silent, said(true, false), Proof::LostIn),
            (silent, said(true, true), Proof::LostBack),
            (silent, said(false, false), Proof::Silent),
            (cut, None, Proof::Unproved),
            (cut, said(true, false), Proof::Unproved),
            (cut, said(true, true), Proof::LostBack),
            ((Cause::Refused, Phase::Connect), said(true, false), Proof::Refused),
        ] {
            assert_eq!(
                Proof::of(&knocked(Transport::Tcp, Some(cause), witnessed)),
                expected,
                "{cause:?} {witnessed:?}"
            );
        }
        let datagram =
            |witnessed| Proof::of(&knocked(Transport::Udp, Some((Cause::Dropped, Phase::Request)), witnessed));
        assert_eq!(datagram(said(true, true)), Proof::LostBack);
        assert_eq!(datagram(said(true, false)), Proof::LostIn);
        assert_eq!(datagram(None), Proof::Silent);
    }

    #[test]
    fn what_a_device_or_this_machine_says_keeps_its_finding() {
        let of = |cause, phase| Proof::of(&knocked(Transport::Tcp, Some((cause, phase)), None));
        assert!(
            matches!(of(Cause::Rejected, Phase::Connect), Proof::Stopped(finding) if finding.cause == Cause::Rejected)
        );
        assert!(matches!(of(Cause::LocalRoute, Phase::Local), Proof::Untested(_)));
        assert_eq!(Proof::of(&knocked(Transport::Tcp, None, None)), Proof::Unproved, "an answer without a seal");
    }
}
