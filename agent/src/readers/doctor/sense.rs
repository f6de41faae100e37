//! What the facts about this machine mean for whoever looks from it, and how to mend each.

use std::{net::SocketAddr, time::Duration};

use ase_probes::local_facts::Usage;

use super::{Examined, Instance, StateDirectory};
use crate::{
    exports::mirror::Mirror,
    model::settings::ResolverSource,
    readers::notes::{Level, Note},
};

/// A clock that may be wrong by more is no measure for certificates and time servers.
const CLOCK: Duration = Duration::from_secs(1);
/// How the clouds of the profiles call themselves (azure.com, "Azure Instance Metadata Service", `azEnvironment`).
const CLOUDS: [(&str, &str); 3] =
    [("public", "AzurePublicCloud"), ("usgov", "AzureUSGovernmentCloud"), ("china", "AzureChinaCloud")];

pub(super) fn notes(examined: &Examined<'_>) -> Vec<Note> {
    let mut notes = vec![clock(examined), authorities(examined)];
    notes.extend(resolvers(examined));
    notes.extend(limits(examined));
    notes.extend(route(examined));
    notes.extend(examined.settings.warnings.iter().map(|warning| {
        Note::new(Level::Warning, "configuration", warning.as_str())
            .mended("correct the configuration; `ase-agent config check` looks at it alone")
    }));
    notes.push(unit(examined));
    notes.push(state(examined));
    notes.extend(place(examined));
    notes.extend(mirror(examined));
    notes.extend(reflected(examined));
    notes
}

fn fine(subject: &str, says: impl Into<String>) -> Note {
    Note::new(Level::Fine, subject, says)
}

fn warning(subject: &str, says: impl Into<String>, mend: &str) -> Note {
    Note::new(Level::Warning, subject, says).mended(mend)
}

fn unknown(subject: &str, says: impl Into<String>) -> Note {
    Note::new(Level::Unknown, subject, says)
}

fn clock(examined: &Examined<'_>) -> Note {
    let keep = "run chrony (on Azure with the host's clock, /dev/ptp_hyperv) or systemd-timesyncd";
    match examined.clock {
        Err(why) => unknown("clock", format!("the kernel does not say how it is kept: {why}")),
        Ok(clock) if !clock.is_synchronised => {
            warning("clock", "nobody synchronises it, by the kernel's account", keep)
        }
        Ok(clock) if clock.largest_error > CLOCK => {
            let error = clock.largest_error.as_secs_f64();
            warning("clock", format!("it is synchronised, but may be wrong by {error:.1} s"), keep)
        }
        Ok(clock) => {
            let error = clock.largest_error.as_secs_f64() * 1e3;
            fine("clock", format!("synchronised, wrong by at most {error:.0} ms"))
        }
    }
}

fn authorities(examined: &Examined<'_>) -> Note {
    if examined.settings.trust.is_empty() {
        let says = "no authority is known: no certificate can be verified";
        return Note::new(Level::Critical, "authorities", says)
            .mended("install ca-certificates, or name a file under `ca` in the configuration");
    }
    fine("authorities", "certificates can be verified")
}

fn resolvers(examined: &Examined<'_>) -> Vec<Note> {
    let known = &examined.settings.resolvers;
    let wrong = examined.dns.findings(known);
    let servers = known.custom.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(", ");
    let source = match &known.source {
        ResolverSource::Config => "the configuration",
        ResolverSource::File(file) => file,
    };
    if wrong.is_empty() {
        return vec![fine("resolvers", format!("{servers}, by {source}"))];
    }
    let mend = "let this machine ask the servers that the environment's network names: by DHCP, or `resolvers` in the configuration";
    wrong.into_iter().map(|finding| warning("resolvers", finding, mend)).collect()
}

