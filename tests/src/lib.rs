//! The lab: a simulated Azure, the subnet in network namespaces, and the demo. Only what cannot be had is simulated,
//! and independent clients check the simulators.

pub mod alert;
pub mod authority;
pub mod azure;
pub mod bench;
pub mod browser;
pub mod dashboard;
pub mod demo;
pub mod evaluate;
pub mod fault;
pub mod fault_box;
pub mod fault_scenarios;
pub mod field_cases;
pub mod free_port;
pub mod guest;
pub mod guest_fault;
pub mod lint_time;
pub mod loopback;
pub mod namespace;
pub mod programs;
pub mod reliability;
pub mod remember;
pub mod sandbox;
pub mod scaled;
pub mod scenario;
pub mod screen_pictures;
pub mod sim;
pub mod subnet;
