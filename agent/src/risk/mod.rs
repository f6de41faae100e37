//! The estimated risk of suspension: which losses are confirmed, how many a class can bear, how long it has lasted.

pub mod estimate;
pub mod hysteresis;
pub mod quorum;
pub mod steps;
