//! What each kind of finding means: the one text behind `lint explain`, the page of findings and SARIF's rules.

use crate::lint::finding::{Definition, Kind};

impl Kind {
    /// What it means.
    pub fn definition(self) -> Definition {
        let (id, title, text) = match self {
            Self::Blocked => (
                "blocked",
                "A requirement is denied altogether.",
                "The rule named is the first that matches this traffic, and it denies it. Put an allow with a lower number above it, or \
                 take the traffic out of the rule. A security admin rule of a network manager comes before all of these and is in no \
                 export of a group.",
            ),
            Self::PartlyBlocked => (
                "partly_blocked",
                "A requirement is denied for some addresses, ports or protocols.",
                "Where a requirement says all addresses, a list of addresses is not enough: what is behind a name moves. The message says \
                 what is left out, the packet is one that is dropped.",
            ),
            Self::LbCut => (
                "lb_cut",
                "A deny-all hides the default rule for the load balancer.",
                "Azure's load balancer probes from 168.63.129.16. A custom deny-all stands above AllowAzureLoadBalancerInBound, and no rule \
                 lets the tag AzureLoadBalancer reach more than 16001. The environment loses its front ends within days. Allow \
                 AzureLoadBalancer to any port.",
            ),
            Self::Route => (
                "route",
                "The next hop is wrong, or a route is missing.",
                "Answers to the management addresses must leave by the way the question came in, or the connection never stands. What a \
                 firewall does not pass is lost as if a rule denied it.",
            ),
            Self::Subnet => (
                "subnet",
                "The subnet's size, delegation or form is not what the service needs.",
                "The size of a subnet in use cannot be changed, so it has to be right before the environment is created.",
            ),
            Self::PlatformTagDenied => (
                "platform_tag_denied",
                "Azure DNS, the metadata service or licensing is denied by its own tag.",
                "Only a rule for AzurePlatformDNS, AzurePlatformIMDS or AzurePlatformLKM can stop this traffic, and the platform needs it.",
            ),
            Self::Input => (
                "input",
                "The export cannot be what Azure has.",
                "A priority twice in one direction, a reversed range, a port beyond 65535, a prefix with host bits: Azure refuses all of \
                 them, so the file was written or merged by hand. What is judged from it may be wrong.",
            ),
            Self::AppPortClosed => (
                "app_port_closed",
                "Clients cannot reach the apps on a port.",
                "The environment itself is well; what runs on it is not reachable on this port. If that is meant, suppress the finding with \
                 the reason.",
            ),
            Self::IneffectiveRule => (
                "ineffective_rule",
                "A rule can match nothing of this subnet.",
                "A prefix was copied from another subnet, or source and destination are exchanged: an outbound rule whose sources lie \
                 elsewhere never matches.",
            ),
            Self::Shadowed => (
                "shadowed",
                "An earlier rule takes everything that a rule matches.",
                "The rule has no effect. If it was meant to have one, its number must be lower than that of the rule named.",
            ),
            Self::ShadowedPartly => (
                "shadowed_partly",
                "An earlier rule takes the better part of what a rule matches.",
                "What remains of the rule is not what its words say.",
            ),
            Self::SuspiciousPort => (
                "suspicious_port",
                "A port beside the required one.",
                "Probably a slip of the pen: 444 for 454, 1443 for 1433.",
            ),
            Self::CopiedAddresses => (
                "copied_addresses",
                "Addresses were copied where a service tag would do.",
                "Lists of management addresses change; the tag follows by itself.",
            ),
            Self::Assignment => (
                "assignment",
                "The group or table given is not the one assigned to the subnet.",
                "What was judged is not what is in force.",
            ),
            Self::TooWide => (
                "too_wide",
                "A rule opens more than its purpose needs.",
                "Nothing breaks. A narrower source does the same.",
            ),
            Self::NotNeeded => (
                "not_needed",
                "A rule belongs to another version or service.",
                "Ports 454 and 455 are for App Service Environment v1 and v2 only; elsewhere the rule opens something for nothing.",
            ),
            Self::NoEffect => (
                "no_effect",
                "Rules of this direction have no effect here.",
                "Inbound rules do not apply to a subnet of VNet integration: nothing listens there.",
            ),
            Self::LegacyPort => (
                "legacy_port",
                "A port that is no longer used.",
                "4016 and 4018 have been closed; remote debugging uses 4020, 4022 and 4024 (v2) or 4022, 4024 and 4026 (v3).",
            ),
            Self::DefaultOnly => (
                "default_only",
                "A requirement holds by a default rule only.",
                "No fault. The first custom deny-all that somebody adds ends it, so a rule of its own is safer.",
            ),
            Self::Conditional => {
                ("conditional", "Needed only if a feature is on.", "Nothing to do unless the feature is used.")
            }
            Self::CannotTell => {
                ("cannot_tell", "It depends on what the file does not hold.", "The message says what would settle it.")
            }
        };
        Definition { id, title, text }
    }
}
