//! A few of many ports at one address. Azure SQL in redirect mode sends its clients to ports 11000 to 11999: when all of
//! a sample are silent while 1433 works, a rule for 1433 alone is the likely reason. One answer disproves it.

use std::{fmt, net::SocketAddr, time::Duration};

use futures_util::future::join_all;

use crate::{
    attempt::Attempt,
    evidence::Millis,
    knock::{Answer, Knock, knock},
};

/// Ports that are asked, and so flows that are opened: where one port in four answers,
/// 6 find one with a chance of 82 %.
pub const SAMPLE_FLOWS: usize = 6;
/// The first port that Azure SQL redirects to (Azure SQL connectivity architecture: 11000 to 11999).
const FIRST: u16 = 11_000;
/// The number of ports that Azure SQL redirects to (same place).
const COUNT: u16 = 1000;
/// The wait for each answer: Linux sends SYNs at 0, 1 and 2 s (at 0 and 1 s before 6.5), so that one lost packet is no
/// silence.
const PATIENCE: Duration = Duration::from_millis(2500);

/// What a few ports of one address answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortSample {
    /// The ports asked, ascending, each with what came back.
    pub ports: Vec<(u16, Knock)>,
}

impl PortSample {
    /// Whether every port was asked and none gave any sign.
    pub fn is_silent(&self) -> bool {
        !self.ports.is_empty() && self.ports.iter().all(|(_, knock)| knock.answer == Answer::Silent)
    }
}

impl fmt::Display for PortSample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answered = self.ports.iter().filter(|(_, knock)| knock.answer != Answer::Silent);
        let answered: Vec<_> = answered.map(|(port, knock)| format!("{port} {knock}")).collect();
        let count = self.ports.len();
        if answered.is_empty() {
            let waited = self.ports.iter().map(|(_, knock)| knock.elapsed).max().unwrap_or_default();
            write!(
                f,
                "{count} of the ports {FIRST}-{} were tried and all silent for {}",
                FIRST + COUNT - 1,
                Millis(waited)
            )
        } else {
            write!(f, "{count} of the ports {FIRST}-{} were tried: {}", FIRST + COUNT - 1, answered.join(", "))
        }
    }
}

/// Tries [`SAMPLE_FLOWS`] of the ports that Azure SQL redirects to, at the attempt's address, all at the same time. The
/// nonce chooses them, spread over the range.
pub async fn sql_redirect(attempt: &Attempt<'_>) -> PortSample {
    let spread = COUNT / SAMPLE_FLOWS as u16;
    let ports = (0..SAMPLE_FLOWS as u16).map(|turn| {
        let offset = attempt.nonce.rotate_right(u32::from(turn) * 8) % u64::from(spread);
        FIRST + turn * spread + offset as u16
    });
    PortSample { ports: join_all(ports.map(|port| try_port(attempt, port))).await }
}

async fn try_port(attempt: &Attempt<'_>, port: u16) -> (u16, Knock) {
    let address = SocketAddr::new(attempt.address.ip(), port);
    (port, knock(&Attempt { address, ..*attempt }, PATIENCE).await)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        deadline::Deadline,
        egress::{Egress, Shape},
        fixture::PATIENCE as LONG,
    };

    async fn sample(nonce: u64, shape: Shape) -> PortSample {
        let egress = Egress::default();
        let (address, deadline) = (SocketAddr::from(([127, 0, 0, 9], 1433)), Deadline::within(LONG));
        sql_redirect(&Attempt { address, deadline, egress: &egress, nonce, shape }).await
    }

    #[tokio::test]
    async fn an_answer_at_any_port_disproves_that_the_range_is_closed() {
        let sample = sample(7, Shape::default()).await;
        assert!(!sample.is_silent(), "{sample}");
        assert!(sample.ports.iter().all(|(_, knock)| knock.answer == Answer::Refused), "{sample}");
        assert!(sample.to_string().contains("refused after"), "{sample}");
    }

    #[tokio::test]
    async fn silence_is_silence_only_at_all_ports() {
        let deaf = Shape { min_hop_limit: Some(255), ..Shape::default() };
        let sample = sample(u64::MAX, deaf).await;
        assert!(sample.is_silent() && sample.to_string().contains("all silent"), "{sample}");
        assert!(sample.ports.iter().all(|(_, knock)| knock.elapsed < PATIENCE * 2));
    }

    #[tokio::test]
    async fn the_ports_are_spread_and_not_always_the_same() {
        let (one, other) = (sample(1 << 40 | 5, Shape::default()).await, sample(99, Shape::default()).await);
        for sample in [&one, &other] {
            let ports: Vec<_> = sample.ports.iter().map(|(port, _)| *port).collect();
            assert!(ports.iter().all(|port| (FIRST..FIRST + COUNT).contains(port)), "{ports:?}");
            assert!(ports.windows(2).all(|pair| pair[0] < pair[1]), "{ports:?}");
            assert_eq!(ports.len(), SAMPLE_FLOWS);
        }
        assert_ne!(
            one.ports.iter().map(|p| p.0).collect::<Vec<_>>(),
            other.ports.iter().map(|p| p.0).collect::<Vec<_>>()
        );
    }
}
