//! Why something is lost, across exchanges: one exchange shows a symptom, contrasts tell its possible causes apart, and
//! endpoints that fail together make one incident. Pure: evidence in, diagnosis out; it asks nobody and reads no clock.

pub mod ask;
pub mod cases;
pub mod conclude;
pub mod held_flows;
pub mod incidents;
pub mod localise;
pub mod measure;
pub mod memory;
pub mod moments;
pub mod neighbourhood;
pub mod neighbours;
pub mod pace;
pub mod posed;
pub mod rules;
pub mod shell;
pub mod symptom;
pub mod turns;
pub mod window;

#[cfg(test)]
mod procedure_page;
