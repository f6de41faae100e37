//! The detectors: the agent's own and simpler ones to compare them with.

/// A detector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Detector {
    /// Baseline: any probe of any endpoint failed and none of it succeeded since.
    OneFailure,
    /// Baseline: three failures of one endpoint in a row, without confirmation or quorum.
    ThreeFailures,
    /// Baseline: the share of failed probes over the 0.1 % that a 99.9 % objective allows, 14.4 times over 1 h and 5 min.
    ProbeBurn,
    /// The class is lost: hysteresis, confirmation and quorum.
    State,
    /// The burn rate over three pairs of windows.
    Burn,
    /// φ of the silence since the last success.
    Phi,
    /// The rise of round trips.
    Cusum,
    /// State, burn rate or CUSUM.
    Any,
}

impl Detector {
    /// Every detector, baselines first.
    pub(super) const ALL: [Self; 8] = [
        Self::OneFailure,
        Self::ThreeFailures,
        Self::ProbeBurn,
        Self::State,
        Self::Burn,
        Self::Phi,
        Self::Cusum,
        Self::Any,
    ];

    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::OneFailure => "one failed probe",
            Self::ThreeFailures => "three failed probes",
            Self::ProbeBurn => "probe burn 99.9 %",
            Self::State => "state",
            Self::Burn => "burn rate",
            Self::Phi => "phi",
            Self::Cusum => "cusum",
            Self::Any => "state or burn or cusum",
        }
    }
}
