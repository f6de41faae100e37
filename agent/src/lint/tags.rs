//! Service tags by name: how a tag is written, which ones Azure has, and which are not services but places of the fabric.

use std::fmt;

use crate::lint::regions::{self, SLIP, distance, region_of};

/// The name of a service tag. Case does not count: `sql` and `Sql` are one tag, in Azure's own spelling where it is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag {
    service: String,
    region: Option<String>,
    known: bool,
}

/// The fabric's own tags, which are no lists of a service's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The network, its peers, what is reached through its gateways.
    VirtualNetwork,
    /// Everything outside the network that is publicly reachable, Azure's services too.
    Internet,
    /// The load balancer's probes: 168.63.129.16.
    AzureLoadBalancer,
    /// Azure DNS: 168.63.129.16, port 53, which no other rule can touch.
    AzurePlatformDns,
    /// The metadata service, which no other rule can touch.
    AzurePlatformImds,
    /// Licensing (KMS), which no other rule can touch.
    AzurePlatformLkm,
}

/// Spellings of the fabric's tags; the ones with underscores are those of classic deployments.
const PLACES: [(&str, Place); 9] = [
    ("VirtualNetwork", Place::VirtualNetwork),
    ("VIRTUAL_NETWORK", Place::VirtualNetwork),
    ("Internet", Place::Internet),
    ("AzureLoadBalancer", Place::AzureLoadBalancer),
    ("AZURE_LOADBALANCER", Place::AzureLoadBalancer),
    ("AZURE_LOAD_BALANCER", Place::AzureLoadBalancer),
    ("AzurePlatformDNS", Place::AzurePlatformDns),
    ("AzurePlatformIMDS", Place::AzurePlatformImds),
    ("AzurePlatformLKM", Place::AzurePlatformLkm),
];

/// Tags of services as Azure spells them ("Virtual network service tags", available service tags). A full tag file knows
/// more; these are known without one.
const SERVICES: &[&str] = &[
    "ActionGroup",
    "ApiManagement",
    "ApplicationInsightsAvailability",
    "AppConfiguration",
    "AppService",
    "AppServiceManagement",
    "AutonomousDevelopmentPlatform",
    "AzureActiveDirectory",
    "AzureActiveDirectoryDomainServices",
    "AzureAdvancedThreatProtection",
    "AzureArcInfrastructure",
    "AzureAttestation",
    "AzureBackup",
    "AzureBotService",
    "AzureCloud",
    "AzureCognitiveSearch",
    "AzureConnectors",
    "AzureContainerAppsService",
    "AzureContainerRegistry",
    "AzureCosmosDB",
    "AzureDatabricks",
    "AzureDataExplorerManagement",
    "AzureDataLake",
    "AzureDeviceUpdate",
    "AzureDevOps",
    "AzureDevSpaces",
    "AzureDigitalTwins",
    "AzureEventGrid",
    "AzureFrontDoor.Backend",
    "AzureFrontDoor.FirstParty",
    "AzureFrontDoor.Frontend",
    "AzureFrontDoor.MicrosoftSecurity",
    "AzureHealthcareAPIs",
    "AzureInformationProtection",
    "AzureIoTHub",
    "AzureKeyVault",
    "AzureLoadTestingInstanceManagement",
    "AzureMachineLearning",
    "AzureMachineLearningInference",
    "AzureManagedGrafana",
    "AzureMonitor",
    "AzureMonitorForSAP",
    "AzureOpenDatasets",
    "AzureResourceManager",
    "AzureSentinel",
    "AzureSignalR",
    "AzureSiteRecovery",
    "AzureSphere",
    "AzureSpringCloud",
    "AzureStack",
    "AzureTrafficManager",
    "AzureUpdateDelivery",
    "AzureVideoAnalyzerForMedia",
    "AzureVirtualDesktop",
    "AzureWebPubSub",
    "BatchNodeManagement",
    "ChaosStudio",
    "CognitiveServicesFrontend",
    "CognitiveServicesManagement",
    "DataFactory",
    "DataFactoryManagement",
    "Dynamics365BusinessCentral",
    "Dynamics365ForMarketingEmail",
    "EOPExternalPublishedIPs",
    "EventHub",
    "GatewayManager",
    "GenevaActions",
    "GuestAndHybridManagement",
    "HDInsight",
    "KustoAnalytics",
    "LogicApps",
    "LogicAppsManagement",
    "M365ManagementActivityApi",
    "M365ManagementActivityApiWebhook",
    "Marketplace",
    "MicrosoftAzureFluidRelay",
    "MicrosoftCloudAppSecurity",
    "MicrosoftContainerRegistry",
    "MicrosoftDefenderForEndpoint",
    "MicrosoftPurviewPolicyDistribution",
    "OneDsCollector",
    "PowerBI",
    "PowerPlatformInfra",
    "PowerPlatformPlex",
    "PowerQueryOnline",
    "SCCservice",
    "Scuba",
    "SerialConsole",
    "ServiceBus",
    "ServiceFabric",
    "Sql",
    "SqlManagement",
    "Storage",
    "StorageMover",
    "StorageSyncService",
    "TrafficManager",
    "VideoIndexer",
    "WindowsAdminCenter",
    "WindowsVirtualDesktop",
];

