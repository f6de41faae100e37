//! A single look: how far it has come, when it is settled, and what it leaves out at its end.

use std::time::Instant;

use super::State;
use crate::{
    diagnosis::memory::LASTING_IN_A_LOOK,
    engine::{
        events::Progress,
        look::{Look, Order},
        pulse::Clocks,
    },
    model::{
        endpoint::{EndpointView, Status},
        visit::{Hindrance, Untested},
    },
};

impl State {
    /// Lets a single look end at this moment: no visit takes longer, and nothing is waited for that comes later.
    pub fn end_at(&mut self, ends: Instant) {
        self.look = Some(Look::until(ends));
    }

    /// Whether no visit is under way and none will come, every name was compared and no measurement would tell more.
    pub fn is_settled(&self) -> bool {
        self.schedule.is_over()
            && self.comparing.is_settled()
            && self.diagnosing.is_settled(self.look.as_ref().map(Look::ends))
    }

    /// What is settled, and what is waited for.
    pub fn progress(&self) -> Progress {
        Progress {
            settled: self.endpoints.settled(),
            failed: self.endpoints.failed_again(),
            visits: self.schedule.room().in_flight(),
            planned: self.schedule.planned(),
            names: self.comparing.remaining(),
            measurements: self.diagnosing.under_way(),
        }
    }

    /// Ends a single look and notes what it left out. `is_over` says whether its time was over before it was settled.
    pub fn conclude(&mut self, is_over: bool, at: Clocks) {
        let open = self.endpoints.give_up();
        let waiting = self.diagnosing.waiting();
        let left = |why| self.endpoints.untested(why);
        let uncompared = if is_over { self.comparing.remaining() } else { 0 };
        let unconfirmed = open.unconfirmed.iter().map(|(why, count)| (*count, "failure", "confirmed", why.reason()));
        let counted = [
            (left(Untested::BudgetSpent), "endpoint", "asked", Hindrance::Budget.reason()),
            (left(Untested::Resting), "endpoint", "asked", Hindrance::Rest.reason()),
            (left(Untested::Died), "endpoint", "tested", Hindrance::Death.reason()),
            (waiting, "telling measurement", "made", "the budget of new flows, or the time, was spent"),
            (uncompared, "name", "compared", Hindrance::Time.reason()),
        ];
        let unvisited = (open.unvisited, "endpoint", "visited", Hindrance::Time.reason());
        let counted = std::iter::once(unvisited).chain(unconfirmed).chain(counted);
        self.left_out = self.comparing.left_out();
        self.left_out.extend(counted.filter_map(|(count, what, done, why)| match count {
            0 => None,
            1 => Some(format!("1 {what} was not {done}: {why}")),
            many => Some(format!("{many} {what}s were not {done}: {why}")),
        }));
        self.diagnosing.conclude();
        self.think(at);
    }

    /// In a single look nothing is waited for that can only come after its end, and more is asked where that may tell more.
    pub(super) fn steer_look(&mut self, at: Clocks) {
        let Some(ends) = self.look.as_ref().map(Look::ends) else { return };
        // Whom one of them was to speak for, another speaks for, who may be too late as well.
        loop {
            let late = self.schedule.give_up_after(ends, at.now);
            if late.is_empty() {
                return self.look_closer(at);
            }
            for (task, rests) in late {
                match (self.schedule.is_confirming(task), rests) {
                    (true, true) => self.hold_up(task, Hindrance::Rest, at.now),
                    (true, false) => self.hold_up(task, Hindrance::Time, at.now),
                    (false, true) => self.endpoints.leave(task, Untested::Resting, at.wall),
                    (false, false) => {}
                }
            }
        }
    }

    /// In a single look, packets that were lost on a few connections make no pattern yet: some of those that work are asked once
    /// more, when loss has had time to go on.
    fn look_closer(&mut self, at: Clocks) {
        let is_time = |look: &&mut Look| {
            look.may_look_closer(at.now) && self.diagnosing.may_be_lossy() && self.endpoints.were_all_asked()
        };
        let Some(look) = self.look.as_mut().filter(is_time) else { return };
        let connected = |view: &EndpointView| {
            let outcomes = view.last.iter().flat_map(|last| &last.outcomes);
            view.status == Status::Healthy && outcomes.into_iter().any(|outcome| outcome.seen.tcp.is_some())
        };
        let working = self.endpoints.views().iter().enumerate().filter(|(_, view)| connected(view));
        let working: Vec<usize> = working.map(|(task, _)| task).collect();
        for task in look.look_closer(&working) {
            self.schedule.release(task, at.now + LASTING_IN_A_LOOK);
        }
    }

    /// In a single look an endpoint that failed once is not heard again: whom it was to speak for, another speaks for.
    pub(super) fn hold_up(&mut self, task: usize, why: Hindrance, now: Instant) {
        self.endpoints.hold_up(task, why);
        let order = self.look.as_mut().and_then(|look| look.give_up(task, now));
        self.obey(order, now);
    }

    /// In a single look a few failures are asked again for all that are alike.
    pub(super) fn obey(&mut self, orders: impl IntoIterator<Item = Order>, now: Instant) {
        for order in orders {
            match order {
                Order::Wait(task) => self.schedule.hold(task),
                Order::Ask(task) => self.schedule.release(task, now),
                Order::Confirm(task, others) => {
                    self.schedule.hold(task);
                    self.endpoints.confirm(task, others, |status| self.diagnosing.restate(task, status));
                }
            }
        }
    }
}
