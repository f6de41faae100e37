//! Every watched name, compared on a slow cadence: when which name is due, which are left out while a server is dead, what
//! the last rounds said, and what is firm enough to be published. It takes the time and answers; it asks nobody.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use ase_probes::cause::Cause;

use crate::resolvers::{
    compare::{Circumstances, Comparison, ComparisonClass, History, Server, Worry, annotate, classify},
    silence::Silence,
    survey::Survey,
};

/// Surveys under way at once, on the slow cadence: where both servers are silent for two seconds, the most names there may be
/// (`dns.max_names`, 500) are still through in its five minutes.
pub const CONCURRENCY: usize = 4;
/// Surveys under way at once where somebody waits for the end of the only round: the names of the built-in profile are
/// through in a few turns, within a look also where each takes a second.
pub const CONCURRENCY_ONCE: usize = 16;
/// A name whose answer changed, or whose endpoint failed to resolve, is asked again at once, but not more often than this: a
/// time to live that is common for names of the cloud, so that a further answer can differ.
pub const HURRY: Duration = Duration::from_secs(60);
/// A class that would make or end an incident is confirmed after this: longer than a server's hiccup, and so short that
/// all the rounds it needs fit into a minute together with the visit that noticed the change.
pub const RECHECK: Duration = Duration::from_secs(5);
/// Confirmations in a row of what one regular or hurried round showed: with it they are as many as make a class firm.
pub const RECHECKS: u32 = 2;
/// Addresses that are remembered as proved, or as suspect, for one name; visits and surveys of the widest rotation stay below it.
const MAX_PROVED: usize = 256;

/// How often names are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cadence {
    /// Each name once per interval, one after the other.
    Every(Duration),
    /// Each name once; what it shows is published without waiting for it to become firm.
    Once,
}

/// One name as it stands.
#[derive(Clone, Debug)]
pub struct NameView {
    /// The name.
    pub name: Arc<str>,
    /// The last survey; `None` before the first.
    pub last: Option<Arc<Survey>>,
    /// The comparison in force; `None` until it is firm.
    pub published: Option<Comparison>,
    /// How often the addresses or the class changed from one survey to the next.
    pub changes: u64,
    /// When the class in force was published, since the Unix epoch.
    pub since: Duration,
    /// Addresses that the custom DNS gave while something was wrong with the name, and not since.
    pub suspect: BTreeSet<IpAddr>,
}

/// What is remembered of one name beside its view.
#[derive(Debug, Default)]
struct Name {
    history: History,
    /// When it was last brought forward.
    hurried: Option<Instant>,
    /// Its place in the order of what is due.
    planned: Option<Instant>,
    /// Whether its turn, planned or under way, is one that somebody waits for.
    is_urgent: bool,
    /// Whether it was to be brought forward while a survey was under way that may not have seen what is new.
    again: bool,
    /// Confirmations since its last regular or hurried turn.
    rechecks: u32,
    /// Addresses that the custom DNS gave when nothing was wrong with the name.
    proved: BTreeSet<IpAddr>,
}

/// Every name as it stands, in order. What is published of it is shared until a name changes.
pub type NameViews = Arc<Vec<Arc<NameView>>>;

/// All names.
#[derive(Debug)]
pub struct Comparisons {
    names: Vec<Name>,
    views: NameViews,
    index: BTreeMap<Arc<str>, usize>,
    /// The regular turns.
    due: BTreeSet<(Instant, usize)>,
    /// The turns of names that were brought forward, and confirmations: regular ones that are late hold none of them up.
    urgent: BTreeSet<(Instant, usize)>,
    under_way: usize,
    urgent_under_way: usize,
    cadence: Cadence,
    silence: Silence,
    skipped: Option<(Server, usize)>,
    /// Names of which the comparison in force makes another incident than before, or none any more.
    news: BTreeSet<usize>,
}

