//! Keeps what this process holds in its memory out of core dumps and out of the reach of other programs of its user.

use nix::sys::{
    prctl,
    resource::{Resource, setrlimit},
};

/// Seals the memory until the process ends: it is dumped neither to a file (`RLIMIT_CORE`) nor to a program that the kernel
/// hands dumps to (core(5), `PR_SET_DUMPABLE`), and no debugger of the same user attaches. Secrets are copied by libraries that
/// nobody can make wipe them, so that the whole memory is sealed and not one variable wiped.
///
/// # Errors
/// What the kernel or a sandbox refuses.
pub fn seal() -> Result<(), nix::Error> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    prctl::set_dumpable(false)
}
