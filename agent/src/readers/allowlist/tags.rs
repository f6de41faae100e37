//! Which service tag covers an endpoint, by the suffix of its name ("Virtual network service tags", available service tags).

use ase_probes::class::Class;

use crate::model::catalog::{Endpoint, Host};

/// Azure DNS, the metadata and the load balancer: a platform address that no rule by prefix touches.
const PLATFORM: &str = "168.63.129.16";
/// Suffixes of names, each with its tag.
const SUFFIXES: [(&str, &str); 22] = [
    ("database.windows.net", "Sql"),
    ("database.usgovcloudapi.net", "Sql"),
    ("database.chinacloudapi.cn", "Sql"),
    ("blob.core.windows.net", "Storage"),
    ("table.core.windows.net", "Storage"),
    ("queue.core.windows.net", "Storage"),
    ("file.core.windows.net", "Storage"),
    ("blob.core.usgovcloudapi.net", "Storage"),
    ("table.core.usgovcloudapi.net", "Storage"),
    ("queue.core.usgovcloudapi.net", "Storage"),
    ("file.core.usgovcloudapi.net", "Storage"),
    ("blob.core.chinacloudapi.cn", "Storage"),
    ("servicebus.windows.net", "EventHub"),
    ("servicebus.usgovcloudapi.net", "EventHub"),
    ("vault.azure.net", "AzureKeyVault"),
    ("azurecr.io", "AzureContainerRegistry"),
    ("login.microsoftonline.com", "AzureActiveDirectory"),
    ("login.windows.net", "AzureActiveDirectory"),
    ("graph.windows.net", "AzureActiveDirectory"),
    ("management.azure.com", "AzureResourceManager"),
    ("management.core.windows.net", "AzureResourceManager"),
    ("monitor.azure.com", "AzureMonitor"),
];
/// Addresses that the documents say AzureMonitor covers (firewall-integration.md).
const MONITORED: [&str; 4] = ["40.77.24.27", "13.90.249.229", "104.45.230.69", "13.82.184.151"];

/// The tag that covers an endpoint; `None` where none is known to.
pub(super) fn of(endpoint: &Endpoint) -> Option<&'static str> {
    let host = match &endpoint.target.host {
        Host::Address(address) => {
            let address = address.to_string();
            let is_platform = address == PLATFORM && endpoint.class == Class::Dns;
            let tag = MONITORED.contains(&&*address).then_some("AzureMonitor");
            return if is_platform { Some("AzurePlatformDNS") } else { tag };
        }
        Host::Name(name) => name,
    };
    let covers = |suffix: &str| host.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    SUFFIXES.iter().find(|(suffix, _)| covers(suffix)).map(|(_, tag)| *tag)
}

/// The tag of a class of which no host is known.
pub(super) fn of_class(class: Class) -> Option<&'static str> {
    (class == Class::Sql).then_some("Sql")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::tags::Tag;

    #[test]
    fn every_tag_is_one_that_azure_has() {
        for tag in SUFFIXES.map(|(_, tag)| tag).into_iter().chain(["AzureMonitor", "AzurePlatformDNS"]) {
            assert!(Tag::parse(tag).is_some_and(|tag| tag.is_known()), "{tag}");
        }
    }
}
