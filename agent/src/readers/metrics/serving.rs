//! What the web server and the process say about themselves, as series: pages, connections, and the `process_` metrics under
//! the names that Prometheus's own clients give them.

use std::time::Duration;

use ase_probes::own_process::OwnProcess;

use super::{Page, histograms};
use crate::engine::histogram::{COARSE, Histogram};

/// What the web server says about itself when it shows a snapshot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Serving {
    /// How old the snapshot is that is shown.
    pub snapshot_age: Duration,
    /// What each page cost so far.
    pub pages: Vec<PageCount>,
    /// Connections that are open.
    pub connections: usize,
    /// Connections that had to make room for others.
    pub shed: u64,
    /// What the process costs.
    pub process: OwnProcess,
}

/// What one page cost so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PageCount {
    /// The word for it.
    pub page: &'static str,
    /// How long rendering it took.
    pub renders: Histogram,
    /// How often it was asked for.
    pub requests: u64,
    /// Its size when it was last rendered, before it was packed.
    pub bytes: usize,
}

/// Renders what the web server says about itself, to stand behind the text of the snapshot. `started` is the time since
/// the Unix epoch.
pub fn render_serving(serving: &Serving, started: Duration) -> String {
    let mut page = Page::default();
    let pages = || serving.pages.iter().map(|count| ([("page", count.page)], count));
    page.gauge(
        "ase_agent_snapshot_age_seconds",
        "Age of the snapshot that this page shows.",
        serving.snapshot_age.as_secs_f64(),
    );
    histograms(
        &mut page,
        "ase_agent_render_seconds",
        "Time that the web server's thread took to render and pack a page; clients of one snapshot share one rendering.",
        pages().map(|(labels, count)| (labels, &count.renders, COARSE.as_slice())),
    );
    page.counters(
        "ase_agent_requests_total",
        "Requests for a page, whatever became of them.",
        pages().map(|(labels, count)| (labels, count.requests)),
    );
    page.gauges(
        "ase_agent_page_bytes",
        "Size of a page when it was last rendered, before it is packed; 0 before the first time.",
        pages().map(|(labels, count)| (labels, count.bytes as f64)),
    );
    page.gauge("ase_agent_web_connections", "Connections of web clients that are open.", serving.connections as f64);
    page.counters(
        "ase_agent_web_connections_shed_total",
        "Connections of web clients that had to make room for others.",
        std::iter::once(([], serving.shed)),
    );
    process(&mut page, &serving.process, started);
    page.into_text()
}

fn process(page: &mut Page, process: &OwnProcess, started: Duration) {
    let cpu = process.cpu.map(|time| ([], time.as_secs_f64()));
    page.decimals("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", cpu.into_iter());
    let mut gauge = |name: &str, help: &str, value: Option<u64>| {
        page.gauges(name, help, value.into_iter().map(|value| ([], value as f64)));
    };
    gauge("process_resident_memory_bytes", "Resident memory size in bytes.", process.resident);
    gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.", process.virtual_memory);
    gauge("process_open_fds", "Number of open file descriptors.", process.open_files);
    gauge("process_max_fds", "Maximum number of open file descriptors.", Some(process.most_files));
    gauge("process_threads", "Number of OS threads in the process.", process.threads);
    page.gauge(
        "process_start_time_seconds",
        "Start time of the process since unix epoch in seconds.",
        started.as_secs_f64(),
    );
}
