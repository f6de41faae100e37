//! The classes of dependency that an App Service Environment has.

use std::fmt;

/// The kind of dependency an endpoint belongs to; the `class` label of every metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Name resolution, port 53.
    Dns,
    /// Time, port 123.
    Ntp,
    /// Plain HTTP, port 80: revocation lists, updates.
    Http,
    /// HTTPS, port 443: Azure services.
    Https,
    /// Azure SQL, port 1433.
    Sql,
    /// Monitoring, port 12000 and the fixed monitoring addresses.
    Monitoring,
    /// Any other TCP service that a profile or a user lists.
    Tcp,
}

impl Class {
    /// Every class, in the order of reports.
    pub const ALL: [Self; 7] = [Self::Dns, Self::Ntp, Self::Http, Self::Https, Self::Sql, Self::Monitoring, Self::Tcp];

    /// Returns the metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Ntp => "ntp",
            Self::Http => "http",
            Self::Https => "https",
            Self::Sql => "sql",
            Self::Monitoring => "monitoring",
            Self::Tcp => "tcp",
        }
    }

    /// Finds the class with this label.
    pub fn from_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.label() == label)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}
