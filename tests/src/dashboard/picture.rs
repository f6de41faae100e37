//! Panels as a page of HTML and SVG, without a script: what Grafana would draw, near enough to judge a panel by.

use std::fmt::Write as _;

use super::{Dashboard, Kind, Panel, answer::Range, answer::Series};

/// Pixels of one of the 24 columns.
const COLUMN: u32 = 50;
/// Pixels of one unit of height.
const UNIT: u32 = 30;
/// Colours of series that have none of their own.
const PALETTE: [&str; 10] =
    ["#5794f2", "#ff9830", "#73bf69", "#b877d9", "#f2cc0c", "#fa6400", "#37bbc8", "#ff7383", "#96d98d", "#8ab8ff"];
const STYLE: &str = "*{box-sizing:border-box}body{margin:0;padding:12px;background:#111217;color:#d8d9da;width:1224px;\
    font:13px/1.4 'DejaVu Sans',sans-serif}h1{font-size:19px;margin:2px 0 2px}h2{font-size:14px;margin:12px 0 4px;\
    color:#9fa3ab;font-weight:normal}p{margin:0 0 4px;color:#9fa3ab}.row{display:flex;flex-wrap:wrap}.panel{padding:3px}\
    .in{background:#181b1f;border:1px solid #2b2f36;border-radius:3px;height:100%;padding:6px 9px;overflow:hidden;\
    display:flex;flex-direction:column}.t{font-weight:bold;font-size:12.5px;margin-bottom:3px;white-space:nowrap}\
    .stat{flex:1;display:flex;align-items:center;justify-content:center;font-size:30px;font-weight:bold}\
    .none{flex:1;display:flex;align-items:center;justify-content:center;color:#7b8087}table{border-collapse:collapse;\
    width:100%;font-size:12px}th{text-align:left;color:#8ab8ff;font-weight:normal;border-bottom:1px solid #2b2f36;\
    padding:2px 8px 2px 0}td{padding:2.5px 8px 2.5px 0;border-bottom:1px solid #22252b;white-space:nowrap}\
    .l{font-size:11px;line-height:15px;max-height:31px;overflow:hidden}.l span{margin-right:10px;white-space:nowrap}\
    .l i{display:inline-block;width:11px;height:3px;margin-right:4px;vertical-align:middle}text{fill:#9fa3ab;font-size:10.5px}";

/// A page with every panel of a dashboard and these series.
pub fn page(dashboard: &Dashboard, panels: &[(&Panel, Vec<Series>)], range: Range) -> String {
    let mut html = format!(
        "<!doctype html><meta charset=utf-8><style>{STYLE}</style><h1>{}</h1><p>{}</p>",
        escaped(&dashboard.title),
        escaped(&dashboard.description)
    );
    let mut rest = panels;
    for row in &dashboard.rows {
        let (of_row, others) = rest.split_at(row.panels.len().min(rest.len()));
        rest = others;
        write_into(&mut html, format_args!("<h2>{}</h2><div class=row>", escaped(&row.title)));
        for (panel, series) in of_row {
            let (width, height) = (panel.width * COLUMN, panel.height * UNIT);
            write_into(
                &mut html,
                format_args!(
                    "<div class=panel style='width:{width}px;height:{height}px'><div class=in><div class=t>{}</div>{}</div></div>",
                    escaped(&panel.title),
                    content(panel, series, range)
                ),
            );
        }
        html += "</div>";
    }
    html
}

/// The height of a page in pixels, for the window of a browser.
pub(super) fn height(dashboard: &Dashboard) -> u32 {
    let of_row = |panels: &[Panel]| {
        let (mut x, mut tallest, mut sum) = (0, 0, 0);
        for panel in panels {
            if x + panel.width > 24 {
                (x, sum, tallest) = (0, sum + tallest, 0);
            }
            x += panel.width;
            tallest = tallest.max(panel.height);
        }
        (sum + tallest) * UNIT + 36
    };
    84 + dashboard.rows.iter().map(|row| of_row(&row.panels)).sum::<u32>()
}

