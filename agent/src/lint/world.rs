//! What the words of rules and routes stand for in one virtual network: which addresses surely, and which perhaps.
//!
//! A tag without a file that lists it is neither empty nor everything. It has a *name* on the line of addresses, a point
//! that stands for "some address of this tag"; whether a given public address belongs to it stays open. A tag that nobody
//! knows may be any other with a slip of the pen.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ipnet::IpNet;

use crate::lint::{
    addresses::{AddressSet, Name, Point},
    rule::AddressTerm,
    tags::{Place, Tag},
    traffic::PortSet,
};

/// The load balancer's probes and Azure DNS: 168.63.129.16 (azure.com, "What is IP address 168.63.129.16?").
pub const PLATFORM: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(168, 63, 129, 16));

/// The metadata service (azure.com, "Azure Instance Metadata Service").
pub const METADATA: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(169, 254, 169, 254));
/// The port of DNS (RFC 1035 section 4.2), which the platform's tag for it is about.
const DNS: u16 = 53;

/// Addresses of private networks (RFC 1918) and of those behind a carrier's translation (RFC 6598).
pub fn private_networks() -> [IpNet; 4] {
    ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"].map(|text| text.parse().expect("a prefix"))
}

/// Whether an address is the platform's own, which no route and no rule touches but those by the platform's own tags.
pub fn is_platform(address: IpAddr) -> bool {
    address == PLATFORM || address == METADATA
}

/// The tag whose rules alone touch an address of the platform's own; none for what no rule can touch.
pub fn platform_tag(address: IpAddr, ports: &PortSet) -> Option<Tag> {
    match address {
        METADATA => Some(Tag::named("AzurePlatformIMDS")),
        PLATFORM if ports.contains(DNS) => Some(Tag::named("AzurePlatformDNS")),
        _ => None,
    }
}

/// Addresses that only private networks use (RFC 1918, RFC 6598, RFC 4193).
const PRIVATE: [&str; 5] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"];
/// IPv4 addresses that are in no network at all (RFC 6890), and the platform's.
const NOWHERE: [&str; 6] =
    ["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32"];
/// IPv6 addresses of the Internet (RFC 4291 section 2.4).
const GLOBAL_V6: &str = "2000::/3";

fn set_of(texts: &[&str]) -> AddressSet {
    let nets: Vec<IpNet> = texts.iter().map(|text| text.parse().expect("a prefix of the lists above")).collect();
    AddressSet::of(&nets)
}

/// The addresses of service tags, as far as they are known.
#[derive(Clone, Debug, Default)]
pub struct Book {
    /// Tags whose every address is known, from a tag file.
    pub complete: BTreeMap<Tag, AddressSet>,
    /// Tags of which some addresses are documented.
    pub documented: BTreeMap<Tag, AddressSet>,
    /// One address of a tag, to show a packet by where nothing else is known of it.
    pub examples: BTreeMap<Tag, IpAddr>,
    /// Whether tags of the tag file can be the destination of a route, as far as it says that.
    pub routable: BTreeMap<Tag, bool>,
    /// Regions that exist, besides those that this program knows.
    pub regions: BTreeSet<String>,
    /// The edition of the tag file.
    pub edition: Option<String>,
}

impl Book {
    /// Whether a tag can be the destination of a route; regional tags often leave it to the whole one.
    pub fn is_routable(&self, tag: &Tag) -> Option<bool> {
        self.routable.get(tag).or_else(|| self.routable.get(&tag.whole())).copied()
    }

    /// Whether neither this program nor the file knows a tag, or its region.
    fn is_strange(&self, tag: &Tag) -> bool {
        let is_listed = |region: &str| self.regions.contains(region);
        !tag.is_known() || (tag.has_strange_region() && !tag.region().is_some_and(is_listed))
    }
}

/// What a term stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Surely.
    pub sure: AddressSet,
    /// Perhaps, as the addresses of a tag are not known.
    pub by_tag: AddressSet,
    /// Perhaps, for another reason.
    pub perhaps: AddressSet,
}

impl Extent {
    fn sure(sure: AddressSet) -> Self {
        Self { sure, ..Self::default() }
    }
}

/// Behind so many unknown tags nobody reads which one each resembles.
const MOST_GUESSES: usize = 64;