fn limits(examined: &Examined<'_>) -> Vec<Note> {
    let endpoints = examined.settings.catalog.endpoints.len();
    let mut notes = Vec::new();
    if examined.visits < endpoints {
        let says = format!(
            "{} open files leave room for {} visits at once, and there are {endpoints} endpoints",
            examined.files, examined.visits
        );
        notes.push(warning("limits", says, "raise LimitNOFILE in the unit, or `ulimit -n` in this shell"));
    } else {
        notes.push(fine("limits", format!("{} open files are enough; endpoints: {endpoints}", examined.files)));
    }
    let full = |usage: Usage| {
        format!("{} of {} flows are tracked on this machine: new ones are about to be lost", usage.used, usage.limit)
    };
    if let Some(usage) = examined.facts.tracked_flows.ok().filter(|usage| usage.is_nearly_full()) {
        notes.push(warning("limits", full(usage), "raise net.netfilter.nf_conntrack_max"));
    }
    notes
}

fn route(examined: &Examined<'_>) -> Vec<Note> {
    let facts = examined.facts;
    if let Ok(Err(_)) = facts.source {
        let says = "there is no route to the first DNS server";
        return vec![
            Note::new(Level::Critical, "route", says).mended("give this machine an address and a default route"),
        ];
    }
    if facts.link == Ok(false) {
        let says = "the network device has no link";
        return vec![Note::new(Level::Critical, "route", says).mended("look at the network interface of this machine")];
    }
    let hidden = facts.hidden();
    let mut notes: Vec<Note> = hidden
        .into_iter()
        .map(|(what, why)| {
            unknown("route", format!("{what} cannot be read: {why}")).mended("run it outside of the sandbox")
        })
        .collect();
    if let Ok(Ok(source)) = facts.source {
        notes.push(fine("route", format!("packets to the first DNS server leave from {source}")));
    }
    notes
}

fn unit(examined: &Examined<'_>) -> Note {
    match (&examined.unit.file, examined.unit.is_running) {
        (_, true) => fine("unit", "ase-agent.service runs"),
        (Some(file), false) => warning(
            "unit",
            format!("{} is there, but does not run", file.display()),
            "systemctl enable --now ase-agent, then systemctl status ase-agent",
        ),
        (None, false) => warning(
            "unit",
            "ase-agent.service is not installed: nobody watches while nobody looks",
            "install the package, or systemd/ase-agent.service; then systemctl enable --now ase-agent",
        ),
    }
}

fn state(examined: &Examined<'_>) -> Note {
    let mend = "StateDirectory=ase-agent in the unit makes it; else name one as `state_dir` in the configuration";
    match examined.state {
        StateDirectory::Missing(path) => {
            let says = format!("{} is not there: nothing is remembered beyond a restart", path.display());
            warning("state directory", says, mend)
        }
        StateDirectory::Closed(path) => {
            unknown("state directory", format!("{} is not this user's to look into", path.display()))
                .mended("look as root")
        }
        StateDirectory::Other(path) => warning("state directory", format!("{} is no directory", path.display()), mend),
        StateDirectory::There(path, true) => {
            let says = format!("everybody may write into {}", path.display());
            warning("state directory", says, "chmod o-w: whoever writes there decides what the agent remembers")
        }
        StateDirectory::There(path, false) => fine("state directory", path.display().to_string()),
    }
}

