//! Time servers with coarse clocks, with a long way to their source, and with the wrong time.

use std::time::UNIX_EPOCH;

use ase_probes::clock;
use serde_json::json;

use super::world::World;

const TIME: &str = "{host: time.example, class: ntp}";
/// Seconds from 1900 to 1970.
const ERA: f64 = 2_208_988_800.0;

fn now() -> f64 {
    clock::wall().as_secs_f64()
}

/// A time of the Unix epoch as NTP writes it (RFC 5905 section 6).
fn timestamp(time: f64) -> [u8; 8] {
    (((time + ERA) * 4_294_967_296.0) as u64).to_be_bytes()
}

/// What a server puts into its answer.
struct Packet {
    stratum: u8,
    precision: i8,
    delay: f64,
    dispersion: f64,
    received: f64,
    sent: f64,
}

impl Packet {
    /// A good server's.
    fn at(time: f64) -> Self {
        Self { stratum: 2, precision: -20, delay: 0.01, dispersion: 0.01, received: time, sent: time }
    }

    /// The bytes (RFC 5905 section 7.3) in answer to a request.
    fn bytes(&self, request: &[u8]) -> Vec<u8> {
        let short = |seconds: f64| ((seconds * 65_536.0) as u32).to_be_bytes();
        let mut bytes = vec![4 << 3 | 4, self.stratum, 6, self.precision.cast_unsigned()];
        bytes.extend(short(self.delay));
        bytes.extend(short(self.dispersion));
        bytes.extend([10, 0, 0, 1]);
        bytes.extend(timestamp(self.received.min(self.sent) - 10.0));
        bytes.extend(&request[40..48]);
        bytes.extend(timestamp(self.received));
        bytes.extend(timestamp(self.sent));
        bytes
    }
}

fn time_server(packet: impl Fn() -> Packet + Send + 'static) -> Option<World> {
    let world = World::new()?;
    world.plain_names(&["time.example", "w1.example", "w2.example", "w3.example"]);
    world.udp("20.1.1.1", 123, move |request| vec![packet().bytes(request)]);
    Some(world)
}

#[test]
fn a_clock_of_whole_seconds_is_a_clock() {
    let coarse = || {
        let second = now().floor();
        Packet { precision: 0, received: second + 1.0, sent: second, ..Packet::at(second) }
    };
    let Some(world) = time_server(coarse) else { return };
    world.check(TIME).exits(0).shows(&json!({"status": "healthy", "cause": null})).never_says("protocol_violation");
    let Some(world) = time_server(|| Packet { received: now() + 1.0, ..Packet::at(now()) }) else { return };
    world.check(TIME).exits(1).shows(&json!({"status": "failed", "cause": "protocol_violation"}));
}

#[test]
fn a_server_too_far_from_its_source_is_not_well() {
    for (delay, dispersion) in [(0.1, 1.5), (3.0, 0.1), (0.1, 12.0)] {
        let Some(world) = time_server(move || Packet { delay, dispersion, ..Packet::at(now()) }) else { return };
        world
            .check(TIME)
            .exits(2)
            .shows(&json!({"status": "degraded", "cause": "ntp_unsynced", "side": "remote"}))
            .says("MAXDIST");
    }
    let Some(world) = time_server(|| Packet { dispersion: 0.9, ..Packet::at(now()) }) else { return };
    world.check(TIME).exits(0).shows(&json!({"status": "healthy"}));
}

#[test]
fn one_wrong_time_server_says_nothing_about_this_machines_clock() {
    for ahead in [3600.0, -90.0] {
        let Some(world) = time_server(move || Packet::at(now() + ahead)) else { return };
        for port in [8001, 8002, 8003] {
            world.http("20.1.1.1", port, |_| {
                let date = httpdate::fmt_http_date(UNIX_EPOCH + clock::wall());
                format!("HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Length: 2\r\n\r\nok").into_bytes()
            });
        }
        let clocks = "{host: w1.example, class: http, port: 8001}
            {host: w2.example, class: http, port: 8002}
            {host: w3.example, class: http, port: 8003}";
        let wrong =
            json!({"status": "degraded", "cause": "ntp_wrong_time", "side": "remote", "confidence": "confirmed"});
        let said = world.check(&format!("{TIME}\n{clocks}"));
        said.exits(2).shows(&wrong).never_says("this machine's clock is").never_says("ntp_drift");
        let alone = world.check(TIME);
        alone.exits(2).shows(&json!({"cause": "ntp_wrong_time"})).never_says("this machine's clock is off");
    }
}
