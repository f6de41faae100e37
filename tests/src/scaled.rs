//! The shipped rules and routes with all their waits divided, so that a show of minutes takes seconds. The expressions,
//! labels, groups and silences stay as they are shipped.

use std::time::Duration;

use ase_agent::net::duration;

/// The keys whose durations are waits.
const WAITS: [&str; 5] = ["for", "keep_firing_for", "group_wait", "group_interval", "repeat_interval"];

/// Divides every wait of a rule file or an Alertmanager configuration.
pub fn scaled(text: &str, divisor: u32) -> String {
    text.lines().map(|line| scaled_line(line, divisor) + "\n").collect()
}

fn scaled_line(line: &str, divisor: u32) -> String {
    let Some((key, value)) = line.split_once(": ") else { return line.to_owned() };
    match parse(value) {
        Some(wait) if WAITS.contains(&key.trim()) => format!("{key}: {}ms", (wait / divisor).as_millis()),
        Some(_) | None => line.to_owned(),
    }
}

/// A duration of Prometheus, as far as the shipped files use them: one number and one unit.
fn parse(text: &str) -> Option<Duration> {
    match text.strip_suffix('d') {
        Some(days) => Some(Duration::from_secs(86_400 * days.parse::<u64>().ok()?)),
        None => duration::parse(text).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_divided_and_nothing_else_changes() {
        let text = "- alert: AseX\n  expr: up[1m]\n  for: 1m\n  labels: {for: me}\n";
        assert_eq!(scaled(text, 20), "- alert: AseX\n  expr: up[1m]\n  for: 3000ms\n  labels: {for: me}\n");
        assert_eq!(
            scaled("  group_wait: 15s\n  repeat_interval: 7d\n", 1),
            "  group_wait: 15000ms\n  repeat_interval: 604800000ms\n"
        );
    }

    #[test]
    fn every_shipped_wait_is_divided() {
        let shipped =
            [include_str!("../../dashboards/rules/alerts.yml"), include_str!("../../dashboards/alertmanager.yml")];
        for text in shipped {
            let is_wait = |line: &&str| WAITS.iter().any(|key| line.trim_start().starts_with(&format!("{key}: ")));
            let waits = text.lines().filter(is_wait).count();
            let divided = scaled(text, 2).lines().filter(is_wait).filter(|line| line.ends_with("ms")).count();
            assert!(waits > 5, "{waits}");
            assert_eq!(divided, waits);
        }
    }
}