fn write_into(html: &mut String, text: std::fmt::Arguments<'_>) {
    html.write_fmt(text).expect("a string takes all text");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn content(panel: &Panel, series: &[Series], range: Range) -> String {
    if series.is_empty() {
        let why = panel.without_series.as_deref().unwrap_or("because there is no data");
        return format!("<div class=none>empty {}</div>", escaped(why));
    }
    match panel.kind {
        Kind::Stat => stat(panel, &series[0]),
        Kind::Table => table(panel, series),
        Kind::Lines | Kind::Bars => graph(panel, series, range),
        Kind::States => states(panel, series, range),
    }
}

fn latest(series: &Series) -> f64 {
    series.points.last().map_or(f64::NAN, |(_, value)| *value)
}

fn stat(panel: &Panel, series: &Series) -> String {
    let value = latest(series);
    let word = panel.values.get(&format!("{value}"));
    let text = match (&panel.show, word) {
        (Some(_), _) => series.name.clone(),
        (None, Some(word)) => word.text.clone(),
        (None, None) => quantity(value, &panel.unit),
    };
    let color = word.map_or_else(|| threshold_color(panel, value), |word| named_color(&word.color));
    format!("<div class=stat style='color:{color}'>{}</div>", escaped(&text))
}

fn threshold_color(panel: &Panel, value: f64) -> &'static str {
    let reached = panel.steps().into_iter().rev().find(|(from, _)| value >= *from);
    reached.map_or("#73bf69", |(_, color)| named_color(color))
}

fn named_color(name: &str) -> &'static str {
    match name {
        "red" => "#f2495c",
        "orange" => "#ff9830",
        "yellow" => "#fade2a",
        "blue" => "#5794f2",
        _ => "#73bf69",
    }
}

fn table(panel: &Panel, series: &[Series]) -> String {
    let has_value = panel.unit != "none";
    let columns: Vec<&String> =
        panel.columns.iter().filter(|column| series.iter().any(|s| s.labels.contains_key(*column))).collect();
    let mut html = "<table><tr>".to_owned();
    columns.iter().for_each(|column| write_into(&mut html, format_args!("<th>{column}</th>")));
    html += if has_value { "<th>left</th></tr>" } else { "</tr>" };
    let mut rows: Vec<&Series> = series.iter().collect();
    if has_value {
        rows.sort_by(|a, b| latest(a).total_cmp(&latest(b)));
    }
    for series in rows {
        html += "<tr>";
        for column in &columns {
            let value = series.labels.get(*column).map_or("", String::as_str);
            write_into(&mut html, format_args!("<td>{}</td>", escaped(value)));
        }
        if has_value {
            write_into(&mut html, format_args!("<td>{}</td>", quantity(latest(series), &panel.unit)));
        }
        html += "</tr>";
    }
    html + "</table>"
}

/// The frame of a graph: where times and values lie, in pixels.
struct Frame {
    width: f64,
    height: f64,
    left: f64,
    start: f64,
    length: f64,
    low: f64,
    high: f64,
}

impl Frame {
    fn of(panel: &Panel, range: Range, left: f64, legend: f64) -> Self {
        let width = f64::from(panel.width * COLUMN) - 28.0;
        let height = f64::from(panel.height * UNIT) - 44.0 - legend;
        let length = range.length.as_secs_f64();
        Self { width, height, left, start: range.end.as_secs_f64() - length, length, low: 0.0, high: 1.0 }
    }

    fn x(&self, time: f64) -> f64 {
        self.left + (time - self.start) / self.length * (self.width - self.left)
    }

    fn y(&self, value: f64) -> f64 {
        let share = (value - self.low) / (self.high - self.low);
        (self.height - 26.0) * (1.0 - share.clamp(0.0, 1.0)) + 8.0
    }

    fn open(&self) -> String {
        format!("<svg width={:.0} height={:.0}>", self.width, self.height)
    }

    /// Times along the lower edge.
    fn times(&self) -> String {
        let mut svg = String::new();
        let is_narrow = self.width - self.left < 260.0;
        for index in (0_u8..5).step_by(if is_narrow { 2 } else { 1 }) {
            let share = f64::from(index) / 4.0;
            let x = self.left + share * (self.width - self.left);
            let anchor = ["start", "middle", "middle", "middle", "end"][usize::from(index)];
            let ago = (1.0 - share) * self.length;
            let text = if ago < 1.0 { "now".to_owned() } else { format!("-{}", quantity(ago, "s")) };
            let y = self.height - 2.0;
            write_into(&mut svg, format_args!("<text x={x:.0} y={y:.0} text-anchor={anchor}>{text}</text>"));
        }
        svg
    }
}

