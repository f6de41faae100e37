//! Domain suffixes whose names give other addresses every time by design, known without any configuration: a difference
//! below them is no alarm.

/// Suffixes whose addresses vary by design (content networks, traffic managers, storage).
pub(super) const MANAGED: &[&str] = &[
    "akadns.net",
    "akamaiedge.net",
    "azureedge.net",
    "azurefd.net",
    "cloudapp.azure.com",
    "cloudapp.net",
    "core.windows.net",
    "database.windows.net",
    "digicert.com",
    "edgekey.net",
    "msedge.net",
    "nsatc.net",
    "trafficmanager.net",
    "windowsupdate.com",
];
