//! The geometry of the charts: from numbers to the paths that templates put into SVG. Colours are the style's business.

use std::{fmt::Write, time::Duration};

use super::{
    bars::{BARS, Bars},
    course::{Passed, STRETCHES, VISITS},
    text::millis,
};

/// A path for one class of the style.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Path {
    /// The class.
    pub(super) class: &'static str,
    /// The commands: digits and letters alone.
    pub(super) d: String,
}

/// What a quarter of an hour was: a class, its words, and the pieces of its bar, each by upper edge and height in a field of 10.
/// The shapes differ, so that nobody has to tell colours apart.
type Kind = (&'static str, &'static str, &'static [(f64, f64)]);
const KINDS: [Kind; 4] = [
    ("good", "all answered", &[(3.0, 7.0)]),
    ("part", "some did not", &[(3.0, 2.5), (7.0, 3.0)]),
    ("bad", "most did not", &[(0.0, 10.0)]),
    ("none", "not known, or not judged", &[(9.0, 1.0)]),
];
/// The place of each among them.
const GOOD: usize = 0;
const PART: usize = 1;
const BAD: usize = 2;
const NONE: usize = 3;

/// Draws a quarter of this kind at a place.
fn quarter(path: &mut Path, kind: usize, place: usize) {
    KINDS[kind].2.iter().for_each(|(top, height)| _ = write!(path.d, "M{place}.5 {top}v{height}"));
}

/// What the bars stand for: each kind's words, and one of it in a field of 1 by 10.
pub(super) fn quarters() -> Vec<(&'static str, Path)> {
    let one = |(kind, (class, words, _)): (usize, &Kind)| {
        let mut path = Path { class, d: String::new() };
        quarter(&mut path, kind, 0);
        (*words, path)
    };
    KINDS.iter().enumerate().map(one).collect()
}

/// The kind of each bar, by how much of what could be judged answered.
fn kinds(bars: Option<&Bars>, now: Duration) -> [usize; BARS as usize] {
    let mut kinds = [NONE; BARS as usize];
    for (place, bar) in bars.into_iter().flat_map(|bars| bars.placed(now)).filter(|(_, bar)| !bar.is_dark()) {
        kinds[place as usize] = match (bar.good, bar.bad) {
            (_, 0.0) => GOOD,
            (good, bad) if good > bad => PART,
            _ => BAD,
        };
    }
    kinds
}

/// Upright bars, one for each quarter of an hour, in a field of 96 by 10: a path for each kind.
pub(super) fn uptime(bars: Option<&Bars>, now: Duration) -> Vec<Path> {
    let mut paths = KINDS.map(|(class, ..)| Path { class, d: String::new() });
    kinds(bars, now).into_iter().enumerate().for_each(|(place, kind)| quarter(&mut paths[kind], kind, place));
    paths.into_iter().filter(|path| !path.d.is_empty()).collect()
}

/// A stretch of bars of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    kind: usize,
    /// The places of the first one and behind the last one.
    pub(super) from: u64,
    pub(super) to: u64,
}

impl Run {
    /// What did not answer in it; `None` where all did, or nothing is known.
    pub(super) fn missed(self) -> Option<&'static str> {
        (self.kind == PART || self.kind == BAD).then(|| KINDS[self.kind].1)
    }
}

/// The bars as stretches of one kind: how much is drawn depends on how often that changed, and never exceeds the bars.
pub(super) fn runs(bars: &Bars, now: Duration) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (place, kind) in (0..).zip(kinds(Some(bars), now)) {
        match runs.last_mut() {
            Some(run) if run.kind == kind => run.to = place + 1,
            _ => runs.push(Run { kind, from: place, to: place + 1 }),
        }
    }
    runs
}

/// These stretches in a field of 96 by 10, each in the shape of its kind: a path for each kind.
pub(super) fn lane(runs: &[Run]) -> Vec<Path> {
    let mut paths = KINDS.map(|(class, ..)| Path { class, d: String::new() });
    for Run { kind, from, to } in runs {
        let (path, width) = (&mut paths[*kind], to - from);
        let piece = |(top, height): &(f64, f64)| _ = write!(path.d, "M{from} {top}h{width}v{height}h-{width}z");
        KINDS[*kind].2.iter().for_each(piece);
    }
    paths.into_iter().filter(|path| !path.d.is_empty()).collect()
}