/// What a name on the line of addresses stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Named {
    /// Some address of a tag that is in none of the more exact tags with a name.
    Tag(Tag),
    /// Nothing: the tag's addresses are known. It keeps its place, so that two worlds of the same tags number them alike.
    Listed(Tag),
    /// Some address of the subnet, whose prefix nobody said.
    Subnet,
}

/// The network around the subnet that is judged.
#[derive(Clone, Debug)]
pub struct World {
    /// The subnet.
    pub subnet: AddressSet,
    /// The virtual network, the subnet included.
    pub vnet: AddressSet,
    /// Everything that is publicly reachable, tags with a name included.
    pub internet: AddressSet,
    /// Where the interfaces of application security groups can be: the network, and the subnet where machines of its owner are.
    pub interfaces: AddressSet,
    book: Book,
    names: Vec<Named>,
    /// Every tag that is named.
    all: BTreeSet<Tag>,
    /// The names of services.
    services: AddressSet,
    /// Tags that neither this program nor the tag file knows, with the one that each resembles.
    unknown: BTreeMap<Tag, Option<Tag>>,
    /// Every public address of a tag of the book, where there are unknown tags.
    listed: AddressSet,
    public_numbers: AddressSet,
    public_v4: AddressSet,
    private: AddressSet,
    platform_names: AddressSet,
}

impl World {
    /// The world of a subnet, given the prefixes of its network and every tag that rules, routes and requirements name.
    pub fn new(subnet: &[IpNet], vnet: &[IpNet], book: Book, tags: impl IntoIterator<Item = Tag>) -> Self {
        let mut names: Vec<Named> = Vec::new();
        let mut all: BTreeSet<Tag> = BTreeSet::new();
        for tag in tags {
            let is_place = !matches!(
                tag.place(),
                None | Some(Place::AzurePlatformDns | Place::AzurePlatformImds | Place::AzurePlatformLkm)
            );
            if !is_place && all.insert(tag.clone()) {
                names.push(if book.complete.contains_key(&tag) { Named::Listed(tag) } else { Named::Tag(tag) });
            }
        }
        let unlisted = names.iter().filter_map(|named| if let Named::Tag(tag) = named { Some(tag) } else { None });
        let unknown: BTreeMap<Tag, Option<Tag>> = unlisted
            .filter(|tag| book.is_strange(tag))
            .enumerate()
            .map(|(at, tag)| (tag.clone(), if at < MOST_GUESSES { tag.resembles() } else { None }))
            .collect();
        let of_book = book.documented.values().chain(book.complete.values()).filter(|_| !unknown.is_empty());
        let listed = of_book.cloned().collect::<AddressSet>();
        if subnet.is_empty() {
            names.push(Named::Subnet);
        }
        let private = set_of(&PRIVATE);
        let own = AddressSet::of(subnet);
        let number = |wanted: &dyn Fn(&Named) -> bool| {
            names
                .iter()
                .zip(0..)
                .filter(|(named, _)| wanted(named))
                .fold(AddressSet::default(), |set, (_, number)| set.union(&AddressSet::name(Name(number))))
        };
        let subnet = own.union(&number(&|named| *named == Named::Subnet));
        let vnet = AddressSet::of(vnet).union(&subnet);
        let outside = private.union(&set_of(&NOWHERE)).union(&vnet);
        let public_numbers = AddressSet::every_v4().union(&set_of(&[GLOBAL_V6])).minus(&outside);
        let services = number(&|named| matches!(named, Named::Tag(tag) if tag.place().is_none()));
        let platform_names = number(&|named| matches!(named, Named::Tag(tag) if tag.place().is_some()));
        let internet = public_numbers.union(&services);
        let public_v4 = public_numbers.intersection(&AddressSet::every_v4());
        let interfaces = vnet.clone();
        let listed = listed.intersection(&public_numbers);
        Self {
            subnet,
            vnet,
            internet,
            interfaces,
            book,
            names,
            all,
            services,
            unknown,
            listed,
            public_numbers,
            public_v4,
            private,
            platform_names,
        }
    }

    /// Whether neither this program nor the tag file knows a tag, and which known one it resembles.
    pub fn unknown(&self, tag: &Tag) -> Option<Option<&Tag>> {
        self.unknown.get(tag).map(Option::as_ref)
    }

