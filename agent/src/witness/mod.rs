//! The other direction: an agent that listens answers the signed challenge of one that knocks, so that inbound rules and the
//! way back are proved. It answers nothing else, and nobody else.

pub mod challenge;
mod guard;
mod half_open;
pub mod key;
pub mod knock;
pub mod listener;
pub mod port;
pub mod proof;
