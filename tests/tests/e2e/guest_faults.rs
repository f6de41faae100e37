//! Faults of the guest, seen by a shell that lives in the guest's namespace.

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use ase_lab::guest_fault::{Bundle, Chain, Forbids, GuestFault, Lasting, Victim};

use crate::process::{require, require_root, run, wait_for};

/// A namespace with one device, held by a process that waits.
struct Guest {
    holder: Child,
    folder: tempfile::TempDir,
}

impl Drop for Guest {
    fn drop(&mut self) {
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}

impl Guest {
    /// A guest; `None` with a loud skip where the tools or the rights are missing.
    fn new() -> Option<Self> {
        if !(require("ip", "iproute2") && require("nft", "nftables") && require_root("make network namespaces")) {
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("ca.pem"), "authorities").expect("the folder is writable");
        let devices = "ip link set lo up; ip link add wire1 type veth peer name far; ip link set far up; \
            ip addr add 10.53.1.4/24 dev wire1; ip link set wire1 up; ip neigh add 10.53.1.1 lladdr 02:00:00:00:00:01 dev wire1; \
            ip route add default via 10.53.1.1; echo ready; exec sleep 60";
        let holder = Command::new("unshare")
            .args(["-n", "sh", "-c", &format!("exec >{}/log 2>&1; {devices}", folder.path().display())])
            .stdin(Stdio::null())
            .spawn()
            .expect("unshare starts");
        let log = folder.path().join("log");
        wait_for("the namespace", || fs::read_to_string(&log).ok()?.contains("ready").then_some(()));
        Some(Self { holder, folder })
    }

    fn suffers(&self, fault: &GuestFault) -> Lasting {
        let victim = Victim { process: self.holder.id(), device: "wire1", folder: self.folder.path() };
        fault.befall(victim).unwrap_or_else(|error| panic!("{fault:?}: {error:#}"))
    }

    /// What a shell in the namespace prints.
    fn says(&self, script: &str) -> String {
        let process = self.holder.id().to_string();
        let output =
            run(Command::new("nsenter").args(["-t", &process, "-n", "bash", "-c", &format!("({script}) 2>&1")]));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// One datagram, and one connection that gets a second.
const DATAGRAM: &str = "echo x >/dev/udp/198.18.1.1/53";
const CONNECTION: &str = "timeout 1 bash -c '</dev/tcp/198.18.1.1/443'; echo $?";

#[test]
fn each_fault_shows_its_errno_to_a_shell() {
    let route = |kind| GuestFault::Route { kind, prefix: "198.18.0.0/15".to_owned() };
    let wall = |packets: &str, verdict: &str| GuestFault::Firewall {
        chain: Chain::Output,
        packets: packets.to_owned(),
        verdict: verdict.to_owned(),
    };
    for (fault, script, words) in [
        (route(Forbids::Blackhole), CONNECTION, "Invalid argument"),
        (route(Forbids::Prohibit), CONNECTION, "Permission denied"),
        (route(Forbids::Unreachable), CONNECTION, "No route to host"),
        (GuestFault::NoDefaultRoute, CONNECTION, "Network is unreachable"),
        (GuestFault::DeviceOff, CONNECTION, "Network is unreachable"),
        (wall("", "drop"), DATAGRAM, "Operation not permitted"),
        (wall("", "drop"), CONNECTION, "124"),
        (wall("meta l4proto tcp", "reject with tcp reset"), CONNECTION, "Connection refused"),
        (GuestFault::EgressProgram, "tc -s filter show dev wire1 egress", "bytecode '1,6 0 0 2'"),
        (GuestFault::PortsTaken { from: 40_000, to: 40_003 }, CONNECTION, "Cannot assign requested address"),
        (GuestFault::PortsTaken { from: 40_000, to: 40_003 }, DATAGRAM, "Resource temporarily unavailable"),
        (
            GuestFault::NextHopSilent { prefix: "default".to_owned() },
            "timeout 6 bash -c '</dev/tcp/198.18.1.1/443'; echo $?",
            "No route to host",
        ),
        (GuestFault::Ipv6LeadsNowhere, "ip -6 route show default", "default dev wire1"),
    ] {
        let Some(guest) = Guest::new() else { return };
        let _lasting = guest.suffers(&fault);
        let text = guest.says(script);
        assert!(text.contains(words), "{fault:?}: {script}: {text}");
    }
}

#[test]
fn faults_of_the_process_and_its_files_arrive_there() {
    let Some(guest) = Guest::new() else { return };
    let process = guest.holder.id();
    guest.suffers(&GuestFault::FdLimit { spare: 3 });
    let limits = fs::read_to_string(format!("/proc/{process}/limits")).expect("the process lives");
    let files = limits.lines().find(|line| line.starts_with("Max open files")).expect("there is such a limit");
    assert!(files.split_whitespace().nth(3).is_some_and(|limit| limit == "6"), "{files}");
    guest.suffers(&GuestFault::ResolvConf { text: "nameserver 192.0.2.9\n".to_owned() });
    let text = fs::read_to_string(guest.folder.path().join("resolv.conf")).expect("the file is there");
    assert_eq!(text, "nameserver 192.0.2.9\n");
    guest.suffers(&GuestFault::Stalls { milliseconds: 60_000, every_milliseconds: 0, times: 1 });
    wait_for("the stop", || fs::read_to_string(format!("/proc/{process}/stat")).ok()?.contains(") T ").then_some(()));
}

#[test]
fn a_bundle_can_lose_its_authorities() {
    let Some(guest) = Guest::new() else { return };
    // A shell ends on SIGHUP, which is what the agent reloads on.
    guest.suffers(&GuestFault::CaBundle { becomes: Bundle::Empty });
    assert_eq!(fs::read(guest.folder.path().join("ca.pem")).expect("the file is there"), b"");
    let process = guest.holder.id();
    wait_for("the signal", || {
        let state = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        state.contains(") Z ").then_some(())
    });
}
