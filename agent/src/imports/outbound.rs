//! The outbound dependencies of an environment, in the three shapes that services answer with, and what it reaches itself.

use std::net::IpAddr;

use crate::{
    imports::answer::Page,
    lint::read::{ReadError, node::Node},
};

/// One endpoint at one address, as the environment sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Dependency {
    /// The service's word for what it is, for example `Azure SQL Database`.
    pub category: String,
    /// The name, or an address.
    pub name: String,
    /// The address that the name led to.
    pub address: Option<IpAddr>,
    /// The port; some services say none.
    pub port: Option<u16>,
    /// Whether the environment itself could connect; none where the answer does not say.
    pub accessible: Option<bool>,
    /// How long that took, in milliseconds.
    pub latency: Option<f64>,
}

/// Reads the pages of an answer. The second list has what no endpoint can be made of, each with its place.
///
/// # Errors
/// [`ReadError`], which says what a page is instead.
pub fn read(pages: &[Page]) -> Result<(Vec<Dependency>, Vec<String>), ReadError> {
    let (mut found, mut left) = (Vec::new(), Vec::new());
    for page in pages {
        let mut reading = Reading { page, found: &mut found, left: &mut left };
        page.items().iter().try_for_each(|item| reading.item(item))?;
    }
    match pages.first() {
        Some(page) if found.is_empty() && left.is_empty() => Err(page.wrong("an empty list: no dependency to import")),
        _ => Ok((found, left)),
    }
}

struct Reading<'a> {
    page: &'a Page,
    found: &'a mut Vec<Dependency>,
    left: &'a mut Vec<String>,
}

impl Reading<'_> {
    fn leave(&mut self, node: &Node<'_>, why: &str) {
        self.left.push(format!("{}: {}: {why}", self.page.from, node.path));
    }

    fn item(&mut self, item: &Node<'_>) -> Result<(), ReadError> {
        if let Some(name) = item.value.as_str() {
            self.endpoint(item, "", name, &[]);
            return Ok(());
        }
        let endpoints = item.list("endpoints");
        let names_hosts = item.get("endpoints").is_some() && endpoints.iter().all(|one| !one.value.is_string());
        if !names_hosts {
            let inbound = item.has("endpoints") && item.has("ports");
            return Err(self.page.wrong(if inbound {
                "the inbound dependencies of an environment: `ase-agent import inbound` reads them".to_owned()
            } else {
                format!("{}: no list of outbound dependencies: category and endpoints are wanted", shown(&item.path))
            }));
        }
        let category = item.text_of("category").unwrap_or_default();
        for endpoint in &endpoints {
            match endpoint.text_of("domainName").filter(|name| !name.is_empty()) {
                Some(name) => self.endpoint(endpoint, &category, &name, &endpoint.list("endpointDetails")),
                None => self.leave(endpoint, "an endpoint without domainName"),
            }
        }
        Ok(())
    }

    fn endpoint(&mut self, node: &Node<'_>, category: &str, name: &str, details: &[Node<'_>]) {
        let name = name.trim().trim_end_matches('.').to_ascii_lowercase();
        if name.parse::<IpAddr>().is_err() && ase_probes::resolve::valid_name(&name.replace('*', "x")).is_err() {
            return self.leave(node, "domainName is no name that can be asked for");
        }
        let plain = Dependency {
            category: category.to_owned(),
            address: name.parse().ok(),
            name,
            port: None,
            accessible: None,
            latency: None,
        };
        if details.is_empty() {
            self.found.push(plain);
            return;
        }
        for detail in details {
            let port = match detail.text_of("port") {
                Some(text) => match text.parse::<u16>() {
                    Ok(port) if port > 0 => Some(port),
                    _ => {
                        self.leave(detail, "port must be between 1 and 65535");
                        continue;
                    }
                },
                None => None,
            };
            let address = detail.text_of("ipAddress").filter(|text| !text.is_empty());
            let parsed = address.as_ref().and_then(|text| text.parse().ok());
            if address.is_some() && parsed.is_none() {
                self.leave(detail, "ipAddress is no address");
            }
            self.found.push(Dependency {
                address: parsed.or(plain.address),
                port,
                accessible: flag(detail),
                latency: detail.get("latency").and_then(|latency| latency.value.as_f64()).filter(|ms| *ms >= 0.0),
                ..plain.clone()
            });
        }
    }
}

