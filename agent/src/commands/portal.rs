//! `ase-agent portal`: the names, ports and certificate of an app as the Azure portal and its users need them.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use ase_probes::{clock, http, probe::Probe, resolve::valid_name, tcp, tls::Verify};
use clap::{Args, ValueEnum};
use futures_util::future::join_all;
use rand::{Rng, RngExt as _, SeedableRng, rngs::StdRng};

use crate::{
    commands::{
        failure::{Failure, runtime},
        options::{ConfigFile, Output},
        outcome,
        plan::Version as AseVersion,
        stdout,
        terminal::Line,
    },
    config,
    model::{
        settings::Settings,
        target::{Addresses, ExpectAddress, Host, ResolvedBy, Target},
    },
    net::{address::is_private, policy::Reached as By},
    readers::{
        json,
        notes::exit_code,
        portal::{
            DATA_PORTS, Deployment, Environment, Named, Portal as Look, Reached, Role, Said, Service, Version,
            endpoints, render,
        },
    },
    resolvers::survey::Surveyor,
    visit::{
        terms::Terms,
        visitor::{Occasion, Visitor},
    },
};

/// What the help of `portal` says beside its options.
pub(super) const NOTES: &str = "\
Names are asked of every custom DNS server and of Azure DNS, ports at the inbound address. `--endpoints` asks nothing: it prints
what the daemon needs to watch the same.

Exit codes:
  0   the app and its SCM site are found, reached and certified
  1   one of them is not, or a port is not
  2   a record is missing, a certificate is not known to everybody, or data connections of FTP break
  3   something could not be judged
  64  the command line is wrong
  78  the configuration is wrong

Examples:
  ase-agent portal --suffix contoso.appserviceenvironment.net --app testapp
  ase-agent portal --suffix contoso.appserviceenvironment.net --app testapp --address 10.0.1.11 --with ftps,web-deploy
  ase-agent portal --suffix contoso.p.azurewebsites.net --app testapp --deployment external --output json
  ase-agent portal --suffix contoso.appserviceenvironment.net --app testapp --ase v3 --with debugging --endpoints";

/// One exchange at a port: three packets of a handshake that go lost, and the greeting.
const PATIENCE: Duration = Duration::from_secs(7);
/// Time a server of FTP gets to speak first.
const GREETING: Duration = Duration::from_secs(1);
/// Custom DNS servers that are asked: as many as an app may have.
const SERVERS: usize = 5;

/// Arguments of `portal`.
#[derive(Debug, Args)]
pub struct Portal {
    /// What the names of apps end with: contoso.appserviceenvironment.net, or contoso.p.azurewebsites.net
    #[arg(long, value_name = "NAME")]
    pub suffix: String,
    /// The app
    #[arg(long, value_name = "NAME")]
    pub app: String,
    /// How clients reach the environment [default: external where the suffix is of the platform's own zone, else ilb]
    #[arg(long, value_enum)]
    pub deployment: Option<DeploymentName>,
    /// The version of the environment, by which the ports of debugging differ
    #[arg(long, value_enum, default_value_t = AseVersion::V2)]
    pub ase: AseVersion,
    /// The inbound address [default: where the app's name leads]
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<IpAddr>,
    /// What is configured beside 443, separated by commas [default: nothing for ilb, everything for external]
    #[arg(long, value_enum, value_name = "SERVICES", value_delimiter = ',')]
    pub with: Vec<ServiceName>,
    /// Ask nothing, and print the endpoints for the daemon's configuration
    #[arg(long, conflicts_with_all = ["address", "output"])]
    pub endpoints: bool,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigFile,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// How clients reach the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DeploymentName {
    /// By an internal load balancer
    Ilb,
    /// By a public address
    External,
}

/// What may be configured beside 443.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ServiceName {
    /// 80
    Http,
    /// 21 and 10001-10020
    Ftp,
    /// 990 and 10001-10020
    Ftps,
    /// 4020, 4022, 4024; of version 3 4022, 4024, 4026
    Debugging,
    /// 8172
    WebDeploy,
}

