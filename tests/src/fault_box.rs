//! The fault box: a TUN device in the guest's namespace, one in this, and between them every packet goes through a
//! [`crate::fault::Engine`].

use std::{
    cmp::Ordering,
    collections::BinaryHeap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use ase_probes::clock;
use tun_rs::{DeviceBuilder, SyncDevice};

use crate::{
    fault::{Emission, Engine, Lookup, rules::Direction, rules::Rule},
    namespace,
};

/// The name of both devices.
pub(crate) const DEVICE: &str = "wire1";
/// The longest packet, in bytes.
const LONGEST: usize = 65_536;

/// A running box. It works until the process ends.
#[derive(Clone, Debug)]
pub struct FaultBox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    start: Instant,
    engine: Mutex<Engine>,
    queue: Mutex<Queue>,
    is_changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: BinaryHeap<Due>,
    taken: u64,
}

/// A packet that waits for its time.
#[derive(Debug)]
struct Due {
    at: Duration,
    /// What came first goes first.
    number: u64,
    emission: Emission,
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        // The heap gives the greatest: the earliest.
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Due {}

/// Makes a device in the namespace of the caller.
pub(crate) fn device() -> Result<SyncDevice> {
    DeviceBuilder::new().name(DEVICE).build_sync().context(CANNOT)
}

impl FaultBox {
    /// Lays the wire from the guest's namespace through the box to this one.
    ///
    /// # Errors
    /// Without root, which `/dev/net/tun` needs; or when a device cannot be made.
    pub fn lay(guest: u32, engine: Engine) -> Result<Self> {
        let near = Arc::new(namespace::inside(guest, device)?);
        let far = Arc::new(device()?);
        let inner = Inner {
            start: clock::now(),
            engine: Mutex::new(engine),
            queue: Mutex::default(),
            is_changed: Condvar::new(),
        };
        let this = Self(Arc::new(inner));
        for (direction, device) in [(Direction::Out, &near), (Direction::In, &far)] {
            let (this, device) = (this.clone(), Arc::clone(device));
            thread::spawn(move || this.read(direction, &device));
        }
        let writer = this.clone();
        thread::spawn(move || writer.write(&near, &far));
        Ok(this)
    }

    /// Puts other rules into force.
    ///
    /// # Errors
    /// The first rule that makes no sense.
    pub fn set_rules(&self, rules: &[Rule], lookup: Lookup<'_>) -> Result<()> {
        self.engine().set_rules(self.0.start.elapsed(), rules, lookup)
    }

    /// The engine, for its counts.
    pub fn engine(&self) -> MutexGuard<'_, Engine> {
        self.0.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads packets until the device is gone.
    fn read(&self, direction: Direction, device: &SyncDevice) {
        let mut buffer = vec![0; LONGEST];
        while let Ok(length) = device.recv(&mut buffer) {
            let now = self.0.start.elapsed();
            let emissions = self.engine().take(now, direction, &buffer[..length]);
            let mut queue = self.queue();
            for emission in emissions {
                let number = queue.taken;
                queue.taken += 1;
                queue.waiting.push(Due { at: now + emission.after, number, emission });
            }
            drop(queue);
            self.0.is_changed.notify_one();
        }
    }

    /// Writes packets when they are due.
    fn write(&self, near: &SyncDevice, far: &SyncDevice) {
        loop {
            let emission = self.next();
            let device = match emission.direction {
                Direction::Out => far,
                Direction::In => near,
            };
            // A device that is down or full loses packets, as a link does.
            drop(device.send(&emission.bytes));
        }
    }

    fn next(&self) -> Emission {
        let mut queue = self.queue();
        loop {
            let wait = queue.waiting.peek().map(|due| due.at.saturating_sub(self.0.start.elapsed()));
            queue = match wait {
                Some(Duration::ZERO) => match queue.waiting.pop() {
                    Some(due) => return due.emission,
                    None => queue,
                },
                Some(wait) => match self.0.is_changed.wait_timeout(queue, wait) {
                    Ok((queue, _)) => queue,
                    Err(broken) => broken.into_inner().0,
                },
                None => self.0.is_changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

/// What stands in the way without root.
const CANNOT: &str = "cannot lay a fault box: only root may open /dev/net/tun, run this as root";

/// Gives the wire of a box its addresses: the guest's, and the way back to it.
///
/// # Errors
/// When `ip` refuses.
pub fn configure(guest: u32, address: &str, router: &str, subnet: &str) -> Result<()> {
    namespace::ip(&format!("link set {DEVICE} up"))?;
    namespace::ip(&format!("route add {subnet} dev {DEVICE}"))?;
    namespace::ip_in(guest, "link set lo up")?;
    namespace::ip_in(guest, &format!("addr add {address}/24 dev {DEVICE}"))?;
    namespace::ip_in(guest, &format!("link set {DEVICE} up"))?;
    namespace::ip_in(guest, &format!("route add default via {router}"))
}

/// Gives the wire of a box addresses of IPv6 too, and lets servers bind addresses that are only routed here.
///
/// # Errors
/// When `ip` or the kernel refuses.
pub fn configure_v6(guest: u32) -> Result<()> {
    std::fs::write("/proc/sys/net/ipv6/ip_nonlocal_bind", "1").context("cannot bind addresses of IPv6")?;
    namespace::ip(&format!("-6 route add fd00:53:1::/64 dev {DEVICE}"))?;
    namespace::ip_in(guest, &format!("-6 addr add fd00:53:1::4/64 dev {DEVICE} nodad"))?;
    namespace::ip_in(guest, &format!("-6 route add default dev {DEVICE}"))
}
