//! A group as packets meet it: the rules of both directions, ready to be asked.

use crate::lint::{evaluate::Ruling, rule::Group, traffic::Direction, world::World};

/// A group with both directions ready to be asked.
pub(super) struct Gate<'a> {
    pub(super) group: &'a Group,
    pub(super) inbound: Ruling,
    pub(super) outbound: Ruling,
}

impl<'a> Gate<'a> {
    pub(super) fn new(group: &'a Group, world: &World) -> Self {
        let inbound = Ruling::new(group, Direction::Inbound, world);
        Self { group, inbound, outbound: Ruling::new(group, Direction::Outbound, world) }
    }

    pub(super) fn ruling(&self, direction: Direction) -> &Ruling {
        match direction {
            Direction::Inbound => &self.inbound,
            Direction::Outbound => &self.outbound,
        }
    }
}
