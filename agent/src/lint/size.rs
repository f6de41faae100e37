//! How many addresses an environment takes of its subnet, step by step, and which prefix is wide enough.
//!
//! The documents leave gaps; where they do, the step says so and the safe side is taken.

/// Addresses that Azure keeps of each subnet.
const RESERVED: u32 = 5;
/// What a v2 environment takes without any plan (network-info.md); an internal load balancer takes one more.
const BASE_V2: u32 = 12;
/// So many plan instances of v2 bring one front end more, unless the environment says otherwise (using-an-ase.md).
pub const FRONT_END_EVERY: u32 = 15;
/// Every so many instances bring one more machine: another role in v2, a standby in v3.
const SPARE_EVERY: u32 = 20;
/// Instances that a plan spread over zones has at least: 2 (configure-zone-redundancy-environment.md, edition 2025-07-16); an
/// older text of the architecture guide says 3.
pub const ZONE_INSTANCES: u32 = 3;
/// What the infrastructure of v3 takes at most; it begins at 7 (networking.md, newer text).
const INFRASTRUCTURE_V3: u32 = 27;

/// The step that every sum has.
const ALL_INSTANCES: &str = "instances of all plans";

/// Which environment is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// Version 2: whether its load balancer is internal, and instances for each further front end.
    V2 {
        /// Whether the load balancer is internal.
        internal: bool,
        /// Instances for each further front end, 5 to 15.
        front_end_every: u32,
    },
    /// Version 3.
    V3,
}

/// One plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Its instances at the peak.
    pub instances: u32,
    /// Operating system and size together, for example `linux/I1v2`: each combination has its own standby in v3.
    pub flavour: String,
    /// Apps in Windows containers, each of which takes an address of every instance (v3).
    pub container_apps: u32,
    /// Whether it is spread over zones (v3), for which it needs [`ZONE_INSTANCES`].
    pub zone_redundant: bool,
}

/// One line of the sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it is.
    pub what: String,
    /// How many addresses.
    pub addresses: u32,
    /// What about it is not documented and was taken on the safe side.
    pub uncertain: Option<&'static str>,
}

/// The whole sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sum {
    /// The steps of the normal state.
    pub steps: Vec<Step>,
    /// Addresses in the normal state.
    pub used: u32,
    /// What is needed on top while the largest plan is resized.
    pub resize: Step,
    /// Addresses at the peak.
    pub peak: u32,
    /// The longest prefix that holds the peak.
    pub prefix: u8,
}

/// Adds up.
pub fn add_up(generation: Generation, plans: &[Plan]) -> Sum {
    let spread: Vec<Plan> = plans.iter().map(in_zones).collect();
    let (plans, added) = (spread.as_slice(), instances(&spread) - instances(plans));
    let mut steps = match generation {
        Generation::V2 { internal, front_end_every } => steps_v2(internal, front_end_every, plans),
        Generation::V3 => steps_v3(plans),
    };
    if added > 0 {
        let all = steps.iter_mut().find(|step| step.what == ALL_INSTANCES).expect("both versions have instances");
        all.addresses -= added;
        let why = Some("the newer text says two, an older one three: three are taken");
        let what = format!("instances added so that each plan in zones has {ZONE_INSTANCES}");
        steps.push(step(&what, added, why));
    }
    let used: u32 = steps.iter().fold(0, |sum, step| sum.saturating_add(step.addresses));
    let largest = plans.iter().map(addresses).max().unwrap_or_default();
    let resize = step("the largest plan twice, while it is resized", largest, None);
    let peak = used.saturating_add(largest);
    Sum { steps, used, resize, peak, prefix: prefix_for(peak) }
}

/// The longest prefix whose addresses are at least so many.
pub fn prefix_for(addresses: u32) -> u8 {
    let power = addresses.max(1).checked_next_power_of_two();
    power.map_or(0, |power| u8::try_from(32 - power.trailing_zeros()).unwrap_or_default())
}

/// How many addresses a prefix has.
pub fn addresses_of(prefix: u8) -> u64 {
    1 << (32 - u32::from(prefix.min(32)))
}

/// A plan with the instances that zones ask for.
fn in_zones(plan: &Plan) -> Plan {
    let least = if plan.zone_redundant { ZONE_INSTANCES } else { 0 };
    Plan { instances: plan.instances.max(least), ..plan.clone() }
}

fn step(what: &str, addresses: u32, uncertain: Option<&'static str>) -> Step {
    Step { what: what.to_owned(), addresses, uncertain }
}

/// A plan's own addresses: one for each instance, and for each of its apps in a Windows container one more.
fn addresses(plan: &Plan) -> u32 {
    plan.instances.saturating_mul(plan.container_apps.saturating_add(1))
}

fn instances(plans: &[Plan]) -> u32 {
    plans.iter().fold(0, |sum, plan| sum.saturating_add(plan.instances))
}

