//! Network namespaces without names: each lives as long as the process in it, so nothing leaks and runs cannot collide.
//! Every call here must come before the first thread is started.

use std::{collections::BTreeSet, fs, net::IpAddr, os::unix::process::CommandExt, path::Path, process::Command};

use anyhow::{Context, Result, bail};
use ase_agent::model::{catalog::Host, settings::Settings};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, setns, unshare},
    sys::{prctl, signal::Signal},
    unistd::{Gid, Uid, getegid, geteuid, setgid, setgroups, setuid},
};

/// The user that commands run as: `nobody`.
pub const NOBODY: u32 = 65534;

/// Enters new network and mount namespaces; without root in a user namespace of one's own first.
///
/// # Errors
/// When the kernel does not allow it, with what to do.
pub fn enter() -> Result<()> {
    if !geteuid().is_root() {
        own_user_namespace(0).context(
            "cannot make a user namespace: run as root, or allow unprivileged user namespaces on this kernel",
        )?;
    }
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).context("cannot make a network namespace")?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .context("cannot make mounts private")?;
    lift_limits_of_icmp()
}

/// Bursts of refusals would else go missing, as on a busy host; the lab wants every one. The mask takes them out of the limit
/// that all destinations share too: 50 at once by default, fewer than the built-in profile's names.
fn lift_limits_of_icmp() -> Result<()> {
    for limit in ["ipv4/icmp_ratelimit", "ipv4/icmp_ratemask", "ipv6/icmp/ratelimit"] {
        let path = Path::new("/proc/sys/net").join(limit);
        // A kernel without IPv6 has no limit of it.
        if path.exists() {
            fs::write(&path, "0").with_context(|| format!("cannot lift the rate limit {}", path.display()))?;
        }
    }
    Ok(())
}

/// Enters the network and mount namespaces of a process.
///
/// # Errors
/// When it is gone, or the kernel refuses.
pub fn join(process: u32) -> Result<()> {
    let open = |kind: &str| {
        let path = format!("/proc/{process}/ns/{kind}");
        fs::File::open(&path).with_context(|| format!("cannot open {path}"))
    };
    let (network, mounts) = (open("net")?, open("mnt")?);
    setns(network, CloneFlags::CLONE_NEWNET).context("cannot enter the network namespace")?;
    setns(mounts, CloneFlags::CLONE_NEWNS).context("cannot enter the mount namespace")
}

/// Maps the caller to `inside` in a new user namespace.
fn own_user_namespace(inside: u32) -> Result<()> {
    let (user, group) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER)?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{inside} {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("{inside} {group} 1"))?;
    Ok(())
}

/// Puts a file in another's place, in this mount namespace only.
///
/// # Errors
/// When the mount is refused.
pub fn put_over(file: &Path, target: &Path) -> Result<()> {
    let target = fs::canonicalize(target).unwrap_or_else(|_| target.to_owned());
    mount(Some(file), &target, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .with_context(|| format!("cannot put {} over {}", file.display(), target.display()))
}

/// Becomes a user without any capability over this namespace, and runs a command in this process's place.
///
/// # Errors
/// Always: it returns only if the command could not be run.
pub fn exec_unprivileged(command: &mut Command, is_root: bool) -> Result<()> {
    if is_root {
        setgroups(&[]).context("cannot drop groups")?;
        setgid(Gid::from_raw(NOBODY)).context("cannot change the group")?;
        setuid(Uid::from_raw(NOBODY)).context("cannot change the user")?;
    } else {
        // A child user namespace has no power over the network namespace that its parent owns.
        own_user_namespace(NOBODY)?;
    }
    // A change of user clears the wish to die with the parent.
    die_with_parent()?;
    prctl::set_no_new_privs().context("cannot forbid new privileges")?;
    Err(command.exec()).with_context(|| format!("cannot run {}", command.get_program().display()))
}

/// Ends this process when its parent ends.
///
/// # Errors
/// When the kernel refuses.
pub fn die_with_parent() -> Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL).context("cannot bind this process's life to its parent's")
}

/// Runs `ip` with these words.
///
/// # Errors
/// When `ip` is missing or fails, with what it said.
pub fn ip(words: &str) -> Result<()> {
    run("ip", words.split(' '))
}

/// Runs `ip` in the network namespace of a process.
///
/// # Errors
/// When `nsenter` or `ip` is missing or fails, with what it said.
pub fn ip_in(process: u32, words: &str) -> Result<()> {
    let process = process.to_string();
    run("nsenter", ["-t", &process, "-n", "ip"].into_iter().chain(words.split(' ')))
}

/// Does something on a thread of its own in the network namespace of a process.
///
/// # Errors
/// When the namespace cannot be entered, or what the work says.
pub fn inside<T: Send + 'static>(process: u32, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let thread = std::thread::spawn(move || {
        let path = format!("/proc/{process}/ns/net");
        let namespace = fs::File::open(&path).with_context(|| format!("cannot open {path}"))?;
        setns(namespace, CloneFlags::CLONE_NEWNET).with_context(|| format!("cannot enter {path}"))?;
        work()
    });
    thread.join().map_err(|_| anyhow::anyhow!("the work in the namespace of process {process} broke"))?
}

/// Does something on a thread of its own in a new network namespace, in which nothing leads outside. What the thread starts
/// lives there too; the namespace is gone with the last process, thread and socket in it.
///
/// # Errors
/// Without root, or what the work says.
pub fn apart<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).context("cannot make a network namespace")?;
            ip("link set lo up")?;
            work()
        });
        thread.join().map_err(|_| anyhow::anyhow!("the work in a network namespace of its own broke"))?
    })
}

/// Runs a tool with these words in the network namespace of a process.
///
/// # Errors
/// When `nsenter` or the tool is missing or fails, with what it said.
pub fn tool_in(process: u32, program: &str, words: &[&str]) -> Result<()> {
    let process = process.to_string();
    run("nsenter", ["-t", &process, "-n", program].into_iter().chain(words.iter().copied()))
}

/// Puts a file in another's place, in the namespaces of a process: a network gauge has a place in each network namespace.
///
/// # Errors
/// When `nsenter` or `mount` is missing or fails, with what it said.
pub fn put_over_in(process: u32, file: &Path, target: &str) -> Result<()> {
    let (process, file) = (process.to_string(), file.to_string_lossy());
    run("nsenter", ["-t", &process, "-n", "-m", "mount", "--bind", &file, target].into_iter())
}

fn run<'a>(program: &str, words: impl Iterator<Item = &'a str>) -> Result<()> {
    let mut command = Command::new(program);
    command.args(words);
    let output = command.output().with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Makes a prefix local to this namespace: every address in it can be bound and is answered.
///
/// # Errors
/// When the route is refused.
pub fn make_local(prefix: &str) -> Result<()> {
    ip(&format!("route add local {prefix} dev lo"))
}

/// Makes one address local to this namespace.
///
/// # Errors
/// When the route is refused.
pub fn make_address_local(address: IpAddr) -> Result<()> {
    make_local(&format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 }))
}

/// Makes every address local that the settings' endpoints name themselves, each once.
///
/// # Errors
/// When a route is refused.
pub fn make_fixed_addresses_local(settings: &Settings) -> Result<()> {
    let address = |host: &Host| match host {
        Host::Address(address) => Some(*address),
        Host::Name(_) => None,
    };
    let endpoints = settings.catalog.endpoints.iter();
    let fixed: BTreeSet<IpAddr> = endpoints.filter_map(|endpoint| address(&endpoint.target.host)).collect();
    fixed.into_iter().try_for_each(make_address_local)
}
