//! Which incidents may show late: while their endpoints work, only once names were compared or many visits made.

use ase_probes::cause::Cause;

use super::{RULES, Rule};
use crate::resolvers::compare::ComparisonClass;

/// Whether an incident with this cause, which these rules decided, may show late: the cause is one that an endpoint that works
/// can have, or a rule decided that is only for those.
pub fn shows_late<'a>(cause: Cause, rules: impl IntoIterator<Item = &'a str>) -> bool {
    let is_compared = || ComparisonClass::ALL.iter().any(|class| class.cause() == Some(cause));
    let may_work = |rule: &Rule| rule.symptoms.iter().any(|symptom| symptom.is_quiet());
    let is_named = || RULES.iter().any(|rule| rule.cause == Some(cause) && may_work(rule));
    cause != Cause::None && (is_compared() || is_named() || rules.into_iter().any(is_for_who_works))
}

/// Whether every symptom of a rule is that of an endpoint that works; it may keep whatever cause was met before.
fn is_for_who_works(id: &str) -> bool {
    let rule = RULES.iter().find(|rule| rule.id == id);
    rule.is_some_and(|rule| rule.symptoms.iter().all(|symptom| symptom.is_quiet()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_its_answer() {
        for cause in Cause::ALL {
            let expected = match cause {
                Cause::DnsDivergent
                | Cause::DnsIntercepted
                | Cause::DnsNoReply
                | Cause::PacketLoss
                | Cause::Slow
                | Cause::FlowHashLoss
                | Cause::FlowTableFull
                | Cause::ProxiedBlind
                | Cause::NtpWrongTime
                | Cause::SqlRedirectBlocked => true,
                Cause::None
                | Cause::Unknown
                | Cause::LocalFdLimit
                | Cause::LocalPorts
                | Cause::LocalFirewall
                | Cause::LocalRoute
                | Cause::LocalClock
                | Cause::LocalSetup
                | Cause::LocalLimit
                | Cause::LocalStall
                | Cause::NextHopDown
                | Cause::Unreachable
                | Cause::Rejected
                | Cause::Dropped
                | Cause::MtuBlackhole
                | Cause::AsymmetricReply
                | Cause::Refused
                | Cause::Reset
                | Cause::DnsServfail
                | Cause::DnsRefused
                | Cause::DnsNxdomain
                | Cause::DnsNodata
                | Cause::DnsNoTcp
                | Cause::TlsBlocked
                | Cause::TlsIntercepted
                | Cause::TlsCertInvalid
                | Cause::TlsRejected
                | Cause::HttpBlocked
                | Cause::HttpStatus
                | Cause::NtpDenied
                | Cause::NtpUnsynced
                | Cause::ProtocolViolation => false,
            };
            assert_eq!(shows_late(*cause, []), expected, "{cause}");
        }
    }

    #[test]
    fn what_comes_and_goes_shows_late_whatever_its_cause() {
        for (cause, rule, expected) in [
            (Cause::Reset, "R43t", true),
            (Cause::HttpStatus, "R41t", true),
            (Cause::Reset, "R43", false),
            (Cause::TlsRejected, "R00", false),
            (Cause::Reset, "R999", false),
            (Cause::None, "R00a", false),
        ] {
            assert_eq!(shows_late(cause, [rule]), expected, "{cause} by {rule}");
        }
    }
}
