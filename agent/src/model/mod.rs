//! Types that other rooms share. No behaviour beyond what follows from their own fields.

pub mod assumptions;
pub mod catalog;
pub mod contrast;
pub mod diagnosis;
pub mod endpoint;
pub mod exports;
pub mod listed;
pub mod politeness;
pub mod remap;
pub mod rounds;
pub mod settings;
pub mod target;
pub mod visit;
