//! A question as a resolver asks it, in the one place for all who ask: with EDNS and, where the server does not bear that,
//! without it; over UDP and, where that answer was cut, over TCP.

use std::{pin::pin, time::Duration};

use super::{Answer, Exchange, Expect, Question, Reply, Transport, WhyPlain};
use crate::{
    attempt::Attempt,
    cause::{Cause, Side},
    egress::Shape,
    evidence::Ending,
    verdict::{Confidence, Finding, Phase, Verdict},
};

/// The room in bytes that a question without EDNS offers (RFC 1035 section 4.2.1).
const SMALL: u16 = 512;
/// The least time in which a server answers a second try that has just answered: several round trips within a region.
const AGAIN: Duration = Duration::from_millis(150);

impl Question {
    /// Asks until the server has said yes or no in any form that an application's resolver takes, within the attempt's
    /// deadline: without EDNS after a refusal, an unreadable answer or silence for half of the time (RFC 6891 sections
    /// 6.2.2 and 7), and over TCP where the answer about a name was truncated (RFC 7766 section 5). A server that
    /// truncates and then says nothing over TCP is [`Cause::DnsNoTcp`]. An attempt with a shape of its own is a
    /// measurement: one exchange, no other form.
    pub async fn ask(self, attempt: &Attempt<'_>) -> Exchange<Reply> {
        if attempt.shape != Shape::default() {
            return self.run(attempt).await;
        }
        let exchange = self.ask_in_either_form(attempt).await;
        if self.transport == Transport::Tcp || self.expect == Expect::AnyAnswer {
            return exchange;
        }
        let whole = Self { transport: Transport::Tcp, ..self };
        match &exchange.reply.answer {
            Some(answer) if answer.truncated => whole.instead_of_a_cut_one(attempt, exchange).await,
            None if exchange.reply.unreadable.is_some() => whole.beside_an_unreadable_one(attempt, exchange).await,
            Some(_) | None => exchange,
        }
    }

    /// Asks with EDNS as the question stands, and without it where the server does not bear it. The first question is
    /// listened to until the second is answered: what is late is no silence.
    async fn ask_in_either_form(&self, attempt: &Attempt<'_>) -> Exchange<Reply> {
        if self.edns.is_none() {
            return self.run(attempt).await;
        }
        let plain = self.clone().offering(None);
        let attempt_plain = Attempt { nonce: attempt.nonce.rotate_left(16), ..*attempt };
        let mut first = pin!(self.run(attempt));
        let done = tokio::select! {
            biased;
            done = &mut first => Some(done),
            () = tokio::time::sleep(attempt.deadline.remaining() / 2) => None,
        };
        if let Some(done) = done {
            return match why_plain(&done) {
                Some(why) => better(done, plain.run(&attempt_plain).await, why),
                None => done,
            };
        }
        let mut second = pin!(plain.run(&attempt_plain));
        tokio::select! {
            biased;
            done = &mut first => match why_plain(&done) {
                Some(why) => better(done, second.await, why),
                None if done.reply.answer.is_none() => better(done, second.await, WhyPlain::Silent),
                None => done,
            },
            other = &mut second => match is_yes_or_no(&other.reply) {
                true => self.after_silence(attempt, without_edns(other, WhyPlain::Silent)).await,
                false => first.await,
            },
        }
    }

    /// Tells a server that does not bear EDNS from a path on which large datagrams vanish, where a question without it was
    /// answered by a cut answer: with EDNS, and no more room than without it, only the latter answers.
    async fn after_silence(&self, attempt: &Attempt<'_>, mut plain: Exchange<Reply>) -> Exchange<Reply> {
        if self.was_lost_once(attempt, &plain).await {
            plain.reply.plain = None;
            return plain;
        }
        let is_cut = plain.reply.answer.as_ref().is_some_and(|answer| answer.truncated);
        // A name has no time for it: its answer is asked for over TCP.
        if is_cut && self.expect == Expect::AnyAnswer {
            let attempt = Attempt { nonce: attempt.nonce.rotate_left(32), ..*attempt };
            let small = self.clone().offering(Some(SMALL)).run(&attempt).await;
            if is_yes_or_no(&small.reply) {
                let vanish = Finding::new(Cause::MtuBlackhole, Phase::Dns, Confidence::Confirmed);
                plain.verdict = Verdict::Degraded(vanish);
                plain.reply.plain = Some(WhyPlain::Large);
            }
        }
        plain
    }