    /// What a destination may stand for that nothing resolves: an expression for anything, an unknown tag for what tags hold.
    pub fn doubted(&self, term: &AddressTerm) -> AddressSet {
        match term {
            AddressTerm::Expression(_) => AddressSet::everything(),
            AddressTerm::Tag(tag) if self.unknown.contains_key(tag) => self.term(term).perhaps,
            _ => AddressSet::default(),
        }
    }

    /// What a list of terms stands for.
    pub fn extent(&self, terms: &[AddressTerm]) -> Extent {
        let each: Vec<Extent> = terms.iter().map(|term| self.term(term)).collect();
        let all = |part: fn(&Extent) -> &AddressSet| each.iter().map(|one| part(one).clone()).collect::<AddressSet>();
        let extent =
            Extent { sure: all(|one| &one.sure), by_tag: all(|one| &one.by_tag), perhaps: all(|one| &one.perhaps) };
        let is_all = !extent.by_tag.names().is_empty() && self.public_v4.is_within(&extent.sure);
        if !is_all {
            return extent;
        }
        // A list of prefixes that leaves out nothing public holds every service.
        let services = extent.by_tag.intersection(&AddressSet::every_name());
        Extent { sure: extent.sure.union(&services), by_tag: extent.by_tag.minus(&services), ..extent }
    }

    /// Everything that a list of terms stands for, surely or perhaps. A prefix holds what its numbers hold: names of which an
    /// address may lie in it add nothing.
    pub fn reach(&self, terms: &[AddressTerm]) -> AddressSet {
        let of = |term: &AddressTerm| {
            let extent = self.term(term);
            match term {
                AddressTerm::Net(_) => extent.sure,
                _ => extent.sure.union(&extent.by_tag).union(&extent.perhaps),
            }
        };
        terms.iter().map(of).collect()
    }

    /// What one term stands for.
    pub fn term(&self, term: &AddressTerm) -> Extent {
        match term {
            AddressTerm::Any => Extent::sure(AddressSet::everything().minus(&self.platform_names)),
            AddressTerm::Net(net) => self.net(*net),
            AddressTerm::Tag(tag) => self.tag(tag),
            AddressTerm::Expanded(tag, listed) => match tag.place() {
                Some(_) => self.tag(tag),
                None => Extent::sure(listed.union(&self.named(|other| tag.includes(other)))),
            },
            AddressTerm::Interfaces(_) => Extent { perhaps: self.interfaces.clone(), ..Extent::default() },
            AddressTerm::Expression(_) => Extent { perhaps: AddressSet::everything(), ..Extent::default() },
        }
    }

    fn net(&self, net: IpNet) -> Extent {
        if net.prefix_len() == 0 && net.network().is_ipv4() {
            let names = AddressSet::every_name().minus(&self.platform_names);
            return Extent::sure(AddressSet::every_v4().union(&names));
        }
        let sure = AddressSet::of(&[net]);
        let named = |place: &AddressSet| place.intersection(&AddressSet::every_name());
        let by_tag = if sure.overlaps(&self.public_numbers) { named(&self.internet) } else { AddressSet::default() };
        let perhaps = if sure.overlaps(&self.private) { named(&self.subnet) } else { AddressSet::default() };
        Extent { sure, by_tag, perhaps }
    }

    fn tag(&self, tag: &Tag) -> Extent {
        let Some(place) = tag.place() else { return self.service(tag) };
        match place {
            Place::VirtualNetwork => {
                Extent { sure: self.vnet.clone(), perhaps: self.private.minus(&self.vnet), ..Extent::default() }
            }
            Place::Internet => {
                Extent { sure: self.internet.clone(), perhaps: self.private.minus(&self.vnet), ..Extent::default() }
            }
            Place::AzureLoadBalancer => Extent::sure(AddressSet::address(PLATFORM)),
            Place::AzurePlatformDns | Place::AzurePlatformImds | Place::AzurePlatformLkm => {
                Extent::sure(self.named(|other| other == tag))
            }
        }
    }

