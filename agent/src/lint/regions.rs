//! The regions of Azure as service tags write them, and which one a name with a slip of the pen resembles.

/// Regions whose tags abbreviate the name that locations have (tag files of 2025).
const SHORT: [(&str, &str); 10] = [
    ("brazilse", "brazilsoutheast"),
    ("centralfrance", "francecentral"),
    ("chilec", "chilecentral"),
    ("germanyn", "germanynorth"),
    ("germanywc", "germanywestcentral"),
    ("norwaye", "norwayeast"),
    ("norwayw", "norwaywest"),
    ("southfrance", "francesouth"),
    ("switzerlandn", "switzerlandnorth"),
    ("switzerlandw", "switzerlandwest"),
];

/// Regions of the public, the Government and the China cloud ("Azure regions list"). A tag file knows newer ones.
const REGIONS: &[&str] = &[
    "australiacentral",
    "australiacentral2",
    "australiaeast",
    "australiasoutheast",
    "austriaeast",
    "belgiumcentral",
    "brazilsouth",
    "brazilsoutheast",
    "canadacentral",
    "canadaeast",
    "centralindia",
    "centralus",
    "centraluseuap",
    "chilecentral",
    "chinaeast",
    "chinaeast2",
    "chinaeast3",
    "chinanorth",
    "chinanorth2",
    "chinanorth3",
    "denmarkeast",
    "eastasia",
    "eastus",
    "eastus2",
    "eastus2euap",
    "eastus3",
    "francecentral",
    "francesouth",
    "germanynorth",
    "germanywestcentral",
    "indonesiacentral",
    "israelcentral",
    "israelnorthwest",
    "italynorth",
    "japaneast",
    "japanwest",
    "jioindiacentral",
    "jioindiawest",
    "koreacentral",
    "koreasouth",
    "malaysiasouth",
    "malaysiawest",
    "mexicocentral",
    "newzealandnorth",
    "northcentralus",
    "northeurope",
    "norwayeast",
    "norwaywest",
    "polandcentral",
    "qatarcentral",
    "southafricanorth",
    "southafricawest",
    "southcentralus",
    "southeastasia",
    "southindia",
    "spaincentral",
    "swedencentral",
    "swedensouth",
    "switzerlandnorth",
    "switzerlandwest",
    "taiwannorth",
    "taiwannorthwest",
    "uaecentral",
    "uaenorth",
    "uksouth",
    "ukwest",
    "usdodcentral",
    "usdodeast",
    "usgovarizona",
    "usgoviowa",
    "usgovtexas",
    "usgovvirginia",
    "westcentralus",
    "westeurope",
    "westindia",
    "westus",
    "westus2",
    "westus3",
];

/// A region as locations write it, in lower case and without blanks, whichever way it is written.
pub fn region_of(text: &str) -> String {
    let plain = text.to_ascii_lowercase().replace(' ', "");
    SHORT.iter().find(|(short, _)| *short == plain).map_or(plain, |(_, long)| (*long).to_owned())
}

/// Whether a region in the spelling of [`region_of`] is one of Azure's as far as this program knows.
pub fn is_region(region: &str) -> bool {
    REGIONS.contains(&region)
}

/// The region that differs least from a name, by one or two letters.
pub fn nearest(name: &str) -> Option<&'static str> {
    let near = REGIONS.iter().map(|region| (distance(region, name), *region)).filter(|(away, _)| *away <= SLIP);
    near.min_by_key(|(away, _)| *away).map(|(_, region)| region)
}

/// So many letters are a slip of the pen.
pub const SLIP: usize = 2;

/// How many letters are wrong, missing or too many between two words (the distance of Levenshtein).
pub fn distance(one: &str, other: &str) -> usize {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.iter().enumerate() {
        let mut next = vec![at + 1];
        for (column, wanted) in other.iter().enumerate() {
            let replaced = row[column] + usize::from(letter != wanted);
            next.push(replaced.min(row[column + 1] + 1).min(next[column] + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_resembles_the_nearest_region_and_another_word_none() {
        assert_eq!((nearest("westeurop"), nearest("westeuorpe")), (Some("westeurope"), Some("westeurope")));
        assert_eq!((nearest("westus9"), nearest("backend")), (Some("westus"), None));
        assert!(is_region(&region_of("Norway East")) && is_region(&region_of("norwaye")) && !is_region("westeurop"));
        assert!(SHORT.iter().all(|(short, long)| is_region(long) && !is_region(short)));
    }
}
