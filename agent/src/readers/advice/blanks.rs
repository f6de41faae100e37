//! The words in capitals within commands, which this machine cannot know: what whoever types fills in for each.

use std::collections::BTreeSet;

/// What is filled in, in the order in which it is said.
const WORDS: [(&str, &str); 9] = [
    ("GROUP", "the resource group of what is named, in the subscription of `az account show`"),
    ("VM", "this VM"),
    ("NIC", "its network interface"),
    ("THIS-VM", "the private address of this VM"),
    ("LOAD-BALANCER-ID", "the resource ID of the load balancer before the appliances"),
    ("FIREWALL-ID", "the resource ID of the firewall"),
    ("POLICY", "the policy of the firewall"),
    ("RULE-GROUP", "a rule collection group of it"),
    ("COLLECTION", "a collection of application rules in that"),
];

/// The words that were explained to a reader.
#[derive(Clone, Debug, Default)]
pub(crate) struct Blanks(BTreeSet<&'static str>);

impl Blanks {
    /// What stands for each word in capitals in these commands, as far as that was not said before; `None` where nothing is to
    /// be said.
    pub(crate) fn explain<'a>(&mut self, commands: impl IntoIterator<Item = &'a str>) -> Option<String> {
        let within: BTreeSet<&str> = commands.into_iter().flat_map(words).collect();
        let new = WORDS.iter().filter(|(word, _)| within.contains(word) && self.0.insert(*word));
        let said: Vec<String> = new.map(|(word, meaning)| format!("{word}: {meaning}")).collect();
        (!said.is_empty()).then(|| said.join("; "))
    }
}

/// The same for who was told nothing before.
pub(crate) fn in_words<'a>(commands: impl IntoIterator<Item = &'a str>) -> Option<String> {
    Blanks::default().explain(commands)
}

/// What stands in capitals, alone or between hyphens.
fn words(command: &str) -> impl Iterator<Item = &str> {
    command.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_in_capitals_is_explained_once_and_where_there_is_none_nothing_is_said() {
        let command = "az network watcher test-ip-flow -g GROUP --vm VM --local 'THIS-VM:*' --remote '10.0.0.1:443'";
        let mut blanks = Blanks::default();
        let said =
            blanks.explain([command, "az network nic list-effective-nsg -g GROUP -n NIC"]).expect("there are some");
        for start in ["GROUP: ", "; VM: ", "; NIC: ", "; THIS-VM: "] {
            assert_eq!(said.matches(start).count(), 1, "{start}: {said}");
        }
        assert!(!said.contains("POLICY"), "{said}");
        assert_eq!(blanks.explain([command]), None, "it was said");
        assert_eq!(in_words(["sudo nft list ruleset", "az network nsg rule show --nsg-name my-VM -n VMs"]), None);
    }
}
