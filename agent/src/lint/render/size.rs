//! The addresses of a subnet that is planned: the sum with its steps, as table and as JSON.

use serde_json::json;

use crate::lint::size::{Step, Sum, addresses_of};

/// The name and version of the JSON format.
const SCHEMA: &str = "ase-agent/plan-subnet/1";

/// The sum for people; `current` is the prefix length of a subnet that there is already.
pub fn table(sum: &Sum, current: Option<u8>) -> String {
    let line = |sign: &str, step: &Step| {
        let open = step.uncertain.map(|why| format!("  (uncertain: {why})")).unwrap_or_default();
        format!("{sign} {:>6}  {}{open}\n", step.addresses, step.what)
    };
    let mut text: String =
        sum.steps.iter().zip(0..).map(|(step, at)| line(if at == 0 { " " } else { "+" }, step)).collect();
    text.push_str(&format!("= {:>6}  in the normal state\n", sum.used));
    text.push_str(&line("+", &sum.resize));
    text.push_str(&format!("= {:>6}  at the peak\n\n", sum.peak));
    text.push_str(&format!("/{} ({} addresses) is the smallest that fits.\n", sum.prefix, addresses_of(sum.prefix)));
    if let Some(current) = current {
        let verdict =
            if fits(sum, current) { "it fits" } else { "too small: the size of a subnet in use cannot be changed" };
        text.push_str(&format!(
            "The current subnet is a /{current} ({} addresses): {verdict}.\n",
            addresses_of(current)
        ));
    }
    text
}

/// Whether a prefix of this length holds the peak.
pub fn fits(sum: &Sum, prefix: u8) -> bool {
    u64::from(sum.peak) <= addresses_of(prefix)
}

/// The sum for programs.
pub fn json(sum: &Sum, current: Option<u8>) -> String {
    let step = |step: &Step| json!({"what": step.what, "addresses": step.addresses, "uncertain": step.uncertain});
    let value = json!({
        "schema": SCHEMA,
        "steps": sum.steps.iter().map(step).collect::<Vec<_>>(),
        "used": sum.used,
        "resize": step(&sum.resize),
        "peak": sum.peak,
        "prefix": sum.prefix,
        "current": current.map(|prefix| json!({"prefix": prefix, "fits": fits(sum, prefix)})),
    });
    format!("{value:#}\n")
}