fn graph(panel: &Panel, series: &[Series], range: Range) -> String {
    let names = series.iter().map(|series| series.name.chars().count() as f64 * 6.6 + 27.0).sum::<f64>();
    let is_long = names > f64::from(panel.width * COLUMN) - 28.0;
    let mut frame = Frame::of(panel, range, 58.0, if is_long { 32.0 } else { 17.0 });
    let is_stacked = panel.kind == Kind::Bars;
    let values = series.iter().flat_map(|series| &series.points).map(|(_, value)| *value).filter(|v| v.is_finite());
    let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
    let stacked = if is_stacked { tallest_stack(series) } else { high };
    frame.low = panel.min.unwrap_or(low).min(low);
    frame.high = panel.max.unwrap_or(stacked.max(frame.low + 1e-9) * if stacked > 0.0 { 1.1 } else { 0.9 });
    if frame.high - frame.low < 1e-6 {
        frame.high = frame.low + if panel.unit == "s" { 0.001 } else { 1.0 };
    }
    let mut svg = frame.open();
    for value in ticks(frame.low, frame.high, &panel.unit) {
        let (y, text) = (frame.y(value), quantity(value, &panel.unit));
        write_into(
            &mut svg,
            format_args!(
                "<line x1={:.0} x2={:.0} y1={y:.1} y2={y:.1} stroke='#2b2f36'/><text x={:.0} y={:.1} text-anchor=end>{text}</text>",
                frame.left,
                frame.width,
                frame.left - 5.0,
                y + 3.5
            ),
        );
    }
    for (from, color) in panel.steps().into_iter().filter(|(from, _)| *from > frame.low && *from < frame.high) {
        let (y, color) = (frame.y(from), named_color(color));
        write_into(
            &mut svg,
            format_args!(
                "<line x1={:.0} x2={:.0} y1={y:.1} y2={y:.1} stroke='{color}' stroke-dasharray='6 5'/>",
                frame.left, frame.width
            ),
        );
    }
    svg += &if is_stacked { bars(&frame, series, range) } else { lines(&frame, series, range) };
    svg + &frame.times()
        + "</svg>"
        + &legend(series.iter().zip(PALETTE.iter().cycle()).map(|(s, c)| (s.name.as_str(), *c)))
}

/// Round values along the axis.
fn ticks(low: f64, high: f64, unit: &str) -> impl Iterator<Item = f64> {
    const TIMES: [f64; 14] =
        [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14_400.0];
    let least = (high - low) / 4.5;
    let power = 10_f64.powf(least.log10().floor());
    let decimal = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= least);
    let time = TIMES.into_iter().find(|step| *step >= least).filter(|_| unit == "s" && least > 0.5);
    let step = time.or(decimal).unwrap_or(10.0 * power);
    let (first, last) = ((low / step).ceil() as i64, (high / step).floor() as i64);
    (first..=last).map(move |index| index as f64 * step)
}

fn tallest_stack(series: &[Series]) -> f64 {
    let mut sums = std::collections::BTreeMap::<u64, f64>::new();
    for (time, value) in series.iter().flat_map(|series| &series.points) {
        *sums.entry(time.to_bits()).or_default() += value;
    }
    sums.into_values().fold(0.0, f64::max)
}

fn lines(frame: &Frame, series: &[Series], range: Range) -> String {
    let mut svg = String::new();
    for (series, color) in series.iter().zip(PALETTE.iter().cycle()) {
        let mut path = String::new();
        let mut before = f64::MIN;
        for (time, value) in series.points.iter().filter(|(_, value)| value.is_finite()) {
            // A gap in the data is a gap in the line.
            let verb = if time - before > 2.5 * range.step.as_secs_f64() { 'M' } else { 'L' };
            before = *time;
            write_into(&mut path, format_args!("{verb}{:.1} {:.1}", frame.x(*time), frame.y(*value)));
        }
        write_into(&mut svg, format_args!("<path d='{path}' fill=none stroke='{color}' stroke-width=1.6 />"));
    }
    svg
}

fn bars(frame: &Frame, series: &[Series], range: Range) -> String {
    let mut svg = String::new();
    let mut base = std::collections::BTreeMap::<u64, f64>::new();
    let width = (range.step.as_secs_f64() / frame.length * (frame.width - frame.left)).max(1.5);
    for (series, color) in series.iter().zip(PALETTE.iter().cycle()) {
        for (time, value) in &series.points {
            let below = base.entry(time.to_bits()).or_default();
            let (bottom, top) = (frame.y(*below), frame.y(*below + value));
            *below += value;
            let x = frame.x(*time) - width;
            let height = bottom - top;
            write_into(
                &mut svg,
                format_args!("<rect x={x:.1} y={top:.1} width={width:.1} height={height:.1} fill='{color}'/>"),
            );
        }
    }
    svg
}

