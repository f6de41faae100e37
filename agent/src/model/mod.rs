//! Types that other rooms share.

pub mod catalog;
pub mod settings;
