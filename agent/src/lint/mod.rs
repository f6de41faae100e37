//! Judges what Azure exports of a subnet: rules, routes, sizes. Pure: JSON in, findings out; no clock, no network.

pub mod addresses;
pub mod change;
pub mod compare;
#[cfg(test)]
mod compare_tests;
mod definitions;
pub mod evaluate;
#[cfg(test)]
mod evaluate_tests;
pub mod finding;
#[cfg(test)]
mod fixtures_tests;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod judge;
pub mod ranges;
pub mod read;
pub mod regions;
pub mod render;
pub mod requirements;
pub mod route;
pub mod routing;
pub mod rule;
mod runs;
pub mod seen;
pub mod size;
pub mod tags;
pub mod traffic;
pub mod world;