fn steps_v2(internal: bool, front_end_every: u32, plans: &[Plan]) -> Vec<Step> {
    let n = instances(plans);
    let base = BASE_V2 + u32::from(internal);
    let every = front_end_every.max(1);
    vec![
        step(if internal { "base with an internal load balancer" } else { "base" }, base, None),
        step("kept by Azure", RESERVED, Some("whether the base holds them already is not said")),
        step(ALL_INSTANCES, n, None),
        step(&format!("front ends beyond the first two, one for every {every} instances"), n / every, None),
        step(
            &format!("other roles, one for every {SPARE_EVERY} instances"),
            n / SPARE_EVERY,
            Some("what a multiple of 20 adds is not said; one machine is assumed"),
        ),
    ]
}

fn steps_v3(plans: &[Plan]) -> Vec<Step> {
    let mut flavours: Vec<&str> = plans.iter().map(|plan| plan.flavour.as_str()).collect();
    flavours.sort_unstable();
    flavours.dedup();
    let of =
        |flavour: &str| plans.iter().filter(|plan| plan.flavour == flavour).map(|plan| plan.instances).sum::<u32>();
    let standby = flavours.iter().map(|flavour| of(flavour).div_ceil(SPARE_EVERY)).sum();
    let containers: u32 = plans.iter().map(|plan| addresses(plan).saturating_sub(plan.instances)).sum();
    let mut steps = vec![
        step("kept by Azure", RESERVED, None),
        step("infrastructure", INFRASTRUCTURE_V3, Some("7 to 27 by load; the most is taken")),
        step(ALL_INSTANCES, instances(plans), None),
        step(
            &format!("standby, one for every {SPARE_EVERY} instances of one system and size"),
            standby,
            Some("the rounding is not said; upwards is assumed"),
        ),
    ];
    if containers > 0 {
        steps.push(step("apps in Windows containers, one for each app and instance", containers, None));
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(instances: u32, flavour: &str) -> Plan {
        Plan { instances, flavour: flavour.to_owned(), container_apps: 0, zone_redundant: false }
    }

    #[test]
    fn version_2_with_an_internal_load_balancer_takes_what_the_documents_figures_say() {
        let internal = Generation::V2 { internal: true, front_end_every: FRONT_END_EVERY };
        for (n, used, peak, fits) in [
            (0, 18, 18, true),
            (15, 34, 49, true),
            (30, 51, 81, true),
            (60, 85, 145, true),
            (100, 129, 229, true),
            (150, 185, 335, false),
            (200, 241, 441, false),
        ] {
            let sum = add_up(internal, &[plan(n, "windows")]);
            assert_eq!((sum.used, sum.peak, sum.prefix >= 24), (used, peak, fits), "{n} instances");
        }
    }

    #[test]
    fn version_3_takes_what_the_documents_figures_say() {
        for (sizes, used, peak) in [(&[20][..], 53, 73), (&[50], 85, 135), (&[100], 137, 237), (&[100, 100], 242, 342)]
        {
            let plans: Vec<Plan> = sizes.iter().map(|n| plan(*n, "linux")).collect();
            let sum = add_up(Generation::V3, &plans);
            assert_eq!((sum.used, sum.peak), (used, peak), "{sizes:?}");
        }
    }

    #[test]
    fn each_app_in_a_windows_container_takes_an_address_of_every_instance() {
        let plans = [0, 1].map(|_| Plan {
            instances: 25,
            flavour: "windows".to_owned(),
            container_apps: 5,
            zone_redundant: false,
        });
        assert_eq!(plans.iter().map(addresses).sum::<u32>(), 300);
        let sum = add_up(Generation::V3, &plans);
        assert_eq!(sum.steps.last().map(|step| step.addresses), Some(250));
        assert_eq!(sum.used, 5 + 27 + 50 + 3 + 250);
    }

    #[test]
    fn a_plan_in_zones_has_three_instances_at_least_and_the_step_says_that_it_is_uncertain() {
        let zoned = |n| Plan { zone_redundant: true, ..plan(n, "linux") };
        let small = add_up(Generation::V3, &[zoned(1)]);
        assert_eq!((small.used, small.peak), (5 + 27 + 1 + 1 + 2, 5 + 27 + 1 + 1 + 2 + 3), "the whole plan is resized");
        assert!(small.steps.last().is_some_and(|step| step.addresses == 2 && step.uncertain.is_some()));
        assert_eq!(add_up(Generation::V3, &[zoned(20)]), add_up(Generation::V3, &[plan(20, "linux")]));
    }

    #[test]
    fn every_combination_has_its_own_standby() {
        let one = add_up(Generation::V3, &[plan(10, "linux"), plan(10, "linux")]);
        let two = add_up(Generation::V3, &[plan(10, "linux"), plan(10, "windows")]);
        assert_eq!((one.used, two.used), (53, 54));
    }

    #[test]
    fn a_prefix_holds_what_it_has_and_no_more() {
        assert_eq!([1, 2, 16, 17, 256, 257].map(prefix_for), [32, 31, 28, 27, 24, 23]);
        assert_eq!(addresses_of(24), 256);
        assert_eq!(add_up(Generation::V3, &[plan(u32::MAX, "x")]).prefix, 0, "too much for any");
    }
}