impl From<ServiceName> for Service {
    fn from(name: ServiceName) -> Self {
        match name {
            ServiceName::Http => Self::Http,
            ServiceName::Ftp => Self::Ftp,
            ServiceName::Ftps => Self::Ftps,
            ServiceName::Debugging => Self::Debugging,
            ServiceName::WebDeploy => Self::WebDeploy,
        }
    }
}

/// Asks and prints; the exit code says whether the portal works for the app.
///
/// # Errors
/// Names that cannot be asked, or a bad configuration.
pub fn run(arguments: &Portal) -> Result<ExitCode, Failure> {
    let suffix = name("--suffix", &arguments.suffix)?;
    let app = name("--app", &arguments.app)?;
    if app.contains('.') {
        return Err(Failure::Usage(format!("--app ({app}) must be one label, without the suffix")));
    }
    name("--app with --suffix", &format!("{app}.scm.{suffix}"))?;
    let deployment = deployment(arguments.deployment, &suffix);
    let services = services(deployment, &arguments.with);
    let version = if arguments.ase == AseVersion::V3 { Version::V3 } else { Version::V2 };
    if arguments.endpoints {
        stdout::print(&endpoints(Environment { deployment, version }, &suffix, &app, &services))?;
        return Ok(ExitCode::SUCCESS);
    }
    let settings = config::load(arguments.config.config.as_deref())?;
    let (began, line, terms) = (clock::wall(), Line::begin(), Terms::of(&settings));
    let environment = Environment { deployment, version };
    let plan = Plan { settings: &settings, terms, environment, suffix: &suffix, app: &app, services };
    let found = runtime()?.block_on(plan.look(arguments.address, &line));
    line.close();
    let look = Look {
        deployment,
        suffix: &suffix,
        app: &app,
        began,
        address: found.address,
        is_given: arguments.address.is_some(),
        is_forbidden: found.is_forbidden,
        names: &found.names,
        reached: &found.reached,
    };
    let notes = look.notes();
    let document = || json::portal_to_json(&look, &notes);
    outcome::tell(arguments.output, document, || render(&look), exit_code(&notes))
}

fn name(option: &str, text: &str) -> Result<String, Failure> {
    valid_name(text).map_err(|rule| Failure::Usage(format!("{option} ({}): {rule}", text.escape_debug())))?;
    Ok(text.trim_end_matches('.').to_ascii_lowercase())
}

/// The zones of the platform's own, in every cloud, are those of environments with a public address.
fn deployment(given: Option<DeploymentName>, suffix: &str) -> Deployment {
    let own = [".p.azurewebsites.net", ".p.azurewebsites.us", ".p.chinacloudsites.cn"];
    match given {
        Some(DeploymentName::Ilb) => Deployment::Ilb,
        Some(DeploymentName::External) => Deployment::External,
        None if own.iter().any(|zone| suffix.ends_with(zone)) => Deployment::External,
        None => Deployment::Ilb,
    }
}

/// What is asked, each once, in the order of the list.
fn services(deployment: Deployment, with: &[ServiceName]) -> Vec<Service> {
    let given: BTreeSet<Service> = with.iter().copied().map(Service::from).collect();
    let is_asked = |service: &Service| match (deployment, service) {
        (_, Service::Https) | (Deployment::External, Service::Http) => true,
        (Deployment::External, _) if given.is_empty() => true,
        _ => given.contains(service),
    };
    Service::ALL.into_iter().filter(is_asked).collect()
}

/// What is to be looked at.
struct Plan<'a> {
    settings: &'a Settings,
    terms: Terms,
    environment: Environment,
    suffix: &'a str,
    app: &'a str,
    services: Vec<Service>,
}

/// What was learned.
struct Found {
    names: Vec<Named>,
    address: Option<IpAddr>,
    is_forbidden: bool,
    reached: Vec<Reached>,
}