/// The last visits, each a column whose parts are its stretches, in a field of 64 by 20. The tallest that answered fills
/// it. One that failed is a column of full height that is broken in its middle, however long it was waited for.
pub(super) fn visits(visits: &[Passed]) -> Vec<Path> {
    const HEIGHT: f64 = 20.0;
    let total = |visit: &Passed| visit.took.iter().map(|took| f64::from(*took)).sum::<f64>();
    let tallest = visits.iter().filter(|visit| !visit.is_bad).map(total).fold(1.0, f64::max);
    let mut paths: Vec<Path> = STRETCHES.iter().map(|(class, _)| Path { class, d: String::new() }).collect();
    paths.push(Path { class: "bad", d: String::new() });
    for (number, visit) in visits.iter().enumerate() {
        let x = (VISITS - visits.len() + number) * 4 + 2;
        if visit.is_bad {
            _ = write!(paths[STRETCHES.len()].d, "M{x} 20v-8M{x} 8v-8");
            continue;
        }
        let mut y = HEIGHT;
        for (took, path) in visit.took.iter().zip(&mut paths) {
            let height = (f64::from(*took) / tallest * HEIGHT * 10.0).round() / 10.0;
            if height > 0.0 {
                _ = write!(path.d, "M{x} {y:.1}v-{height}");
                y -= height;
            }
        }
    }
    paths.into_iter().filter(|path| !path.d.is_empty()).collect()
}

/// The same for the ear: how many failed, and how long the others took.
pub(super) fn visits_in_words(visits: &[Passed]) -> String {
    let total = |visit: &Passed| visit.took.iter().map(|took| u64::from(*took)).sum::<u64>();
    let said = |tenths: u64| millis(Duration::from_micros(tenths * 100));
    let failed = visits.iter().filter(|visit| visit.is_bad).count();
    let mut words = format!("last {} visits, {failed} failed", visits.len());
    let mut answered: Vec<&Passed> = visits.iter().filter(|visit| !visit.is_bad).collect();
    answered.sort_by_key(|visit| total(visit));
    if let (Some(median), Some(slowest)) = (answered.get(answered.len() / 2), answered.last()) {
        let most = (0..).zip(slowest.took).max_by_key(|(_, took)| *took).map_or(0, |(stretch, _)| stretch);
        let (median, slowest) = (said(total(median)), said(total(slowest)));
        _ = write!(words, "; median {median}, slowest {slowest}, most of it {}", STRETCHES[most].1);
    }
    words
}

/// What the columns' parts stand for: class, words, and a swatch in a field of 8 by 8.
pub(super) fn parts() -> Vec<(&'static str, &'static str, &'static str)> {
    let stretches = STRETCHES.iter().map(|(class, words)| (*class, *words, "M0 0h8v8h-8z"));
    stretches.chain([("bad", "failed", "M0 0h8v3h-8zM0 5h8v3h-8z")]).collect()
}

/// A line of values over their field of 120 by 24, the newest at the right; `top` is the value of its upper edge.
pub(super) fn line(values: &[f64], most: usize, top: f64) -> String {
    let mut d = String::new();
    for (number, value) in values.iter().enumerate() {
        let place = most - values.len() + number;
        let x = place as f64 * 120.0 / (most.max(2) - 1) as f64;
        let y = 24.0 - (value / top).clamp(0.0, 1.0) * 22.0 - 1.0;
        let command = if number == 0 { 'M' } else { 'L' };
        _ = write!(d, "{command}{x:.1} {y:.1}");
    }
    d
}

/// A stretch on a scale of 1000: where it begins and how wide it is, at least `least` wide so that it can be seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stretch {
    /// Its left edge.
    pub(super) x: u32,
    /// Its width.
    pub(super) width: u32,
}

impl Stretch {
    /// The same with coarse edges, so that it is not another one each second.
    pub(super) fn coarse(self) -> Self {
        const STEP: u32 = 10;
        let (x, right) = (self.x / STEP * STEP, (self.x + self.width) / STEP * STEP);
        Self { x, width: right.saturating_sub(x).max(STEP) }
    }
}

