//! Asks one network dependency one question that only the real peer can answer.
//!
//! Every probe has the same skeleton: a `Question`, `run(&Attempt) -> Exchange<Reply>`, a `Reply` (what came back before
//! anyone says what it means) and a pure `judge`. This crate knows no configuration, no schedule and no metrics.

pub mod attempt;
pub mod carry;
pub mod cause;
pub mod class;
pub mod clock;
mod datagram;
pub mod deadline;
pub mod dns;
pub mod egress;
pub mod errand;
mod error_queue;
pub mod evidence;
#[cfg(test)]
mod fixture;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod held_flow;
pub mod hops;
pub mod http;
mod inspectors;
pub mod journal;
mod kernel;
pub mod knock;
pub mod local_facts;
pub mod ntp;
pub mod old_tls;
pub mod outcome;
pub mod own_process;
mod pace;
pub mod port_sample;
pub mod probe;
mod progress;
pub mod regular_file;
#[cfg(test)]
#[path = "../../tests/fuzz/replay.rs"]
mod replay;
pub mod resolve;
pub mod seen;
pub mod source_ports;
mod stream;
mod tap;
pub mod tcp;
pub mod tds;
pub mod tls;
pub mod trace;
mod transport;
pub mod verdict;