impl Comparisons {
    /// Plans the first comparison of every name.
    pub fn new(names: impl IntoIterator<Item = String>, cadence: Cadence, now: Instant) -> Self {
        let views: Vec<_> = names.into_iter().map(|name| Arc::new(NameView::new(&name))).collect();
        let count = u32::try_from(views.len()).unwrap_or(u32::MAX).max(1);
        let step = match cadence {
            Cadence::Every(interval) => interval / count,
            Cadence::Once => Duration::ZERO,
        };
        let index = views.iter().enumerate().map(|(index, view)| (Arc::clone(&view.name), index)).collect();
        let names = views.iter().map(|_| Name::default()).collect();
        let mut all = Self {
            names,
            views: Arc::new(views),
            index,
            due: BTreeSet::new(),
            urgent: BTreeSet::new(),
            under_way: 0,
            urgent_under_way: 0,
            cadence,
            silence: Silence::default(),
            skipped: None,
            news: BTreeSet::new(),
        };
        (0..all.names.len()).zip(0u32..).for_each(|(index, turn)| all.plan(index, now + step * turn, false));
        all
    }

    /// When [`Comparisons::take_due`] has something to give.
    pub fn next_due(&self) -> Option<Instant> {
        let first = [&self.urgent, &self.due].into_iter().filter_map(|turns| turns.first()).map(|(at, _)| *at).min();
        first.filter(|_| self.under_way < self.room())
    }

    /// Takes the names that are due, as many as may be under way.
    pub fn take_due(&mut self, now: Instant) -> Vec<(usize, Arc<str>)> {
        let mut taken = Vec::new();
        while self.under_way < self.room()
            && let Some(index) = self.pop_due(now)
        {
            let name = &mut self.names[index];
            name.planned = None;
            self.under_way += 1;
            self.urgent_under_way += usize::from(name.is_urgent);
            taken.push((index, Arc::clone(&self.views[index].name)));
        }
        taken
    }

    /// The next that is due: urgent ones first, but where there is room for several, the last is for a regular one that waits.
    fn pop_due(&mut self, now: Instant) -> Option<usize> {
        let is_due = |turns: &BTreeSet<(Instant, usize)>| turns.first().is_some_and(|(at, _)| *at <= now);
        let has_room = self.urgent_under_way < (self.room() - 1).max(1);
        let turns = match (is_due(&self.urgent), is_due(&self.due)) {
            (true, is_late) if has_room || !is_late => &mut self.urgent,
            (_, true) => &mut self.due,
            (_, false) => return None,
        };
        turns.pop_first().map(|(_, index)| index)
    }

    /// A survey ended, well or not.
    fn ended(&mut self, index: usize) {
        self.under_way -= 1;
        self.urgent_under_way -= usize::from(self.names[index].is_urgent);
    }

    /// How many surveys may be under way. When as many as that were left unanswered in a row, which may have been one bad
    /// moment for them all, one at a time is enough to hear whether the server speaks again.
    fn room(&self) -> usize {
        if self.silence.side(self.concurrency()).is_some() { 1 } else { self.concurrency() }
    }

    fn concurrency(&self) -> usize {
        match self.cadence {
            Cadence::Every(_) => CONCURRENCY,
            Cadence::Once => CONCURRENCY_ONCE,
        }
    }

    fn skip_the_rest(&mut self, side: Server) {
        let mut rest = std::mem::take(&mut self.due);
        rest.append(&mut self.urgent);
        rest.iter().for_each(|(_, index)| self.names[*index].planned = None);
        let already = self.skipped.map_or(0, |(_, count)| count);
        self.skipped = Some((side, already + rest.len())).filter(|(_, count)| *count > 0);
    }

    /// The side that was silent in the only round, and how many names were not compared for it.
    pub fn skipped(&self) -> Option<(Server, usize)> {
        self.skipped
    }

    /// How many names are yet to be compared in the only round.
    pub fn remaining(&self) -> usize {
        self.due.len() + self.urgent.len() + self.under_way
    }

    /// Brings a name forward whose endpoint was lost, or whose answer changed.
    pub fn hurry(&mut self, name: &str, now: Instant) {
        let Some(index) = self.index.get(name).copied() else { return };
        let known = &mut self.names[index];
        if known.hurried.is_some_and(|hurried| now.duration_since(hurried) < HURRY) {
            return;
        }
        match known.planned {
            Some(planned) => {
                // Who is waited for already keeps its place among the others.
                let at = if known.is_urgent { planned.min(now) } else { now };
                (known.hurried, known.rechecks) = (Some(now), 0);
                self.plan(index, at, true);
            }
            None => known.again = true,
        }
    }

