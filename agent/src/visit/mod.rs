//! One question asked to the end: a name resolved, its addresses asked, redirects followed, all within a budget.

pub mod exchange;
pub mod flow_budget;
pub mod rests;
pub mod terms;
pub mod visitor;