fn states(panel: &Panel, series: &[Series], range: Range) -> String {
    let longest = series.iter().map(|series| series.name.chars().count()).max().unwrap_or_default();
    let mut frame = Frame::of(panel, range, (longest as f64 * 6.4 + 10.0).min(280.0), 18.0);
    let rows = series.len() as f64;
    let row = ((frame.height - 16.0) / rows).clamp(4.0, 26.0);
    frame.height = (row * rows + 18.0).min(frame.height);
    let mut svg = frame.open();
    let width = range.step.as_secs_f64() / frame.length * (frame.width - frame.left) + 0.6;
    for (index, series) in series.iter().enumerate() {
        let y = row * index as f64 + 1.0;
        let text_y = y + row / 2.0 + 3.0;
        let x = frame.left - 6.0;
        let name = escaped(&series.name);
        write_into(&mut svg, format_args!("<text x={x:.0} y={text_y:.1} text-anchor=end>{name}</text>"));
        for (time, value) in &series.points {
            let color = panel.values.get(&format!("{value}")).map_or("#5794f2", |word| named_color(&word.color));
            let x = (frame.x(*time) - width).max(frame.left);
            let height = row - 2.5;
            write_into(
                &mut svg,
                format_args!("<rect x={x:.1} y={y:.1} width={width:.1} height={height:.1} fill='{color}'/>"),
            );
        }
    }
    let words = panel.values.values().map(|word| (word.text.as_str(), named_color(&word.color)));
    svg + &frame.times() + "</svg>" + &legend(words)
}

fn legend<'a>(entries: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut html = "<div class=l>".to_owned();
    for (name, color) in entries {
        write_into(&mut html, format_args!("<span><i style='background:{color}'></i>{}</span>", escaped(name)));
    }
    html + "</div>"
}

/// A value in its unit.
fn quantity(value: f64, unit: &str) -> String {
    match unit {
        _ if value.is_infinite() => "∞".to_owned(),
        "percentunit" => format!("{} %", rounded(value * 100.0)),
        "s" => duration(value),
        "reqps" => format!("{}/s", rounded(value)),
        _ => rounded(value),
    }
}

fn rounded(value: f64) -> String {
    let digits = if value.abs() >= 100.0 || value.fract().abs() < 1e-9 {
        0
    } else if value.abs() >= 10.0 {
        1
    } else {
        2
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn duration(seconds: f64) -> String {
    let size = seconds.abs();
    let (divisor, unit) = match size {
        _ if size == 0.0 => (1.0, "s"),
        _ if size < 1e-3 => (1e-6, "µs"),
        _ if size < 1.0 => (1e-3, "ms"),
        _ if size < 120.0 => (1.0, "s"),
        _ if size < 7200.0 => (60.0, "min"),
        _ if size < 172_800.0 => (3600.0, "h"),
        _ if size < 63_072_000.0 => (86_400.0, "d"),
        _ => (31_536_000.0, "y"),
    };
    format!("{} {unit}", rounded(seconds / divisor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(ticks(0.0, 1.1, "percentunit").collect::<Vec<_>>(), [0.0, 0.5, 1.0]);
        assert_eq!(ticks(0.0, 282.0, "s").collect::<Vec<_>>(), [0.0, 120.0, 240.0]);
        assert_eq!(ticks(0.0, 44.0, "none").collect::<Vec<_>>(), [0.0, 10.0, 20.0, 30.0, 40.0]);
        assert_eq!(ticks(-0.0004, 0.0006, "s").collect::<Vec<_>>(), [0.0, 0.0005]);
    }

    #[test]
    fn quantities_are_short_and_carry_their_unit() {
        for (value, unit, text) in [
            (0.95, "percentunit", "95 %"),
            (0.0123, "s", "12.3 ms"),
            (0.0, "s", "0 s"),
            (5400.0, "s", "90 min"),
            (f64::INFINITY, "s", "∞"),
            (129.0, "none", "129"),
            (1.5, "reqps", "1.5/s"),
        ] {
            assert_eq!(quantity(value, unit), text);
        }
    }
}