impl Plan<'_> {
    async fn look(&self, given: Option<IpAddr>, line: &Line) -> Found {
        let mut rng = StdRng::from_seed(rand::random());
        line.show("waiting for the DNS servers");
        let names = self.ask_names(&mut rng).await;
        let address = given.or_else(|| self.agreed(&names));
        let by = if given.is_some() { By::Literal } else { By::Name };
        let is_forbidden = address.is_some_and(|address| !self.terms.allows(address, by));
        let reached = match address.filter(|_| !is_forbidden) {
            Some(address) => {
                line.show(&format!("waiting for {address}"));
                self.reach(address, &mut rng).await
            }
            None => Vec::new(),
        };
        Found { names, address, is_forbidden, reached }
    }

    /// Asks every custom server and Azure DNS for every name. Names that stand for any app are drawn, so that only a record
    /// with a wildcard answers them.
    async fn ask_names(&self, rng: &mut StdRng) -> Vec<Named> {
        let Self { suffix, app, .. } = self;
        let any = format!("ase-agent-{:08x}", rng.random::<u32>());
        let mut names = vec![
            (Role::App, format!("{app}.{suffix}")),
            (Role::Scm, format!("{app}.scm.{suffix}")),
            (Role::Wildcard, format!("{any}.{suffix}")),
            (Role::ScmWildcard, format!("{any}.scm.{suffix}")),
        ];
        // The suffix itself has a record in a zone of one's own only.
        if self.environment.deployment == Deployment::Ilb {
            names.push((Role::Apex, (*suffix).to_owned()));
        }
        let surveyor = Surveyor::new(self.settings);
        let nonces: Vec<u64> = names.iter().map(|_| rng.next_u64()).collect();
        let asked = names.into_iter().zip(nonces).map(|((role, name), nonce)| ask(&surveyor, role, name, nonce));
        join_all(asked).await
    }

    /// Where the app's name leads, else its SCM site's: by the custom servers first, to an address of the expected kind first.
    fn agreed(&self, names: &[Named]) -> Option<IpAddr> {
        let wanted = |address: &&IpAddr| is_private(**address) == (self.environment.deployment == Deployment::Ilb);
        let all: Vec<&IpAddr> = names
            .iter()
            .filter(|named| matches!(named.role, Role::App | Role::Scm))
            .flat_map(|named| &named.said)
            .flat_map(|said| &said.answer.addresses)
            .collect();
        all.iter().copied().find(wanted).or(all.first().copied()).copied()
    }

    async fn reach(&self, address: IpAddr, rng: &mut StdRng) -> Vec<Reached> {
        let visitor = Visitor::new(&self.settings.resolvers);
        let questions: Vec<_> = self.questions().into_iter().map(|one| (one, StdRng::from_rng(rng))).collect();
        let visits = questions.into_iter().map(|(question, rng)| {
            let Question { service, is_data, role, port, probe } = question;
            let target = Target {
                host: Host::Address(address),
                port,
                probe,
                addresses: Addresses::First,
                expect_address: ExpectAddress::Any,
                resolved_by: ResolvedBy::Custom,
                timeout: PATIENCE,
            };
            let (visitor, terms) = (&visitor, &self.terms);
            async move {
                let visit = visitor.visit(&target, terms, &Occasion::default(), rng).await;
                Reached { service, is_data, role, port, visit }
            }
        });
        join_all(visits).await
    }

    fn questions(&self) -> Vec<Question> {
        let mut all = Vec::new();
        for service in self.services.iter().copied() {
            for port in service.ports(self.environment.version).iter().copied() {
                all.extend(self.roles(service).into_iter().map(|role| {
                    let probe = self.probe(service, role, port);
                    Question { service, is_data: false, role, port, probe }
                }));
            }
        }
        if let Some(service) = self.services.iter().copied().find(|service| service.has_data()) {
            let probe = || Probe::Tcp(tcp::Question { listen: Duration::ZERO });
            let data = DATA_PORTS.map(|port| Question { service, is_data: true, role: None, port, probe: probe() });
            all.extend(data);
        }
        all
    }

    /// In whose names a service is asked.
    fn roles(&self, service: Service) -> Vec<Option<Role>> {
        match service {
            Service::Https => vec![Some(Role::App), Some(Role::Scm)],
            Service::Http => vec![Some(Role::App)],
            Service::WebDeploy => vec![Some(Role::Scm)],
            Service::Ftp | Service::Ftps | Service::Debugging => vec![None],
        }
    }

    fn probe(&self, service: Service, role: Option<Role>, port: u16) -> Probe {
        let host = match role {
            Some(Role::Scm) => format!("{}.scm.{}", self.app, self.suffix),
            _ => format!("{}.{}", self.app, self.suffix),
        };
        let web = |scheme| {
            let (path, session) = ("/".to_owned(), http::Session::default());
            Probe::Http(http::Question { scheme, host, port, path, proof: http::Proof::AnyResponse, session })
        };
        match service {
            Service::Http => web(http::Scheme::Http),
            Service::Https | Service::WebDeploy => web(http::Scheme::Https(Verify::Full)),
            Service::Ftp => Probe::Tcp(tcp::Question { listen: GREETING }),
            Service::Ftps | Service::Debugging => Probe::Tcp(tcp::Question { listen: Duration::ZERO }),
        }
    }
}

