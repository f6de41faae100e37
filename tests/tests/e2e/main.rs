//! What no single crate can show: the real binaries against real servers and against the simulated Azure.

mod bad_input;
mod daemon;
mod demo;
mod dns_scenarios;
mod guest_faults;
mod http_client;
mod process;
mod prometheus;
mod real_peers;
mod rules;
mod simulators;
mod subnet;
mod tds_clients;
mod tidy;
mod vocabulary;