    /// Takes in which addresses the custom DNS gave to a visit. What no survey has seen may be a change: both sides are
    /// asked again.
    pub fn hear(&mut self, name: &str, addresses: &[IpAddr], now: Instant) {
        let Some(index) = self.index.get(name).copied() else { return };
        let known = &mut self.names[index];
        // Before the first survey, the first answer is what the next ones are compared with.
        if known.proved.is_empty() && self.views[index].last.is_none() {
            known.proved.extend(addresses);
        }
        let last = self.views[index].last.as_deref();
        let worries = self.views[index].published.as_ref().is_some_and(|published| published.worry > Worry::Fine);
        let is_known = |address: &IpAddr| match last {
            Some(last) if worries => {
                last.custom.recent.contains(address) && !is_over(last, &self.views[index], address)
            }
            Some(last) => last.azure.recent.contains(address) || known.proved.contains(address),
            None => known.proved.contains(address),
        };
        if !addresses.iter().all(is_known) {
            self.hurry(name, now);
        }
    }

    /// Takes the names of which the comparison in force makes another incident than before, or none any more.
    pub fn take_news(&mut self) -> Vec<Arc<str>> {
        std::mem::take(&mut self.news).into_iter().map(|index| Arc::clone(&self.views[index].name)).collect()
    }

    fn plan(&mut self, index: usize, at: Instant, is_urgent: bool) {
        let name = &mut self.names[index];
        let was_urgent = std::mem::replace(&mut name.is_urgent, is_urgent);
        if let Some(earlier) = name.planned.replace(at) {
            self.turns(was_urgent).remove(&(earlier, index));
        }
        self.turns(is_urgent).insert((at, index));
    }

    fn turns(&mut self, urgent: bool) -> &mut BTreeSet<(Instant, usize)> {
        if urgent { &mut self.urgent } else { &mut self.due }
    }

    /// Takes a survey in: unites it with the last rounds, and publishes what is firm.
    pub fn take_in(&mut self, index: usize, survey: Survey, at: Duration, now: Instant) {
        self.ended(index);
        self.silence.hear(survey.custom.outcome, survey.azure.outcome);
        if let (Cadence::Once, Some(side)) = (self.cadence, self.silence.side(CONCURRENCY_ONCE + 1)) {
            self.skip_the_rest(side);
        }
        let view = &mut Arc::make_mut(&mut self.views)[index];
        let before = cause_of(view);
        self.names[index].take_in(view, survey, at, self.cadence);
        if before != cause_of(view) {
            self.news.insert(index);
        }
        if let Cadence::Every(interval) = self.cadence {
            let pause = self.names[index].pause(&self.views[index], interval);
            if pause.is_zero() {
                self.names[index].hurried = Some(now);
            }
            self.plan(index, now + pause, pause < interval);
        }
    }

    /// Something answers in every server's place: what the last surveys showed means nothing, and that is said at once.
    pub fn intercepted(&mut self, at: Duration) {
        for (index, (name, view)) in self.names.iter_mut().zip(Arc::make_mut(&mut self.views)).enumerate() {
            if let Some(last) = view.last.clone() {
                let before = cause_of(view);
                let known = Circumstances { intercepted: true, ..last.known.clone() };
                name.settle(view, Survey { known, ..(*last).clone() }, at, self.cadence);
                if before != cause_of(view) {
                    self.news.insert(index);
                }
            }
        }
    }

    /// A survey died; its name waits for its next turn.
    pub fn give_up(&mut self, index: usize, now: Instant) {
        self.ended(index);
        if let Cadence::Every(interval) = self.cadence {
            self.plan(index, now + interval, false);
        }
    }

    /// Whether nothing is due and nothing under way.
    pub fn is_settled(&self) -> bool {
        self.under_way == 0 && self.due.is_empty() && self.urgent.is_empty()
    }

    /// A name, if it is compared.
    pub fn find(&self, name: &str) -> Option<&NameView> {
        self.index.get(name).map(|index| &*self.views[*index])
    }