    /// Whether the same question with EDNS is answered at a second try: then the first one, or its answer, was lost. The try
    /// gets twice the time in which the answer without EDNS came.
    async fn was_lost_once(&self, attempt: &Attempt<'_>, plain: &Exchange<Reply>) -> bool {
        let took = plain.phases.of(Phase::Dns).unwrap_or_default();
        let deadline = attempt.deadline.at_most(AGAIN.max(took * 2));
        let again = Attempt { nonce: attempt.nonce.rotate_left(48), deadline, ..*attempt };
        is_yes_or_no(&self.run(&again).await.reply)
    }

    /// Asks over TCP what did not fit into a datagram.
    async fn instead_of_a_cut_one(self, attempt: &Attempt<'_>, cut: Exchange<Reply>) -> Exchange<Reply> {
        let mut whole = self.ask_in_either_form(attempt).await;
        if let (Verdict::Failed(finding), None) = (whole.verdict, &whole.reply.answer) {
            whole.verdict = Finding::new(Cause::DnsNoTcp, finding.phase, Confidence::Confirmed).failed();
        }
        whole.reply.plain = whole.reply.plain.or(cut.reply.plain);
        whole
    }

    /// Looks whether the same server answers over TCP what cannot be read over UDP. No application's resolver does, so
    /// that the name stays lost; but it is then the path that spoils datagrams, and not the server.
    async fn beside_an_unreadable_one(self, attempt: &Attempt<'_>, mut broken: Exchange<Reply>) -> Exchange<Reply> {
        let whole = self.ask_in_either_form(attempt).await;
        if let Some(answer) = whole.reply.answer {
            broken.reply.length_over_tcp = Some(answer.length);
            let spoilt = Finding::new(Cause::ProtocolViolation, Phase::Dns, Confidence::Likely);
            broken.verdict = spoilt.on(Side::Path).failed();
        }
        broken
    }
}

/// Why the same question is worth asking without EDNS; `None` where it was answered or the transport failed. SERVFAIL is
/// among the ways in which old servers refuse EDNS (RFC 2671 section 5.3), REFUSED among those of devices, and over TCP a
/// connection that ends at the question.
fn why_plain(exchange: &Exchange<Reply>) -> Option<WhyPlain> {
    let reply = &exchange.reply;
    match (&reply.answer, reply.unreadable, &exchange.seen.stop) {
        (Some(answer), _, _) => (!answer.rcode.is_yes_or_no()).then_some(WhyPlain::Refused(answer.rcode)),
        (None, Some(unreadable), _) => Some(WhyPlain::Unreadable(unreadable.what)),
        (None, None, Some(stop)) if stop.phase == Phase::Dns && stop.trouble.ending() == Ending::Cut => {
            Some(WhyPlain::Silent)
        }
        (None, None, _) => None,
    }
}

/// The exchange without EDNS where that one brought an answer, else the first: it may explain itself.
fn better(first: Exchange<Reply>, plain: Exchange<Reply>, why: WhyPlain) -> Exchange<Reply> {
    if is_yes_or_no(&plain.reply) { without_edns(plain, why) } else { first }
}

fn without_edns(mut plain: Exchange<Reply>, why: WhyPlain) -> Exchange<Reply> {
    plain.reply.plain = Some(why);
    plain
}

fn is_yes_or_no(reply: &Reply) -> bool {
    reply.answer.as_ref().is_some_and(|answer: &Answer| answer.rcode.is_yes_or_no())
}

#[cfg(test)]
#[path = "ask_tests.rs"]
mod tests;
