//! What `doctor` prints: whether this machine is a good place to look from, and how to mend what is not.

mod sense;

use std::{net::IpAddr, path::PathBuf, time::Duration};

use ase_probes::local_facts::{Discipline, Fact, LocalFacts};
use ipnet::IpNet;

use crate::{
    exports::mirror::Mirror,
    model::settings::Settings,
    readers::notes::{self, Note},
    resolvers::host_files::HostDns,
};

/// The unit of the daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unit {
    /// Its file, where there is one.
    pub file: Option<PathBuf>,
    /// Whether it runs.
    pub is_running: bool,
}

/// The directory in which the daemon remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateDirectory {
    /// There is none.
    Missing(PathBuf),
    /// It belongs to somebody else: this user may not look into it.
    Closed(PathBuf),
    /// It is something else than a directory.
    Other(PathBuf),
    /// It is there, and whether everybody may write into it.
    There(PathBuf, bool),
}

/// What Azure's metadata service says of this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instance {
    /// The cloud, by Azure's name: `AzurePublicCloud` and so on.
    pub cloud: String,
    /// The region.
    pub region: String,
    /// The prefixes of its subnets.
    pub subnets: Vec<IpNet>,
    /// Its private addresses.
    pub private: Vec<IpAddr>,
    /// Public addresses of its own.
    pub public: Vec<IpAddr>,
}

/// Something that Azure will do to this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What: `Freeze`, `Reboot`, `Redeploy`, `Preempt`, `Terminate`.
    pub kind: String,
    /// How far it is: `Scheduled` or `Started`.
    pub status: String,
    /// Not before this, in Azure's words; empty where it began.
    pub not_before: String,
}

/// What the metadata service answered; the words say why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// What the machine is.
    pub instance: Result<Instance, String>,
    /// The public addresses of its load balancer, by which it may leave.
    pub balancer: Result<Vec<IpAddr>, String>,
    /// What will be done to it.
    pub events: Result<Vec<Event>, String>,
}

/// Everything that was looked at.
#[derive(Clone, Copy, Debug)]
pub struct Examined<'a> {
    /// When, since the Unix epoch.
    pub began: Duration,
    /// The configuration.
    pub settings: &'a Settings,
    /// How the clock is kept.
    pub clock: &'a Fact<Discipline>,
    /// What the resolver files say.
    pub dns: &'a HostDns,
    /// What the machine says about itself, towards its first DNS server.
    pub facts: &'a LocalFacts,
    /// Visits that may be under way under this user's limit while all is silent.
    pub visits: usize,
    /// Files that this user may have open.
    pub files: usize,
    /// The unit.
    pub unit: &'a Unit,
    /// Where the daemon remembers.
    pub state: &'a StateDirectory,
    /// Whether it is a machine of Azure's, by its chassis.
    pub is_azure: bool,
    /// What the metadata service said; `None` where it was not asked.
    pub metadata: Option<&'a Metadata>,
    /// Whether its subnet mirrors the environment's, or why that is not known; `None` without exports.
    pub mirror: Option<&'a Result<Mirror, String>>,
    /// The address that a reflector saw; `None` where none was asked.
    pub reflected: Option<&'a Result<IpAddr, String>>,
}

impl Examined<'_> {
    /// The findings.
    pub fn notes(&self) -> Vec<Note> {
        sense::notes(self)
    }
}

