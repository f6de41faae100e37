//! Endpoints of the sample that are lost, or whose answer proves little.

use super::*;

pub(super) fn lost_sql(host: &str, last_octet: u8) -> EndpointView {
    let question = tds::Question { host: host.to_owned(), flavour: tds::Flavour::Tds7 };
    let finding = Finding::new(Cause::Dropped, Phase::Connect, Confidence::Possible);
    let peer = IpAddr::V4(Ipv4Addr::new(203, 0, 113, last_octet));
    let mut outcome = stopped(peer, 1433, Trouble::TimedOut, Duration::from_secs(5), finding);
    outcome.seen.tcp = Some(TcpInfo { retransmits: 2, unacked: 1, ..TcpInfo::default() });
    let view = healthy(endpoint(host, 1433, Class::Sql, Probe::Tds(question)), outcome);
    EndpointView {
        status: Status::Failed(finding),
        since: AT - Duration::from_secs(725),
        failures: BTreeMap::from([(Cause::Dropped, 4)]),
        diagnosis: None,
        last_success: Some(AT - Duration::from_secs(755)),
        reach: 0b1111_0000,
        ..view
    }
}

pub(super) fn accepting(host: &str, class: Class) -> EndpointView {
    let protocol = Protocol::Tcp(tcp::Reply { greeting: Vec::new() });
    healthy(
        endpoint(host, 12000, class, Probe::Tcp(tcp::Question::default())),
        outcome(address(host), 12000, &[(Phase::Connect, MS(1))], protocol),
    )
}
