//! The path of a bench: two TUN devices and one thread between them, which holds every packet for the delay of its flow.
//! It is as cheap as a path in user space can be, because it shares the machine with what is measured.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    os::fd::AsFd,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use ase_probes::clock;
use nix::{
    poll::{PollFd, PollFlags, ppoll},
    sys::time::TimeSpec,
    unistd::gettid,
};
use tun_rs::SyncDevice;

use crate::{
    fault_box::{self, DEVICE},
    guest::{GUEST, ROUTER},
    namespace,
};

/// The shortest delay one way.
const SHORTEST: Duration = Duration::from_micros(4_500);
/// What a flow's delay one way may have more: a round trip takes 9 to 11 ms, 10 ms in the mean.
const JITTER: Duration = Duration::from_millis(1);
/// Packets that a device may hold, so that a burst of one slot of the schedule is not lost.
const QUEUE: u32 = 10_000;
/// The longest packet, in bytes; the devices have an MTU of 1500.
const LONGEST: usize = 2048;

/// A running path. It works until the process ends.
#[derive(Debug)]
pub(super) struct Path {
    /// How late packets left, in microseconds, since the last look.
    late: Arc<Mutex<Vec<u32>>>,
    /// The thread's id, for its use of the CPU.
    pub(super) thread: i32,
}

/// A packet that waits: until when, its number (what came first goes first), whether it leaves the guest, its bytes.
type Waiting = Reverse<(Duration, u64, bool, Vec<u8>)>;

struct Ends {
    near: SyncDevice,
    far: SyncDevice,
}

impl Path {
    /// Lays the path from the guest's namespace to this one.
    ///
    /// # Errors
    /// Without root, which `/dev/net/tun` needs; or when a device cannot be made.
    pub(super) fn lay(guest: u32) -> Result<Self> {
        let near = namespace::inside(guest, fault_box::device)?;
        let far = fault_box::device()?;
        fault_box::configure(guest, GUEST, ROUTER, "10.53.1.0/24")?;
        namespace::ip(&format!("link set {DEVICE} txqueuelen {QUEUE}"))?;
        namespace::ip_in(guest, &format!("link set {DEVICE} txqueuelen {QUEUE}"))?;
        for device in [&near, &far] {
            device.set_nonblocking(true).context("a device can be read without waiting")?;
        }
        let late = Arc::new(Mutex::new(Vec::new()));
        let (told, thread_id) = mpsc::channel();
        let log = Arc::clone(&late);
        thread::spawn(move || {
            if told.send(gettid().as_raw()).is_ok() {
                carry(&Ends { near, far }, &log);
            }
        });
        Ok(Self { late, thread: thread_id.recv().context("the path's thread runs")? })
    }

    /// How late packets left since the last look, in microseconds.
    pub(super) fn take_late(&self) -> Vec<u32> {
        std::mem::take(&mut *self.late.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Carries packets both ways until a device is gone.
fn carry(ends: &Ends, late: &Mutex<Vec<u32>>) {
    let start = clock::now();
    let mut queue: BinaryHeap<Waiting> = BinaryHeap::new();
    let mut taken = 0;
    loop {
        let now = start.elapsed();
        while queue.peek().is_some_and(|Reverse((at, ..))| *at <= now) {
            let Some(Reverse((at, _, is_out, bytes))) = queue.pop() else { break };
            // A device that is down or full loses packets, as a link does.
            drop(if is_out { ends.far.send(&bytes) } else { ends.near.send(&bytes) });
            let micros = u32::try_from((now - at).as_micros()).unwrap_or(u32::MAX);
            late.lock().unwrap_or_else(PoisonError::into_inner).push(micros);
        }
        let wait = queue.peek().map(|Reverse((at, ..))| at.saturating_sub(start.elapsed()));
        if wait != Some(Duration::ZERO) && await_packets(ends, wait).is_err() {
            return;
        }
        for (is_out, device) in [(true, &ends.near), (false, &ends.far)] {
            read(device, start, |at, bytes| {
                taken += 1;
                queue.push(Reverse((at + delay(&bytes), taken, is_out, bytes)));
            });
        }
    }
}

fn await_packets(ends: &Ends, wait: Option<Duration>) -> nix::Result<()> {
    let mut readable =
        [PollFd::new(ends.near.as_fd(), PollFlags::POLLIN), PollFd::new(ends.far.as_fd(), PollFlags::POLLIN)];
    match ppoll(&mut readable, wait.map(TimeSpec::from_duration), None) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Takes all packets that a device has.
fn read(device: &SyncDevice, start: Instant, mut take: impl FnMut(Duration, Vec<u8>)) {
    let mut buffer = [0; LONGEST];
    while let Ok(length) = device.recv(&mut buffer) {
        take(start.elapsed(), buffer[..length].to_vec());
    }
}

/// The delay of a packet's flow in its direction: the same for all its packets, so that none overtakes another.
fn delay(packet: &[u8]) -> Duration {
    SHORTEST + JITTER.mul_f64(share(flow(packet)))
}

/// What tells a flow of IPv4 from others: protocol, both addresses, both ports (RFC 791 section 3.1). Anything else is one
/// flow.
fn flow(packet: &[u8]) -> u64 {
    let header = packet.first().map_or(0, |first| usize::from(first & 0x0f) * 4);
    let fields = [packet.get(9..10), packet.get(12..20), packet.get(header..header + 4)];
    // FNV-1a, 64 bits.
    fields
        .into_iter()
        .flatten()
        .flatten()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A number in 0..1 that looks like chance, from a hash: neighbouring ports must not have neighbouring delays.
fn share(hash: u64) -> f64 {
    let mixed = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    (mixed >> 32) as f64 / 2f64.powi(32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(port: u16) -> Vec<u8> {
        let mut packet = vec![0; 40];
        packet[0] = 0x45;
        packet[9] = 6;
        packet[12..20].copy_from_slice(&[10, 53, 1, 4, 198, 18, 1, 1]);
        packet[20..22].copy_from_slice(&port.to_be_bytes());
        packet
    }

    #[test]
    fn packets_of_one_flow_share_a_delay_and_flows_spread_over_the_whole_jitter() {
        assert_eq!(delay(&packet(40_000)), delay(&[packet(40_000), vec![1; 100]].concat()));
        let delays: Vec<Duration> = (40_000..41_000).map(|port| delay(&packet(port))).collect();
        let mean = delays.iter().sum::<Duration>() / 1000;
        let within = |at: Duration| at >= SHORTEST && at <= SHORTEST + JITTER;
        assert!(delays.iter().all(|at| within(*at)), "{delays:?}");
        assert!(mean.abs_diff(SHORTEST + JITTER / 2) < JITTER / 20, "{mean:?}");
        let below = delays.iter().filter(|at| **at < SHORTEST + JITTER / 10).count();
        assert!((50..150).contains(&below), "{below} of 1000 in the first tenth");
    }

    #[test]
    fn what_is_no_packet_has_a_delay_too() {
        assert!(delay(&[]) >= SHORTEST);
        assert!(delay(&[0xff]) >= SHORTEST);
    }
}