/// One port to ask.
struct Question {
    service: Service,
    is_data: bool,
    role: Option<Role>,
    port: u16,
    probe: Probe,
}

async fn ask(surveyor: &Surveyor, role: Role, name: String, nonce: u64) -> Named {
    let azure = surveyor.azure;
    let custom = surveyor.custom.iter().copied().filter(|server| *server != azure).take(SERVERS);
    let servers: Vec<(SocketAddr, bool)> = custom.map(|server| (server, false)).chain([(azure, true)]).collect();
    let asked = servers.into_iter().map(|(server, is_azure)| {
        let name = &name;
        async move { Said { server, is_azure, answer: surveyor.ask(server, name, nonce).await } }
    });
    let said = join_all(asked).await;
    Named { role, name, said }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_follows_the_deployment_unless_it_is_told() {
        let labels = |deployment, with: &[ServiceName]| {
            services(deployment, with).iter().map(|service| service.label()).collect::<Vec<_>>().join(" ")
        };
        for (deployment, with, expected) in [
            (Deployment::Ilb, &[][..], "https"),
            (Deployment::Ilb, &[ServiceName::Ftps, ServiceName::Ftps], "https ftps"),
            (Deployment::External, &[], "http https ftp ftps debugging web-deploy"),
            (Deployment::External, &[ServiceName::WebDeploy], "http https web-deploy"),
        ] {
            assert_eq!(labels(deployment, with), expected, "{deployment:?} {with:?}");
        }
        assert_eq!(deployment(None, "contoso.p.azurewebsites.net"), Deployment::External);
        assert_eq!(deployment(None, "contoso.appserviceenvironment.net"), Deployment::Ilb);
        assert_eq!(deployment(Some(DeploymentName::External), "contoso.example"), Deployment::External);
    }

    #[test]
    fn debugging_has_other_ports_in_version_3() {
        let text = |version| {
            let environment = Environment { deployment: Deployment::Ilb, version };
            endpoints(environment, "contoso.appserviceenvironment.net", "testapp", &[Service::Debugging])
        };
        let ports = |version| {
            let text = text(version);
            let lines = text.lines().filter_map(|line| line.trim().strip_prefix("port: ").map(str::to_owned));
            lines.collect::<Vec<_>>().join(" ")
        };
        assert_eq!((ports(Version::V2), ports(Version::V3)), ("4020 4022 4024".into(), "4022 4024 4026".into()));
    }

    #[test]
    fn the_endpoints_are_a_configuration_that_the_daemon_takes() {
        for deployment in [Deployment::Ilb, Deployment::External] {
            let environment = Environment { deployment, version: Version::V2 };
            let text = endpoints(environment, "contoso.appserviceenvironment.net", "testapp", &Service::ALL);
            let folder = tempfile::tempdir().expect("a temporary folder");
            let file = folder.path().join("portal.yaml");
            let before = "profile: custom\nresolvers: {custom: [10.0.0.4]}\n";
            std::fs::write(&file, format!("{before}{text}")).expect("the folder is writable");
            let settings = config::load(Some(&file)).unwrap_or_else(|error| panic!("{error}\n{text}"));
            assert_eq!(settings.catalog.endpoints.len(), 9, "{text}");
        }
    }
}