    fn service(&self, tag: &Tag) -> Extent {
        let within = self.named(|other| other == tag || (tag.includes(other) && !self.unknown.contains_key(other)));
        if let Some(listed) = self.book.complete.get(tag) {
            return Extent::sure(listed.union(&within));
        }
        if let Some(meant) = self.unknown.get(tag) {
            return if tag.is_known() { self.strange_part(tag, within) } else { self.slip(meant.as_ref(), within) };
        }
        let known = self.book.documented.iter().chain(&self.book.complete);
        let of_parts = known.filter(|(other, _)| tag.includes(other));
        let documented: AddressSet = of_parts.map(|(_, addresses)| addresses.clone()).collect();
        let may_share = |other: &Tag| {
            other.place().is_none() && (self.may_be_part(other, tag) || self.may_share_region(tag, other))
        };
        let perhaps = self.named(may_share).minus(&within);
        let numbers = match self.whole_of(tag) {
            Some(whole) => whole.intersection(&self.public_numbers),
            None => self.public_numbers.clone(),
        };
        Extent { by_tag: numbers.minus(&documented), perhaps, sure: documented.union(&within) }
    }

    /// `AzureCloud.<region>` and a tag that names no region may share addresses, where no name stands for those.
    fn may_share_region(&self, tag: &Tag, other: &Tag) -> bool {
        let cloud_first = if tag.is_all_of_azure() { (tag, other) } else { (other, tag) };
        let (Some(region), true, None) =
            (cloud_first.0.region(), cloud_first.0.is_all_of_azure(), cloud_first.1.region())
        else {
            return false;
        };
        !cloud_first.1.part_in(region).is_some_and(|part| self.all.contains(&part))
    }

    /// Whether a tag that nobody knows may share addresses with another: one of a known service with that service only.
    fn may_be_part(&self, strange: &Tag, tag: &Tag) -> bool {
        let whole = strange.whole();
        self.unknown.contains_key(strange)
            && (!strange.is_known() || whole.includes(tag) || tag.whole().includes(&whole))
    }

    /// What a part of a service may stand for whose region nobody knows: any of that service.
    fn strange_part(&self, tag: &Tag, own: AddressSet) -> Extent {
        let Extent { sure, by_tag, perhaps } = self.service(&tag.whole());
        Extent { by_tag, perhaps: sure.union(&perhaps).minus(&own), sure: own }
    }

    /// What a tag that nobody knows may stand for. Only `Internet` holds the public addresses of no service.
    fn slip(&self, meant: Option<&Tag>, own: AddressSet) -> Extent {
        let of_services = || self.services.union(&self.listed);
        let others = self.public_numbers.minus(&self.listed);
        let perhaps = match meant.map(Tag::place) {
            Some(Some(Place::Internet)) => AddressSet::everything(),
            Some(None) => of_services(),
            Some(Some(_)) | None => AddressSet::everything().minus(&others),
        };
        Extent { by_tag: others.minus(&perhaps), perhaps, sure: own }
    }

    /// All addresses of the service of a regional tag, where they are known.
    fn whole_of(&self, tag: &Tag) -> Option<&AddressSet> {
        self.book.complete.iter().find(|(other, _)| other.includes(tag) && *other != tag).map(|(_, listed)| listed)
    }

    fn named(&self, wanted: impl Fn(&Tag) -> bool) -> AddressSet {
        self.names.iter().zip(0..).fold(AddressSet::default(), |set, (named, number)| match named {
            Named::Tag(tag) if wanted(tag) => set.union(&AddressSet::name(Name(number))),
            Named::Tag(_) | Named::Listed(_) | Named::Subnet => set,
        })
    }

    /// A name in words.
    pub fn show(&self, name: Name) -> String {
        match self.names.get(usize::from(name.0)) {
            Some(Named::Tag(tag) | Named::Listed(tag)) => tag.to_string(),
            Some(Named::Subnet) => "the subnet".to_owned(),
            None => "any other address".to_owned(),
        }
    }

    /// An address that a name stands for, where one is documented.
    pub fn member(&self, name: Name) -> Option<IpAddr> {
        let Named::Tag(tag) = self.names.get(usize::from(name.0))? else { return None };
        let listed = || match self.book.documented.get(tag)?.example()? {
            Point::Address(address) => Some(address),
            Point::Name(_) => None,
        };
        let within = || self.book.examples.iter().find(|(other, _)| tag.region().is_none() && tag.includes(other));
        let example = || self.book.examples.get(tag).copied();
        example().or_else(listed).or_else(|| within().map(|(_, address)| *address))
    }

    /// The edition of the tag file, where one was given.
    pub fn edition(&self) -> Option<&str> {
        self.book.edition.as_deref()
    }

    /// The addresses of a tag that its documents name, without those that only the full tag has.
    pub fn documented(&self, tag: &Tag) -> Option<&AddressSet> {
        self.book.documented.get(tag)
    }
}
