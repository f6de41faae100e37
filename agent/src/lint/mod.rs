//! Judges what Azure exports of a subnet: rules, routes, sizes. Pure: JSON in, findings out; no clock, no network.

pub mod addresses;
mod definitions;
pub mod evaluate;
#[cfg(test)]
mod evaluate_tests;
pub mod finding;
pub mod judge;
pub mod ranges;
pub mod read;
pub mod render;
pub mod requirements;
pub mod route;
pub mod routing;
pub mod rule;
pub mod size;
pub mod tags;
pub mod traffic;
pub mod world;