    /// Every name, in order.
    pub fn views(&self) -> &NameViews {
        &self.views
    }

    /// Carries over what is known of names that stay, and when each is due. One whose survey is cut off is due at once.
    pub fn inherit(&mut self, mut earlier: Self, now: Instant) {
        let latest = match self.cadence {
            Cadence::Every(interval) => now + interval,
            Cadence::Once => now,
        };
        let mut planned = Vec::new();
        let views = Arc::make_mut(&mut self.views);
        for (index, view) in views.iter_mut().enumerate() {
            if let Some(known) = earlier.index.get(&view.name).copied() {
                *view = Arc::clone(&earlier.views[known]);
                let before = std::mem::take(&mut earlier.names[known]);
                let (place, again) = (self.names[index].planned, false);
                // Who would be asked too late now takes its new turn, so that many do not come at once.
                let in_turn = |at: Instant| if at > latest { place.unwrap_or(latest) } else { at };
                planned.push((index, before.planned.map_or(now, in_turn), before.is_urgent));
                self.names[index] = Name { planned: place, again, is_urgent: false, ..before };
            }
        }
        planned.into_iter().for_each(|(index, at, is_urgent)| self.plan(index, at, is_urgent));
    }
}

impl NameView {
    /// A name that nobody asked for yet.
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            last: None,
            published: None,
            changes: 0,
            since: Duration::ZERO,
            suspect: BTreeSet::new(),
        }
    }
}

impl Name {
    fn take_in(&mut self, view: &mut Arc<NameView>, mut survey: Survey, at: Duration, cadence: Cadence) {
        let outcomes = |survey: &Survey| (survey.custom.outcome, survey.azure.outcome);
        if let Some(last) = &view.last
            && (outcomes(last) != outcomes(&survey) || self.history.is_new(&survey.custom, &survey.azure))
        {
            Arc::make_mut(view).changes += 1;
        }
        let unions = self.history.remember(&survey.custom, &survey.azure, at);
        (survey.custom.recent, survey.azure.recent) = unions;
        survey.known.stale = match cadence {
            Cadence::Every(interval) => self.history.is_stale(&survey.custom.addresses, at, interval),
            Cadence::Once => false,
        };
        (survey.known.parted, survey.known.astray) = (self.history.is_parted(), self.history.is_astray());
        survey.annotations = annotate(&survey.custom, &self.history);
        self.settle(view, survey, at, cadence);
        let view = Arc::make_mut(view);
        if let Some(last) = &view.last {
            let (gain, lose) = match last.differs() {
                true => (&mut view.suspect, &mut self.proved),
                false => (&mut self.proved, &mut view.suspect),
            };
            gain.extend(&last.custom.addresses);
            lose.retain(|address| !last.custom.addresses.contains(address));
        }
        for addresses in [&mut self.proved, &mut view.suspect] {
            while addresses.len() > MAX_PROVED {
                addresses.pop_first();
            }
        }
    }

    /// How long its next turn is away: none where something may have changed meanwhile, little where a class that makes
    /// or ends an incident is not firm yet, else a round. Addresses that are merely old may come back in a rotation: that
    /// takes rounds to tell.
    fn pause(&mut self, view: &NameView, interval: Duration) -> Duration {
        if std::mem::take(&mut self.again) {
            self.rechecks = 0;
            return Duration::ZERO;
        }
        let present = view.last.as_ref().map(|last| &last.comparison);
        let matters = |comparison: &Comparison| comparison.cause().is_some();
        let is_open = present.map(|one| one.class) != view.published.as_ref().map(|one| one.class)
            && present.is_some_and(|present| present.class != ComparisonClass::Stale)
            && present.into_iter().chain(&view.published).any(matters);
        if is_open && self.rechecks < RECHECKS {
            self.rechecks += 1;
            return RECHECK.min(interval);
        }
        self.rechecks = 0;
        interval
    }