/// Both spellings: the model says `isAccessible`, the published examples say `isAccessable`.
fn flag(detail: &Node<'_>) -> Option<bool> {
    let field = detail.get("isAccessible").or_else(|| detail.get("isAccessable"))?;
    field.value.as_bool().or_else(|| field.text()?.to_ascii_lowercase().parse().ok())
}

fn shown(path: &str) -> &str {
    if path.is_empty() { "the file" } else { path }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(value: &Value) -> (Vec<Dependency>, Vec<String>) {
        read(&[Page::read("x.json", value.to_string().as_bytes()).expect("JSON")]).expect("dependencies")
    }

    fn refused(value: &Value) -> String {
        read(&[Page::read("x.json", value.to_string().as_bytes()).expect("JSON")]).expect_err("it is none").to_string()
    }

    #[test]
    fn all_three_shapes_are_read_and_both_spellings_of_the_flag() {
        let (own, _) = of(
            &json!({"value": [{"category": "Azure SQL Database", "endpoints": [{"domainName": "Db.Database.Windows.Net.",
            "endpointDetails": [{"ipAddress": "203.0.113.10", "port": 1433, "latency": 1.5964, "isAccessible": true},
                {"ipAddress": "203.0.113.11", "port": 1433, "isAccessable": false}, {"port": 1433}]}]}]}),
        );
        assert_eq!(own.len(), 3);
        assert_eq!(
            (own[0].name.as_str(), own[0].port, own[0].latency),
            ("db.database.windows.net", Some(1433), Some(1.5964))
        );
        assert_eq!(own.iter().map(|one| one.accessible).collect::<Vec<_>>(), [Some(true), Some(false), None]);
        let (wrapped, _) =
            of(&json!({"value": [{"properties": {"category": "c", "endpoints": [{"domainName": "login.example",
            "endpointDetails": [{"port": 443}]}]}}]}));
        assert_eq!((wrapped[0].port, wrapped[0].category.as_str()), (Some(443), "c"));
        let (plain, _) = of(&json!(["example.net", "203.0.113.9"]));
        assert_eq!((plain.len(), plain[0].port, plain[1].address.is_some()), (2, None, true));
        let (bare, _) = of(&json!([{"category": "c", "endpoints": [{"domainName": "a.example"}]}]));
        assert_eq!(bare.len(), 1, "an endpoint without details is a name");
    }

    #[test]
    fn what_makes_no_endpoint_is_named_with_its_place() {
        let (found, left) = of(&json!({"value": [{"category": "c", "endpoints": [
            {"endpointDetails": []}, {"domainName": "bad name"},
            {"domainName": "a.example", "endpointDetails": [{"port": 70000}, {"port": 0}, {"port": 443, "ipAddress": "nine"}]}]}]}));
        assert_eq!((found.len(), found[0].address), (1, None));
        assert_eq!(
            left,
            [
                "x.json: value[0].endpoints[0]: an endpoint without domainName",
                "x.json: value[0].endpoints[1]: domainName is no name that can be asked for",
                "x.json: value[0].endpoints[2].endpointDetails[0]: port must be between 1 and 65535",
                "x.json: value[0].endpoints[2].endpointDetails[1]: port must be between 1 and 65535",
                "x.json: value[0].endpoints[2].endpointDetails[2]: ipAddress is no address",
            ]
        );
    }

    #[test]
    fn another_answer_says_what_it_is() {
        assert!(
            refused(&json!({"value": [{"description": "d", "endpoints": ["203.0.113.0/24"], "ports": ["454"]}]}))
                .contains("import inbound")
        );
        assert!(refused(&json!({"value": []})).contains("an empty list"));
        assert!(refused(&json!({"name": "ase"})).contains("no list of outbound dependencies"));
        assert!(refused(&json!({"value": [17]})).contains("value[0]: no list"));
    }
}
