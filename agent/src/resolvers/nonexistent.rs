//! The zones below which names are asked for that cannot exist.

/// Names that cannot exist lie below this one. No wildcard is there, and every network resolves it.
pub const BELOW: &str = "microsoft.com";

/// The zone for names that lie below [`BELOW`] themselves: there is no wildcard in it either.
pub const OTHERWISE: &str = "windows.net";

/// Where names that cannot exist are asked for that shall lie outside this name's zone.
pub(super) fn outside(name: &str) -> &'static str {
    if name == BELOW || name.ends_with(".microsoft.com") { OTHERWISE } else { BELOW }
}