    fn settle(&mut self, view: &mut Arc<NameView>, mut survey: Survey, at: Duration, cadence: Cadence) {
        let view = Arc::make_mut(view);
        survey.comparison = classify(&survey.name, &survey.custom, &survey.azure, &survey.known);
        let firm = self.history.settle(survey.comparison.clone()).map(|published| published.comparison.clone());
        let in_force = match cadence {
            Cadence::Every(_) => firm,
            Cadence::Once => Some(survey.comparison.clone()),
        };
        let class = |comparison: &Option<Comparison>| comparison.as_ref().map(|comparison| comparison.class);
        if class(&view.published) != class(&in_force) {
            view.since = at;
        }
        view.published = in_force;
        view.last = Some(Arc::new(survey));
    }
}

/// The cause of the incident that the comparison in force makes.
fn cause_of(view: &NameView) -> Option<Cause> {
    view.published.as_ref().and_then(Comparison::cause)
}

/// Whether an address that a visit got speaks for the end of what is wrong with a name: Azure DNS gives it, and the last
/// survey did not get it from the custom DNS.
fn is_over(last: &Survey, view: &NameView, address: &IpAddr) -> bool {
    cause_of(view).is_some() && !last.custom.addresses.contains(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        resolvers::compare::{Answer, ComparisonClass},
        sample,
    };

    const INTERVAL: Duration = Duration::from_secs(300);

    fn survey(custom: &str, azure: &str) -> Survey {
        let answers = (Answer::with(&[], &[custom]), Answer::with(&[], &[azure]));
        sample::outlook::survey("a.example", answers, Circumstances::default())
    }

    fn names() -> Vec<String> {
        vec!["a.example".to_owned(), "b.example".to_owned(), "c.example".to_owned()]
    }

    #[test]
    fn names_are_asked_one_after_the_other_once_per_interval() {
        let start = ase_probes::clock::now();
        let mut all = Comparisons::new(names(), Cadence::Every(INTERVAL), start);
        let mut asked = Vec::new();
        while let Some(at) = all.next_due().filter(|at| *at < start + INTERVAL * 2) {
            for (index, _) in all.take_due(at) {
                asked.push((index, (at - start).as_secs()));
                all.take_in(index, survey("20.0.0.1", "20.0.0.1"), Duration::ZERO, at);
            }
        }
        assert_eq!(asked, [(0, 0), (1, 100), (2, 200), (0, 300), (1, 400), (2, 500)]);
    }

    #[test]
    fn a_lost_name_is_brought_forward_but_not_again_within_a_minute() {
        let start = ase_probes::clock::now();
        let mut all = Comparisons::new(names(), Cadence::Every(INTERVAL), start);
        all.hurry("c.example", start);
        assert_eq!(all.take_due(start).len(), 2);
        all.take_in(2, survey("20.0.0.1", "20.0.0.1"), Duration::ZERO, start);
        all.hurry("c.example", start + HURRY / 2);
        assert_eq!(all.next_due(), Some(start + Duration::from_secs(100)));
        all.hurry("c.example", start + HURRY);
        assert_eq!(all.next_due(), Some(start + HURRY));
        all.hurry("nobody.example", start);
    }

    /// Compares names of which each takes a while, in virtual time: `answer` says what is found for a name, and `after` is told
    /// of each end and says whether to go on.
    fn play(
        all: &mut Comparisons,
        start: Instant,
        took: Duration,
        answer: impl Fn(usize) -> Survey,
        mut after: impl FnMut(&mut Comparisons, usize, Instant) -> bool,
    ) {
        let (mut now, mut under_way) = (start, BTreeSet::new());
        for _ in 0..100_000 {
            under_way.extend(all.take_due(now).into_iter().map(|(index, _)| (now + took, index)));
            let first = under_way.first().map(|(at, _)| *at);
            let Some(next) = first.into_iter().chain(all.next_due()).min() else { return };
            assert!(next > now || first == Some(next), "what is due begins");
            now = next;
            if first != Some(now) {
                continue;
            }
            let Some((_, index)) = under_way.pop_first() else { return };
            all.take_in(index, answer(index), now - start, now);
            if !after(all, index, now) {
                return;
            }
        }
        panic!("it never ends");
    }

    fn many(count: usize) -> impl Iterator<Item = String> + Clone {
        (0..count).map(|number| format!("n{number}.example"))
    }

    #[test]
    fn a_backlog_holds_up_neither_a_name_that_was_brought_forward_nor_its_confirmations() {
        let (start, took, late) = (ase_probes::clock::now(), Duration::from_secs(2), INTERVAL * 2);
        let mut all = Comparisons::new(many(2000), Cadence::Every(INTERVAL), start);
        let lost = 1999;
        let (mut hurried, mut regular) = (None, 0);
        let answer = |index| survey(if index == lost { "127.0.0.1" } else { "20.0.0.1" }, "20.0.0.1");
        play(&mut all, start, took, answer, |all, index, now| {
            if hurried.is_none() && now >= start + late {
                assert!(all.due.first().is_some_and(|(at, _)| *at + INTERVAL / 2 < now), "there is a backlog");
                all.hurry("n1999.example", now);
                hurried = Some(now);
            }
            regular += usize::from(hurried.is_some() && index != lost);
            let is_published = all.views()[lost].published.is_some();
            if is_published {
                let turns = 1 + RECHECKS;
                let most = (took * 2 + RECHECK) * turns;
                assert!(hurried.is_some_and(|at| now - at <= most), "{:?}", hurried.map(|at| now - at));
            }
            !is_published
        });
        assert!(all.views()[lost].published.is_some());
        assert!(regular > 0, "the others go on");
    }

    #[test]
    fn many_names_that_were_brought_forward_leave_room_for_a_regular_one() {
        let (start, took) = (ase_probes::clock::now(), Duration::from_secs(2));
        let mut all = Comparisons::new(many(400), Cadence::Every(INTERVAL), start);
        let (end, mut regular) = (start + INTERVAL * 2, BTreeSet::new());
        play(
            &mut all,
            start,
            took,
            |_| survey("20.0.0.1", "20.0.0.1"),
            |all, index, now| {
                (0..300).for_each(|number| all.hurry(&format!("n{number}.example"), now));
                regular.extend((index >= 300).then_some(index));
                now < end
            },
        );
        assert_eq!(regular.len(), 100, "each of those that nobody waits for had its turn");
    }

    #[test]
    fn a_name_that_is_waited_for_keeps_its_place_however_often_it_is_brought_forward() {
        let start = ase_probes::clock::now();
        let mut all = Comparisons::new(many(40), Cadence::Every(INTERVAL), start);
        let late = start + INTERVAL;
        let under_way = all.take_due(late);
        assert_eq!(under_way.len(), CONCURRENCY);
        all.hurry("n39.example", late);
        all.hurry("n38.example", late + RECHECK);
        all.hurry("n39.example", late + HURRY);
        let end = late + HURRY;
        all.take_in(under_way[0].0, survey("20.0.0.1", "20.0.0.1"), end - start, end);
        assert_eq!(all.take_due(end).iter().map(|(index, _)| *index).collect::<Vec<_>>(), [39]);
    }

    #[test]
    fn of_many_names_that_are_brought_forward_again_and_again_each_is_asked_in_its_turn() {
        let (start, took, count) = (ase_probes::clock::now(), Duration::from_secs(2), 400);
        let mut all = Comparisons::new(many(count), Cadence::Every(INTERVAL), start);
        let mut asked = BTreeSet::new();
        let all_at_once = took * u32::try_from(count / (CONCURRENCY - 1)).expect("few");
        play(
            &mut all,
            start,
            took,
            |_| survey("20.0.0.1", "20.0.0.1"),
            |all, index, now| {
                many(count).for_each(|name| all.hurry(&name, now));
                asked.insert(index);
                now < start + all_at_once * 2
            },
        );
        assert_eq!(asked.len(), count);
    }

    #[test]
    fn in_a_single_round_a_name_that_was_brought_forward_comes_first() {
        let start = ase_probes::clock::now();
        let mut once = Comparisons::new(many(40), Cadence::Once, start);
        assert_eq!(once.take_due(start).len(), CONCURRENCY_ONCE);
        let later = start + RECHECK;
        once.hurry("n39.example", later);
        once.take_in(0, survey("20.0.0.1", "20.0.0.1"), Duration::ZERO, later);
        assert_eq!(once.take_due(later).iter().map(|(index, _)| *index).collect::<Vec<_>>(), [39]);
        assert_eq!(once.remaining(), 39);
    }

    #[test]
    fn a_reload_moves_no_turn_loses_no_confirmation_and_asks_again_what_it_cut_off() {
        let start = ase_probes::clock::now();
        let every = |count: usize, now| {
            let names = ["a.example", "b.example", "c.example", "d.example"].map(str::to_owned);
            Comparisons::new(names.into_iter().take(count), Cadence::Every(INTERVAL), now)
        };
        let mut all = every(3, start);
        assert_eq!(all.take_due(start).len(), 1);
        all.take_in(0, survey("127.0.0.1", "20.0.0.1"), Duration::ZERO, start);
        let planned = |all: &Comparisons| all.names.iter().map(|name| name.planned).collect::<Vec<_>>();
        let turn = |seconds: u64| Some(start + Duration::from_secs(seconds));
        for second in 1..=4 {
            let now = start + Duration::from_secs(second);
            let earlier = std::mem::replace(&mut all, every(3, now));
            all.inherit(earlier, now);
            assert_eq!(planned(&all), [turn(5), turn(100), turn(200)]);
        }
        // One is under way, one is new, and the rounds are shorter now.
        assert_eq!(all.take_due(start + RECHECK).len(), 1);
        let earlier = std::mem::replace(&mut all, every(4, start + RECHECK));
        all.inherit(earlier, start + RECHECK);
        assert_eq!(planned(&all), [turn(5), turn(100), turn(200), turn(5 + 225)]);
        let names = ["a.example", "b.example", "c.example"].map(str::to_owned);
        let shorter = Comparisons::new(names, Cadence::Every(INTERVAL / 5), start + RECHECK);
        let earlier = std::mem::replace(&mut all, shorter);
        all.inherit(earlier, start + RECHECK);
        // Those that would come too late come in their new turn, and not at once.
        assert_eq!(planned(&all), [turn(5), turn(25), turn(45)]);
    }

    fn heard(all: &mut Comparisons, address: &str, now: Instant) -> bool {
        all.hear("a.example", &[address.parse().expect("an address")], now);
        let known = &all.names[0];
        known.hurried == Some(now) && known.planned.is_some_and(|planned| planned <= now)
    }

    #[test]
    fn an_answer_that_no_side_gave_before_brings_the_name_forward_and_a_known_one_does_not() {
        let start = ase_probes::clock::now();
        let mut all = Comparisons::new(names(), Cadence::Every(INTERVAL), start);
        assert_eq!(all.take_due(start).len(), 1);
        assert!(!heard(&mut all, "20.0.0.1", start), "the first answer, and no survey has ended yet");
        all.take_in(0, survey("20.0.0.1", "20.0.0.2"), Duration::ZERO, start);
        let later = start + Duration::from_secs(1);
        assert!(!heard(&mut all, "20.0.0.2", later), "Azure DNS gives it");
        assert!(heard(&mut all, "10.0.0.4", later), "nobody gave it, and the survey a second ago does not matter");
        assert_eq!(all.take_due(later).len(), 1);
        assert!(!heard(&mut all, "10.0.0.5", later + RECHECK), "one is under way");
        all.take_in(0, survey("10.0.0.4", "20.0.0.2"), Duration::ZERO, later + RECHECK);
        assert!(!heard(&mut all, "10.0.0.6", later + HURRY / 2), "once a minute");
        assert!(heard(&mut all, "10.0.0.6", later + HURRY));
    }

    #[test]
    fn what_makes_an_incident_is_confirmed_twice_and_what_makes_none_waits_for_its_round() {
        let start = ase_probes::clock::now();
        for (custom, pauses) in [("20.0.0.9", [300, 300, 300, 300]), ("127.0.0.1", [5, 5, 300, 300])] {
            let mut all = Comparisons::new(vec!["a.example".to_owned()], Cadence::Every(INTERVAL), start);
            let mut now = start;
            for pause in pauses {
                assert_eq!(all.take_due(now).len(), 1);
                all.take_in(0, survey(custom, "20.0.0.1"), Duration::ZERO, now);
                assert_eq!(all.next_due(), Some(now + Duration::from_secs(pause)), "{custom}");
                now += Duration::from_secs(pause);
            }
            assert_eq!(all.take_news().len(), usize::from(custom == "127.0.0.1"));
            assert!(all.take_news().is_empty(), "told once");
        }
    }

    #[test]
    fn a_class_is_published_when_it_is_firm_and_at_once_in_a_single_round() {
        let start = ase_probes::clock::now();
        let mut all = Comparisons::new(names(), Cadence::Every(INTERVAL), start);
        for round in 1..=3u32 {
            let at = start + INTERVAL * round;
            assert!(all.take_due(at).iter().any(|(index, _)| *index == 0));
            (0..3).for_each(|index| all.take_in(index, survey("20.0.0.1", "10.0.0.4"), Duration::ZERO, at));
            assert_eq!(all.views()[0].published.is_some(), round == 3);
        }
        let mut once = Comparisons::new(names(), Cadence::Once, start);
        assert_eq!(once.take_due(start).len(), 3);
        once.take_in(0, survey("20.0.0.1", "10.0.0.4"), Duration::ZERO, start);
        assert_eq!(once.views()[0].published.as_ref().map(|c| c.class), Some(ComparisonClass::PrivateBypass));
        assert!(!once.is_settled());
    }

    #[test]
    fn a_silent_server_is_not_asked_for_the_other_names_of_a_single_round() {
        let start = ase_probes::clock::now();
        let mut silent = survey("20.0.0.1", "20.0.0.1");
        silent.custom = Answer::without_addresses(crate::resolvers::compare::DnsOutcome::Timeout);
        let forty = (0..40).map(|number| format!("n{number}.example"));
        let mut once = Comparisons::new(forty.clone(), Cadence::Once, start);
        assert_eq!((once.take_due(start).len(), once.remaining()), (CONCURRENCY_ONCE, 40));
        (0..16).for_each(|index| once.take_in(index, silent.clone(), Duration::ZERO, start));
        assert_eq!((once.skipped(), once.take_due(start).len()), (None, 1), "all sixteen may have met one bad moment");
        once.take_in(16, silent.clone(), Duration::ZERO, start);
        assert_eq!((once.skipped(), once.is_settled()), (Some((Server::Custom, 23)), true));
        // A daemon goes on, one name at a time, and hears when the server speaks again.
        let mut every = Comparisons::new(forty, Cadence::Every(INTERVAL), start);
        let late = start + INTERVAL;
        assert_eq!(every.take_due(late).len(), CONCURRENCY);
        (0..4).for_each(|index| every.take_in(index, silent.clone(), Duration::ZERO, late));
        assert_eq!((every.skipped(), every.take_due(late).len()), (None, 1));
        every.take_in(4, survey("20.0.0.1", "20.0.0.1"), Duration::ZERO, late);
        assert_eq!(every.take_due(late).len(), CONCURRENCY);
    }

    #[test]
    fn an_interception_is_said_of_every_name_at_once() {
        let start = ase_probes::clock::now();
        let mut all = Comparisons::new(names(), Cadence::Every(INTERVAL), start);
        assert_eq!(all.take_due(start + INTERVAL).len(), 3);
        all.take_in(0, survey("20.0.0.1", "20.0.0.1"), Duration::ZERO, start);
        all.intercepted(INTERVAL);
        let classes: Vec<_> = all.views().iter().map(|view| view.published.as_ref().map(|c| c.class)).collect();
        assert_eq!(classes, [Some(ComparisonClass::Intercepted), None, None], "of every name that was asked");
    }

    #[test]
    fn rotation_is_no_change_and_a_new_address_is() {
        let start = ase_probes::clock::now();
        let mut all = Comparisons::new(vec!["a.example".to_owned()], Cadence::Every(INTERVAL), start);
        let mut changes = Vec::new();
        for (round, address) in (1u32..).zip(["20.0.0.1", "20.0.0.2", "20.0.0.1", "20.0.0.2", "20.0.0.3"]) {
            let at = start + INTERVAL * round;
            assert_eq!(all.take_due(at).len(), 1);
            all.take_in(0, survey(address, address), INTERVAL * round, at);
            changes.push(all.views()[0].changes);
        }
        assert_eq!(changes, [0, 1, 1, 1, 2]);
    }
}
