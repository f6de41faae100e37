//! What is assumed about suspension: nobody publishes how long an environment survives without a dependency.

use std::{collections::BTreeMap, time::Duration};

use ase_probes::class::Class;

/// ln 20: at the horizon the class risk is 0.95.
pub const LN_20: f64 = 2.995_732_273_553_991;

/// What is assumed about suspension.
#[derive(Clone, Debug, PartialEq)]
pub struct Assumptions {
    /// The outage after which the class risk is 0.95.
    pub horizon: Duration,
    /// The shape of the Weibull prior; 2 means that risk grows with the square of time at first.
    pub shape: f64,
    /// How much the loss of a whole class matters, 0 to 1.
    pub weights: BTreeMap<Class, f64>,
}

impl Default for Assumptions {
    fn default() -> Self {
        let weights = Class::ALL.into_iter().map(|class| (class, default_weight(class))).collect();
        Self { horizon: Duration::from_secs(4 * 3600), shape: 2.0, weights }
    }
}

/// Monitoring weighs little: the environment runs on without it (firewall-integration.md).
fn default_weight(class: Class) -> f64 {
    match class {
        Class::Dns | Class::Https | Class::Sql => 1.0,
        Class::Http => 0.8,
        Class::Ntp => 0.6,
        Class::Monitoring | Class::Tcp => 0.25,
    }
}

impl Assumptions {
    /// A prior by its median and its 95th percentile, instead of horizon and shape.
    pub fn from_prior(half: Duration, ninety_five: Duration) -> Self {
        let ratio = ninety_five.as_secs_f64() / half.as_secs_f64();
        let shape = (LN_20 / std::f64::consts::LN_2).ln() / ratio.ln();
        Self { horizon: ninety_five, shape, ..Self::default() }
    }

    /// How much the loss of a whole class matters, 0 to 1; what the configuration does not name matters nothing.
    pub fn weight(&self, class: Class) -> f64 {
        self.weights.get(&class).copied().unwrap_or(0.0).clamp(0.0, 1.0)
    }
}
