//! What the management API says of an environment: what it depends on and reaches itself, its addresses, whether it is
//! suspended. Pure: answers in; configuration, comparison and events out.

pub mod answer;
pub mod configuration;
pub mod environment;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod inbound;
pub mod memory;
pub mod outbound;
pub mod vantage;
