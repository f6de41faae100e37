//! What no single crate can show: the real binaries against real servers and against the simulated Azure.

mod alert;
mod bad_input;
mod bench;
mod daemon;
mod dashboards;
mod demo;
mod dns_scenarios;
mod evaluation;
mod fault_scenarios;
mod fleet;
mod guest_faults;
mod http_client;
mod memory;
mod private_systemd;
mod process;
mod prometheus;
mod real_peers;
mod rules;
mod signatures;
mod silences;
mod simulators;
mod subnet;
mod systemd_unit;
mod tds_clients;
mod tidy;
mod vocabulary;
