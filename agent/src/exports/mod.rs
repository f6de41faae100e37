//! The join of what Azure exports with what is measured: which exported rule or route does what an incident shows.

pub mod disk;
pub mod join;
pub mod judged;
pub mod measured;
pub mod mirror;
pub mod said;
pub mod threats;
pub mod view;
pub mod watch;
mod words;

pub use words::coarse;