/// Services that have tags for each region ("Virtual network service tags", column "Can be regional").
const REGIONAL: [&str; 8] = [
    "AzureContainerRegistry",
    "AzureCosmosDB",
    "AzureKeyVault",
    "EventHub",
    "MicrosoftContainerRegistry",
    "ServiceBus",
    "Sql",
    "Storage",
];

impl Tag {
    /// Reads a tag's name; none when no tag can be called that.
    pub fn parse(text: &str) -> Option<Self> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if !text.starts_with(|c: char| c.is_ascii_alphabetic()) || !text.chars().all(is_name) {
            return None;
        }
        if let Some((service, _)) = PLACES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
            return Some(Self { service: (*service).to_owned(), region: None, known: true });
        }
        let is_it = |name: &&&str| {
            let head = text.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name));
            head && matches!(text.as_bytes().get(name.len()), None | Some(b'.'))
        };
        let service = SERVICES.iter().filter(is_it).max_by_key(|name| name.len());
        let (name, known) = match service {
            Some(name) => (&text[..name.len()], Some(*name)),
            None => (text.split('.').next().unwrap_or(text), None),
        };
        let region = text[name.len()..].strip_prefix('.').filter(|region| !region.is_empty());
        let spelled = known.map_or_else(|| name.to_ascii_lowercase(), str::to_owned);
        Some(Self { service: spelled, region: region.map(region_of), known: known.is_some() })
    }

    /// A tag that this program names itself.
    pub(in crate::lint) fn named(name: &str) -> Self {
        Self::parse(name).expect("the name is one of the lists above")
    }

    /// The service, without a region.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// The region in lower case, where the tag is regional.
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// Whether it is one of Azure's tags as far as this program knows.
    pub fn is_known(&self) -> bool {
        self.known
    }

    /// The place of the fabric that it means, if it is no service.
    pub fn place(&self) -> Option<Place> {
        PLACES.iter().find(|(name, _)| *name == self.service).map(|(_, place)| *place)
    }

    /// The tag without its region.
    #[must_use]
    pub fn whole(&self) -> Self {
        Self { region: None, ..self.clone() }
    }

    /// The part in one region of a service that has such parts.
    pub fn part_in(&self, region: &str) -> Option<Self> {
        let is_whole = self.region.is_none() && REGIONAL.contains(&self.service());
        is_whole.then(|| Self { region: Some(region.to_owned()), ..self.clone() })
    }

    /// The known tag that differs from this name by a slip of the pen: one or two letters of the service, or of its region.
    pub fn resembles(&self) -> Option<Self> {
        if self.known {
            let region = self.region.as_deref().filter(|_| self.has_strange_region())?;
            return regions::nearest(region).map(|near| Self { region: Some(near.to_owned()), ..self.clone() });
        }
        let name = self.service.to_ascii_lowercase();
        let near = |known: &&str| known.len() > 4 && distance(&known.to_ascii_lowercase(), &name) <= SLIP;
        let mut known = PLACES.iter().map(|(place, _)| *place).chain(SERVICES.iter().copied());
        known.find(near).map(Self::named)
    }

    /// Whether it is a part of a service in a region that this program does not know.
    pub fn has_strange_region(&self) -> bool {
        self.region.as_deref().is_some_and(|region| !regions::is_region(region))
    }

    /// Whether it is every public address of the cloud, or of a region.
    pub fn is_all_of_azure(&self) -> bool {
        self.service == "AzureCloud"
    }

    /// Whether every address of the other is one of this tag's, by the names alone.
    pub fn includes(&self, other: &Self) -> bool {
        let all_of_azure = self.is_all_of_azure() && other.known && other.place().is_none();
        let service = self.service == other.service || all_of_azure;
        service && (self.region.is_none() || self.region == other.region)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.service)?;
        self.region.as_ref().map_or(Ok(()), |region| write!(f, ".{region}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_does_not_count_and_the_classic_names_are_known() {
        assert_eq!(Tag::parse("sql"), Tag::parse("SQL"));
        assert_eq!(Tag::named("INTERNET").place(), Some(Place::Internet));
        assert_eq!(Tag::named("virtual_network").place(), Some(Place::VirtualNetwork));
        assert_eq!(Tag::named("APPSERVICEMANAGEMENT").to_string(), "AppServiceManagement");
    }

    #[test]
    fn a_region_is_a_part_of_its_service_and_azurecloud_is_all_of_azure() {
        let (all, region) = (Tag::named("Sql"), Tag::named("sql.WestEurope"));
        assert!(all.includes(&region) && !region.includes(&all));
        assert!(Tag::named("AzureCloud").includes(&region) && Tag::named("AzureCloud.westeurope").includes(&region));
        assert!(!Tag::named("AzureCloud.westeurope").includes(&all));
        let door = Tag::named("azurefrontdoor.firstparty");
        assert_eq!((door.service(), door.region()), ("AzureFrontDoor.FirstParty", None));
        assert_ne!(Tag::parse("SqlManagement"), Tag::parse("Sql"));
    }

    #[test]
    fn a_region_is_the_same_however_it_is_abbreviated() {
        assert_eq!(Tag::parse("AzureCloud.norwaye"), Tag::parse("AzureCloud.NorwayEast"));
        assert_eq!(region_of("Germany West Central"), region_of("germanywc"));
        assert_eq!(Tag::named("Sql").part_in("norwayeast"), Tag::parse("Sql.norwaye"));
        assert_eq!(Tag::named("AzureActiveDirectory").part_in("norwayeast"), None, "it has one list for the world");
    }

    #[test]
    fn what_is_no_tag_is_none_and_what_is_an_unknown_one_says_so() {
        for text in ["", "10.0.0.0/24", "*", "[parameters('x')]", "a b"] {
            assert_eq!(Tag::parse(text), None, "{text}");
        }
        let slip = Tag::parse("AppServiceManagment").expect("a name");
        assert_eq!((slip.is_known(), slip.resembles()), (false, Some(Tag::named("AppServiceManagement"))));
        assert_eq!(Tag::parse("Intrenet").expect("a name").resembles(), Some(Tag::named("Internet")));
        assert_eq!(Tag::parse("Contoso").expect("a name").resembles(), None);
        let region = Tag::named("Sql.westeurop");
        assert_eq!((region.is_known(), region.resembles()), (true, Some(Tag::named("Sql.WestEurope"))));
        assert_eq!(Tag::named("Sql.WestEurope").resembles(), None);
    }
}