/// Renders everything.
pub fn render(examined: &Examined<'_>) -> String {
    notes::render(&examined.notes())
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;

    use ase_probes::local_facts::{NextHop, Unread, Usage};

    use super::*;
    use crate::{
        config,
        golden::assert_golden,
        readers::notes::{Level, exit_code},
    };

    /// What a test changes of a machine on which all is well.
    pub(in crate::readers) struct Machine {
        pub(in crate::readers) settings: Settings,
        clock: Fact<Discipline>,
        dns: HostDns,
        facts: LocalFacts,
        visits: usize,
        unit: Unit,
        state: StateDirectory,
        metadata: Option<Metadata>,
        mirror: Option<Result<Mirror, String>>,
        reflected: Option<Result<IpAddr, String>>,
    }

    fn facts() -> LocalFacts {
        LocalFacts {
            files: Ok(Usage { used: 10, limit: 1024 }),
            port_range: Err(Unread::Absent),
            tcp_sockets: Ok(3),
            tcp_waiting: Ok(0),
            udp_sockets: Ok(1),
            tracked_flows: Err(Unread::Absent),
            source: Ok(Ok([10, 0, 2, 4].into())),
            next_hop: Err::<NextHop, _>(Unread::Absent),
            link: Ok(true),
            neighbour: Err(Unread::Absent),
        }
    }

    impl Machine {
        pub(in crate::readers) fn well() -> Self {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let file = folder.path().join("agent.yaml");
            let text = "profile: custom\nresolvers: {custom: [10.0.0.4]}\nendpoints: {add: [{host: a.example, class: https}]}\n";
            fs::write(&file, text).expect("the folder is writable");
            let mut settings = config::load(Some(&file)).expect("a good configuration");
            settings.warnings.clear();
            let (servers, suffixes) = (vec![[10, 0, 0, 4].into()], Vec::new());
            let instance = Instance {
                cloud: "AzurePublicCloud".to_owned(),
                region: "westeurope".to_owned(),
                subnets: vec!["10.0.2.0/24".parse().expect("a prefix")],
                private: vec![[10, 0, 2, 4].into()],
                public: Vec::new(),
            };
            let compared =
                Mirror::Compared { own: "mirror".to_owned(), environment: "ase".to_owned(), differences: Vec::new() };
            Self {
                settings,
                clock: Ok(Discipline { is_synchronised: true, largest_error: Duration::from_millis(42) }),
                dns: HostDns { servers, suffixes, ..HostDns::default() },
                facts: facts(),
                visits: 768,
                unit: Unit { file: Some("/usr/lib/systemd/system/ase-agent.service".into()), is_running: true },
                state: StateDirectory::There("/var/lib/ase-agent".into(), false),
                metadata: Some(Metadata {
                    instance: Ok(instance),
                    balancer: Err("it answered 404 Not Found".to_owned()),
                    events: Ok(Vec::new()),
                }),
                mirror: Some(Ok(compared)),
                reflected: Some(Ok([20, 1, 2, 3].into())),
            }
        }

        pub(in crate::readers) fn examined(&self) -> Examined<'_> {
            Examined {
                began: Duration::from_secs(1_700_000_000),
                settings: &self.settings,
                clock: &self.clock,
                dns: &self.dns,
                facts: &self.facts,
                visits: self.visits,
                files: 1024,
                unit: &self.unit,
                state: &self.state,
                is_azure: self.metadata.is_some(),
                metadata: self.metadata.as_ref(),
                mirror: self.mirror.as_ref(),
                reflected: self.reflected.as_ref(),
            }
        }
    }

    #[test]
    fn a_good_place_has_nothing_to_mend() {
        let machine = Machine::well();
        let text = render(&machine.examined());
        if machine.settings.trust.is_empty() {
            return assert_eq!(exit_code(&machine.examined().notes()), 1, "{text}");
        }
        assert_eq!(exit_code(&machine.examined().notes()), 0, "{text}");
        assert_golden("tests/golden/doctor.txt", &text);
    }

    #[test]
    fn whatever_is_wrong_is_said_with_a_way_to_mend_it_within_eighty_columns() {
        let mut machine = Machine::well();
        machine.clock = Ok(Discipline { is_synchronised: false, largest_error: Duration::from_secs(16) });
        machine.dns.servers = vec![[168, 63, 129, 16].into()];
        machine.facts.tracked_flows = Ok(Usage { used: 65_500, limit: 65_536 });
        machine.visits = 0;
        machine.unit = Unit::default();
        machine.state = StateDirectory::Missing("/var/lib/ase-agent".into());
        machine.settings.warnings.push("a warning with \u{1b}[31m in it".to_owned());
        if let Some(metadata) = &mut machine.metadata {
            let reboot = Event {
                kind: "Reboot".to_owned(),
                status: "Scheduled".to_owned(),
                not_before: "Mon, 30 Nov 2026 18:29:47 GMT".to_owned(),
            };
            metadata.events = Ok(vec![reboot]);
            let instance = metadata.instance.as_mut().expect("it answers");
            (instance.cloud, instance.public) = ("AzureChinaCloud".to_owned(), vec![[20, 9, 9, 9].into()]);
        }
        let differences = vec!["route table here none, there ase-routes".to_owned()];
        let (own, environment) = ("mirror".to_owned(), "ase".to_owned());
        machine.mirror = Some(Ok(Mirror::Compared { own, environment, differences }));
        machine.reflected = Some(Err("no answer within 5 s".to_owned()));
        let notes = machine.examined().notes();
        let unmended: Vec<_> = notes.iter().filter(|note| note.level != Level::Fine && note.mend.is_none()).collect();
        assert!(unmended.is_empty(), "{unmended:#?}");
        let text = render(&machine.examined());
        assert!(text.lines().all(|line| line.chars().count() <= 80) && !text.contains('\u{1b}'), "{text}");
        for words in [
            "nobody synchronises",
            "65500 of 65536 flows",
            "not installed",
            "Azure plans Reboot",
            "20.9.9.9",
            "AzureChinaCloud",
            "does not mirror ase",
        ] {
            assert!(notes.iter().any(|note| note.says.contains(words)), "no ({words}) in {text}");
        }
    }

    #[test]
    fn what_was_not_asked_is_said_and_not_guessed() {
        let mut machine = Machine::well();
        (machine.metadata, machine.mirror, machine.reflected) = (None, None, None);
        let notes = machine.examined().notes();
        let of = |subject: &str| notes.iter().find(|note| note.subject == subject).expect("a finding");
        assert!(of("place").says.contains("nothing was sent to it"), "{notes:#?}");
        assert_eq!(of("mirror").level, Level::Unknown);
        assert!(notes.iter().all(|note| note.subject != "source" && note.subject != "events"), "{notes:#?}");
    }
}
