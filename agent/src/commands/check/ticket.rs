//! `check --report FILE`: a ticket beside what is printed, in the form that the file's name asks for.

use std::path::Path;

use super::Seen;
use crate::{
    commands::{failure::Failure, files::Place},
    readers::ticket::{Ticket, html, markdown},
};

/// Where a ticket goes, and how it is written.
pub(super) struct Target {
    place: Place,
    render: fn(&Ticket) -> String,
}

impl Target {
    /// The form by the name, tried before the look.
    ///
    /// # Errors
    /// A name that asks for no form, or a place that cannot be written.
    pub(super) fn at(file: &Path) -> Result<Self, Failure> {
        let form = file.extension().map(|form| form.to_ascii_lowercase());
        let render = match form.as_deref().and_then(|form| form.to_str()) {
            Some("md") => markdown::render,
            Some("html") => html::render,
            _ => {
                return Err(Failure::Usage(format!(
                    "--report ({}): a name that ends in .md or .html is wanted",
                    file.display()
                )));
            }
        };
        let refused = |rule| Failure::Input(format!("--report ({}) {rule}", file.display()));
        Ok(Self { place: Place::try_at(file).map_err(refused)?, render })
    }

    /// Writes what was seen.
    ///
    /// # Errors
    /// What the system said.
    pub(super) fn write(&self, seen: &Seen<'_>) -> Result<(), Failure> {
        self.place.write(&(self.render)(&Ticket::of(seen.snapshot, seen.witness)))
    }
}
