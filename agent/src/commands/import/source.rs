//! Where the answers of an import come from: files, or the management API itself when that is asked for.

use std::path::PathBuf;

use ase_probes::{
    regular_file::{self, FileError},
    tls::Trust,
};
use clap::Args;

use crate::{
    commands::{
        failure::{Failure, runtime},
        stdout,
    },
    imports::answer::Page,
    web::{
        management::{Api, ApiError},
        sealed,
    },
};

/// Larger files are refused: an answer has a few hundred entries.
const LARGEST_FILE: u64 = 64 << 20;
/// The version of the API that is asked (Azure/azure-rest-api-specs, Microsoft.Web).
const VERSION: &str = "api-version=2022-03-01";
/// The token service of a virtual machine (azure.com, "Azure Instance Metadata Service").
const TOKEN_SERVICE: &str = "http://169.254.169.254/metadata/identity/oauth2/token";

/// Where answers come from.
#[derive(Debug, Args)]
pub(super) struct Source {
    /// Answers of the management API as JSON, all pages
    #[arg(value_name = "FILE", required_unless_present = "live", conflicts_with = "live")]
    pub(super) files: Vec<PathBuf>,
    /// Ask the management API, with the managed identity of this machine
    #[arg(long, requires = "id")]
    pub(super) live: bool,
    /// With --live: the resource id of the environment
    #[arg(long, value_name = "RESOURCE_ID", requires = "live", value_parser = resource_id)]
    pub(super) id: Option<String>,
    /// The cloud: public, usgov or china
    #[arg(long, default_value = "public", value_parser = ["public", "usgov", "china"])]
    pub(super) cloud: String,
    /// With --live: another token service than the one of this machine
    #[arg(long, value_name = "URL", requires = "live")]
    pub(super) token_service: Option<String>,
    /// With --live: another management API than the cloud's
    #[arg(long, value_name = "URL", requires = "live")]
    pub(super) management: Option<String>,
}

/// An id of an environment as the API writes it; nothing else becomes a path.
fn resource_id(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.trim_end_matches('/').split('/').collect();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.()".contains(c);
    let is_name = |part: &&str| !matches!(*part, "" | "." | "..") && part.chars().all(is_plain);
    let plain = parts.iter().skip(1).all(is_name);
    let names = parts.len() == 9
        && parts[0].is_empty()
        && parts[1].eq_ignore_ascii_case("subscriptions")
        && parts[7].eq_ignore_ascii_case("hostingEnvironments");
    if plain && names {
        return Ok(text.trim_end_matches('/').to_owned());
    }
    Err("/subscriptions/ID/resourceGroups/NAME/providers/Microsoft.Web/hostingEnvironments/NAME is wanted".to_owned())
}

impl Source {
    /// The pages of an answer: of the files, or of what stands behind the environment's id.
    ///
    /// # Errors
    /// A file that cannot be read, or an API that gives no answer.
    pub(super) fn pages(&self, below: &str) -> Result<Vec<Page>, Failure> {
        if self.live { self.fetch(below)?.map_err(failed) } else { self.read() }
    }

    /// Like [`Source::pages`] for what not every version has: none where there is no such thing.
    ///
    /// # Errors
    /// As [`Source::pages`].
    pub(super) fn pages_if_any(&self, below: &str) -> Result<Vec<Page>, Failure> {
        match self.fetch(below)? {
            Err(ApiError::Missing { .. }) => Ok(Vec::new()),
            answered => answered.map_err(failed),
        }
    }

    /// Where the answer comes from, in words.
    pub(super) fn words(&self) -> String {
        match &self.id {
            Some(id) => id.clone(),
            None => self.files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", "),
        }
    }

    fn read(&self) -> Result<Vec<Page>, Failure> {
        let mut pages = Vec::new();
        for file in &self.files {
            let refused = |what: &dyn std::fmt::Display| Failure::Input(format!("{}: {what}", file.display()));
            let bytes = regular_file::read_handed_over(file, LARGEST_FILE).map_err(|error| match error {
                FileError::Directory => refused(&"a directory: give the files in it"),
                FileError::Large { .. } => refused(&"more than an answer has (64 MB)"),
                other => refused(&other),
            })?;
            pages.push(
                Page::read(&file.display().to_string(), &bytes).map_err(|error| Failure::Input(error.to_string()))?,
            );
        }
        let next = pages.last().and_then(Page::next);
        match next {
            Some(link) if !link.is_empty() => Err(Failure::Input(format!(
                "{}: the answer goes on (nextLink): fetch that page, too, and give both files",
                pages.last().map(|page| page.from.as_str()).unwrap_or_default()
            ))),
            _ => Ok(pages),
        }
    }

    fn fetch(&self, below: &str) -> Result<Result<Vec<Page>, ApiError>, Failure> {
        let (public, resource) = match self.cloud.as_str() {
            "usgov" => ("https://management.usgovcloudapi.net", "https://management.usgovcloudapi.net/"),
            "china" => ("https://management.chinacloudapi.cn", "https://management.chinacloudapi.cn/"),
            _ => ("https://management.azure.com", "https://management.azure.com/"),
        };
        let url = |given: &Option<String>, usual: &str, option: &str| {
            let text = given.as_deref().unwrap_or(usual);
            text.parse().map_err(|error| Failure::Usage(format!("{option} ({}): {error}", text.escape_debug())))
        };
        if let Err(error) = sealed::seal() {
            stdout::complain(&format!("ase-agent: a core dump of this command may hold its token: {error}\n"));
        }
        let (trust, _) = Trust::system();
        let api = Api {
            token_service: url(&self.token_service, TOKEN_SERVICE, "--token-service")?,
            management: url(&self.management, public, "--management")?,
            resource,
            trust,
        };
        let id = self.id.clone().unwrap_or_default();
        let pages = match runtime()?.block_on(api.fetch(&format!("{id}{below}?{VERSION}"))) {
            Ok(pages) => pages,
            Err(error) => return Ok(Err(error)),
        };
        let read = |(from, bytes): &(String, hyper::body::Bytes)| Page::read(from, bytes);
        let pages: Result<Vec<_>, _> = pages.iter().map(read).collect();
        Ok(Ok(pages.map_err(|error| Failure::Other(error.to_string()))?))
    }
}

fn failed(error: ApiError) -> Failure {
    match error {
        ApiError::Address { .. } => Failure::Usage(error.to_string()),
        _ => Failure::Other(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_id_of_an_environment_becomes_a_path() {
        let id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg_1/providers/Microsoft.Web/hostingEnvironments/ase-1";
        assert_eq!(resource_id(id), Ok(id.to_owned()));
        assert_eq!(resource_id(&format!("{id}/")), Ok(id.to_owned()));
        for bad in [
            "",
            "ase-1",
            &format!("{id}/x"),
            &id.replace("ase-1", "a?b"),
            &id.replace("ase-1", ".."),
            &id.replace("rg_1", ""),
        ] {
            assert!(resource_id(bad).is_err(), "{bad}");
        }
    }
}
