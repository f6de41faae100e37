//! A sandbox as a unit file makes it: a system call filter that answers EPERM, set before the command starts.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, bail};
use nix::libc::{AF_INET, AF_INET6, EPERM, SOCK_DGRAM, SYS_socket};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// The file in the guest's folder that asks for one.
const FILE: &str = "sandbox";
/// The bits of `socket(2)`'s type that name the kind; the others are flags.
const KIND: u64 = 0xf;

/// Asks for a sandbox without datagram sockets around the command that the guest becomes.
///
/// # Errors
/// When the command runs already, or the wish cannot be written.
pub fn ask_for(folder: &Path) -> Result<()> {
    if folder.join("agent.log").exists() {
        bail!("a sandbox can only be there from the start: put it under `before`");
    }
    fs::write(folder.join(FILE), "").context("cannot ask for a sandbox")
}

/// Enters the sandbox that was asked for, if one was. It holds for this process and whatever it becomes.
///
/// # Errors
/// When the filter cannot be made or set.
pub fn enter(folder: &Path) -> Result<()> {
    if !folder.join(FILE).exists() {
        return Ok(());
    }
    let datagram = u64::try_from(SOCK_DGRAM)?;
    let forbidden = SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(KIND), datagram)?;
    let internet = |family: i32| -> Result<SeccompRule> {
        let family = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, family.try_into()?)?;
        Ok(SeccompRule::new(vec![family, forbidden.clone()])?)
    };
    let rules = [AF_INET, AF_INET6].map(internet).into_iter().collect::<Result<_>>()?;
    let filter = SeccompFilter::new(
        BTreeMap::from([(SYS_socket, rules)]),
        SeccompAction::Allow,
        SeccompAction::Errno(EPERM.try_into()?),
        std::env::consts::ARCH.try_into()?,
    )?;
    let program: BpfProgram = filter.try_into()?;
    seccompiler::apply_filter(&program).context("cannot enter the sandbox")
}
