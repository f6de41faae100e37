//! What is worth knowing about the custom DNS's answer and never changes the class.

use std::{fmt, time::Duration};

use super::{Answer, History};

/// A record that lives longer than this is most likely kept alive by an override.
const LONG: Duration = Duration::from_secs(24 * 3600);

/// Something worth knowing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Annotation {
    /// The answer may be kept for more than a day.
    LongTtl(Duration),
    /// The time to live does not count down between rounds, as it does in a cache.
    FixedTtl(Duration),
    /// The custom DNS answers as an authority; the zone, where it names it.
    LocalZone(Option<String>),
    /// The answer came in less than half of the shortest time so far: somebody nearer may have given it.
    NearAnswer {
        /// How long it took.
        took: Duration,
        /// The shortest time so far.
        fastest: Duration,
    },
}

impl fmt::Display for Annotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LongTtl(ttl) => {
                write!(f, "the answer may be kept for {} s: a cache override keeps old addresses alive", ttl.as_secs())
            }
            Self::FixedTtl(ttl) => {
                write!(f, "the time to live stays at {} s from round to round: a cache override", ttl.as_secs())
            }
            Self::LocalZone(Some(zone)) => write!(f, "the custom DNS hosts the zone {zone} itself"),
            Self::LocalZone(None) => f.write_str("the custom DNS hosts the name's zone itself"),
            Self::NearAnswer { took, fastest } => write!(
                f,
                "the answer took {} us, less than half of the shortest time so far ({} us): somebody nearer may answer",
                took.as_micros(),
                fastest.as_micros()
            ),
        }
    }
}

/// Says what is worth knowing about the custom DNS's answer, given the rounds before it and with it.
pub fn annotate(custom: &Answer, history: &History) -> Vec<Annotation> {
    let long = custom.ttl.filter(|ttl| *ttl > LONG).map(Annotation::LongTtl);
    let fixed = history.fixed_ttl().filter(|_| long.is_none()).map(Annotation::FixedTtl);
    let local = custom.authoritative.then(|| Annotation::LocalZone(custom.soa_zone.clone()));
    let near = history.nearer().map(|(took, fastest)| Annotation::NearAnswer { took, fastest });
    long.into_iter().chain(fixed).chain(local).chain(near).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(ttl: u64, response_ms: u64) -> Answer {
        Answer {
            ttl: Some(Duration::from_secs(ttl)),
            response: Some(Duration::from_millis(response_ms)),
            ..Answer::with(&[], &["20.0.0.1"])
        }
    }

    /// What is noted at the last of these rounds, 300 s apart.
    fn noted(rounds: &[Answer]) -> Vec<Annotation> {
        let mut history = History::default();
        for (round, custom) in (0u64..).zip(rounds) {
            history.remember(custom, &answer(60, 2), Duration::from_secs(300 * round));
        }
        rounds.last().map(|custom| annotate(custom, &history)).unwrap_or_default()
    }

    #[test]
    fn a_time_to_live_that_never_counts_down_is_an_override() {
        let fixed = Annotation::FixedTtl(Duration::from_secs(3600));
        assert_eq!(noted(&[answer(3600, 2), answer(3600, 2), answer(3600, 2), answer(3600, 2)]), [fixed]);
        assert_eq!(noted(&[answer(3600, 2), answer(3300, 2), answer(3000, 2), answer(2700, 2)]), []);
        assert_eq!(noted(&[answer(60, 2), answer(60, 2), answer(60, 2), answer(60, 2)]), [], "asked anew each round");
        let zone = |answer: Answer| Answer { authoritative: true, soa_zone: Some("corp".into()), ..answer };
        let hosted: Vec<Answer> = (0..4).map(|_| zone(answer(3600, 2))).collect();
        assert_eq!(noted(&hosted), [Annotation::LocalZone(Some("corp".into()))], "an authority's never does");
        assert_eq!(noted(&[answer(90_000, 2)]), [Annotation::LongTtl(Duration::from_secs(90_000))]);
    }

    #[test]
    fn an_answer_from_nearer_than_the_server_is_noted_once_the_server_is_known() {
        let mut rounds: Vec<Answer> = (0..10).map(|round| answer(60, 20 + round % 3)).collect();
        rounds.push(answer(60, 9));
        let (took, fastest) = (Duration::from_millis(9), Duration::from_millis(20));
        assert_eq!(noted(&rounds), [Annotation::NearAnswer { took, fastest }]);
        assert_eq!(noted(&rounds[6..]), [], "four rounds are too few");
        rounds[10] = answer(60, 11);
        assert_eq!(noted(&rounds), [], "more than half");
    }

    #[test]
    fn every_annotation_says_what_it_rests_on() {
        let near = Annotation::NearAnswer { took: Duration::from_micros(7), fastest: Duration::from_micros(20) };
        for (annotation, words) in [
            (Annotation::LongTtl(Duration::from_secs(90_000)), "90000 s"),
            (Annotation::FixedTtl(Duration::from_secs(3600)), "3600 s"),
            (Annotation::LocalZone(Some("corp.example".into())), "corp.example"),
            (Annotation::LocalZone(None), "itself"),
            (near, "7 us"),
        ] {
            assert!(annotation.to_string().contains(words), "{annotation}");
        }
    }
}