/// The stretch from `from` to `to` within a whole that begins at `start` and lasts `length`; `None` where nothing of it
/// lies within.
pub(super) fn within(start: Duration, length: Duration, from: Duration, to: Duration) -> Option<Stretch> {
    const LEAST: u32 = 4;
    let end = start + length;
    if to < start || from > end {
        return None;
    }
    let place = |at: Duration| (at.saturating_sub(start).as_secs_f64() / length.as_secs_f64() * 1000.0).round() as u32;
    let (x, right) = (place(from.max(start)), place(to.min(end)));
    let width = right.saturating_sub(x).max(LEAST);
    Some(Stretch { x: x.min(1000 - LEAST), width: width.min(1000) })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{
        super::bars::{BAR, Did},
        *,
    };

    #[test]
    fn columns_stand_on_the_ground_and_the_tallest_that_answered_fills_the_field() {
        let quick = Passed { took: [10, 0, 0, 30, 0], is_bad: false };
        let slow = Passed { took: [0, 80, 0, 0, 0], is_bad: false };
        let failed = Passed { took: [0, 0, 7000, 0, 0], is_bad: true };
        let paths = visits(&[quick, slow, failed]);
        let of = |class: &str| paths.iter().find(|path| path.class == class).map(|path| path.d.as_str());
        assert_eq!(of("dns"), Some("M54 20.0v-2.5"));
        assert_eq!(of("request"), Some("M54 17.5v-7.5"));
        assert_eq!(of("connect"), Some("M58 20.0v-20"));
        assert_eq!((of("bad"), of("tls")), (Some("M62 20v-8M62 8v-8"), None), "broken, and nothing shows through");
    }

    #[test]
    fn columns_are_told_in_words_as_well() {
        let took = |took| Passed { took, is_bad: false };
        let failed = Passed { took: [0, 0, 7000, 0, 0], is_bad: true };
        let three = [took([10, 0, 0, 30, 0]), took([0, 0, 600, 200, 0]), failed, took([0, 60, 0, 0, 0])];
        assert_eq!(visits_in_words(&three), "last 4 visits, 1 failed; median 6.0 ms, slowest 80 ms, most of it TLS");
        assert_eq!(visits_in_words(&[failed]), "last 1 visits, 1 failed");
    }

    #[test]
    fn a_kind_is_told_by_its_shape_and_not_by_colour_alone() {
        let (now, mut bars) = (Duration::from_secs(1_800_000_000), Bars::default());
        for (number, (good, bad)) in [(9.0, 0.0), (8.0, 1.0), (1.0, 8.0)].into_iter().enumerate() {
            let did = Did { good, bad, ..Did::default() };
            bars.add(now - BAR * u32::try_from(number).expect("small"), did);
        }
        let shape = |path: &Path| -> BTreeSet<String> {
            path.d.split('M').filter_map(|piece| Some(piece.split_once(' ')?.1.to_owned())).collect()
        };
        let shapes: BTreeSet<_> = uptime(Some(&bars), now).iter().map(shape).collect();
        assert_eq!(shapes.len(), 4, "{shapes:?}");
        let legend: BTreeSet<_> = quarters().iter().map(|(_, path)| shape(path)).collect();
        assert_eq!(legend, shapes, "the legend has the same shapes");
    }

    #[test]
    fn what_is_not_known_is_drawn_as_that() {
        let paths = uptime(None, Duration::from_secs(1_800_000_000));
        assert_eq!((paths.len(), paths[0].class), (1, "none"));
        assert_eq!(paths[0].d.matches('M').count(), 96);
    }

    #[test]
    fn a_stretch_is_cut_at_the_edges_and_never_vanishes() {
        let s = Duration::from_secs;
        assert_eq!(within(s(100), s(100), s(50), s(150)), Some(Stretch { x: 0, width: 500 }));
        assert_eq!(within(s(100), s(100), s(199), s(199)), Some(Stretch { x: 990, width: 4 }));
        assert_eq!(within(s(100), s(100), s(200), s(300)), Some(Stretch { x: 996, width: 4 }));
        assert_eq!(within(s(100), s(100), s(20), s(99)), None);
    }

    #[test]
    fn a_line_ends_at_the_right() {
        assert_eq!(line(&[0.0, 1.0], 3, 1.0), "M60.0 23.0L120.0 1.0");
        assert_eq!(line(&[], 3, 1.0), "");
    }
}