/// Where the machine stands, by the metadata service of Azure.
fn place(examined: &Examined<'_>) -> Vec<Note> {
    let Some(metadata) = examined.metadata else {
        let says = "not on Azure, by its chassis; the metadata service was not asked, and nothing was sent to it";
        let mend = "look from a machine in a mirror subnet of the environment's network; --azure asks all the same";
        return vec![warning("place", says, mend)];
    };
    let mut notes = Vec::new();
    match &metadata.instance {
        Ok(instance) => notes.extend(instance_notes(examined, instance)),
        Err(why) => notes.push(
            unknown("place", format!("the metadata service did not say: {why}"))
                .mended("allow 169.254.169.254:80 for this user; it answers only the machine's primary address"),
        ),
    }
    match &metadata.balancer {
        Ok(addresses) if !addresses.is_empty() => {
            let list = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            notes.push(fine("place", format!("behind a load balancer with the public addresses {list}")));
        }
        // A machine without a load balancer is answered by an error.
        Ok(_) | Err(_) => {}
    }
    match &metadata.events {
        Ok(events) if events.is_empty() => notes.push(fine("events", "Azure plans nothing with this machine")),
        Ok(events) => notes.extend(events.iter().map(|event| {
            let when =
                if event.not_before.is_empty() { String::new() } else { format!(", not before {}", event.not_before) };
            let says = format!("Azure plans {} of this machine ({}{when})", event.kind, event.status);
            warning("events", says, "what is measured meanwhile says nothing of the environment")
        })),
        Err(why) => notes.push(
            unknown("events", format!("what Azure plans is not known: {why}"))
                .mended("ask again: the first question of a machine is answered within two minutes"),
        ),
    }
    notes
}

fn instance_notes(examined: &Examined<'_>, instance: &Instance) -> Vec<Note> {
    let list = |items: Vec<String>| if items.is_empty() { "none".to_owned() } else { items.join(", ") };
    let subnets = list(instance.subnets.iter().map(ToString::to_string).collect());
    let private = list(instance.private.iter().map(ToString::to_string).collect());
    let says = format!("subnet {subnets}, address {private}, {}, {}", instance.region, instance.cloud);
    let mut notes = vec![fine("place", says)];
    if !instance.public.is_empty() {
        let public = list(instance.public.iter().map(ToString::to_string).collect());
        notes.push(warning(
            "place",
            format!("has the public address {public} of its own: it leaves by another way than the environment"),
            "remove the address, so that it leaves as the environment's subnet does",
        ));
    }
    let cloud = &examined.settings.catalog.cloud;
    let expected = CLOUDS.iter().find(|(name, _)| name == cloud).map(|(_, own)| *own);
    if let Some(expected) = expected.filter(|expected| !expected.eq_ignore_ascii_case(&instance.cloud)) {
        notes.push(warning(
            "place",
            format!("the profile is that of {expected}, this machine is in {}", instance.cloud),
            "set `cloud` in the configuration",
        ));
    }
    notes
}

fn mirror(examined: &Examined<'_>) -> Vec<Note> {
    let export = "export both subnets: az network vnet show -g GROUP -n NETWORK, as `exports.vnet`";
    match examined.mirror {
        None => vec![
            unknown("mirror", "whether its subnet mirrors the environment's is not known: no exports are configured")
                .mended(export),
        ],
        Some(Err(why)) => vec![unknown("mirror", why.as_str()).mended(export)],
        Some(Ok(Mirror::OwnMissing)) => {
            vec![unknown("mirror", "the exports have no subnet with this machine's address").mended(export)]
        }
        Some(Ok(Mirror::EnvironmentMissing)) => vec![
            unknown("mirror", "which subnet of the exports is the environment's is not known")
                .mended("name its prefix as `exports.subnet`, beside an export of the network"),
        ],
        Some(Ok(Mirror::Compared { own, environment, differences })) if differences.is_empty() => {
            vec![fine("mirror", format!("{own} has the group, routes and service endpoints of {environment}"))]
        }
        Some(Ok(Mirror::Compared { own, environment, differences })) => vec![
            warning(
                "mirror",
                format!("{own} does not mirror {environment}: what is lost or works here may not be so there"),
                "give both subnets the same security group, route table and service endpoints",
            )
            .resting_on(differences.clone()),
        ],
    }
}

fn reflected(examined: &Examined<'_>) -> Vec<Note> {
    match examined.reflected {
        None => Vec::new(),
        Some(Ok(address)) => vec![fine("source", format!("leaves to the Internet as {address}"))],
        Some(Err(why)) => vec![
            unknown("source", format!("the reflector did not say: {why}"))
                .mended("allow it, or name another that answers with the address alone"),
        ],
    }
}
