//! The shipped dashboards: the JSON is what the descriptions say, every panel is complete and names what exists, and on a
//! real Prometheus that scraped a real agent every panel has something to show.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    process::Command,
    time::Duration,
};

use ase_lab::{
    dashboard::{Dashboard, Kind, Panel, SHIPPED, answer, filled, page, render, show::everything},
    scaled::scaled,
};
use ase_probes::clock;
use serde_json::Value;

use crate::{
    http_client::get,
    process::{Program, binary, free_port, require, wait_for},
    rules::vocabulary,
    vocabulary::{file, files, in_repository},
};

/// Panels that this test cannot fill, with the reason.
const NEVER_FILLED: [(&str, &str); 2] = [
    (
        "Last change of this host's servers",
        "it would have to change the resolver file of the machine that runs the test",
    ),
    ("Creeping round trips", "the detector first learns what is usual, for about a minute and a half in the demo"),
];
/// Expressions that are about all jobs.
const OF_ALL_JOBS: [&str; 1] = ["ALERTS{"];

fn dashboards() -> BTreeMap<&'static str, Dashboard> {
    let parse = |text| Dashboard::parse(text).expect("the description is well formed");
    SHIPPED.iter().map(|(name, text)| (*name, parse(text))).collect()
}

#[test]
fn the_json_is_what_the_descriptions_say() {
    for (name, dashboard) in dashboards() {
        let path = format!("dashboards/grafana/{name}.json");
        let json = serde_json::to_string_pretty(&render(&dashboard)).expect("JSON can be written") + "\n";
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(in_repository(&path), &json).expect("the repository is writable");
        }
        assert!(file(&path) == json, "{path} is not what {name}.yaml says: UPDATE_GOLDEN=1 writes it");
    }
    let described: Vec<String> = SHIPPED.iter().map(|(name, _)| format!("dashboards/grafana/{name}.json")).collect();
    let there = files("dashboards/grafana", "json");
    assert_eq!(there.iter().collect::<BTreeSet<_>>(), described.iter().collect(), "every dashboard has a description");
}

#[test]
fn every_panel_is_complete_and_names_only_what_exists() {
    let vocabulary = vocabulary();
    let dashboards = dashboards();
    let uids: BTreeSet<&str> = dashboards.values().map(|dashboard| dashboard.uid.as_str()).collect();
    assert_eq!(uids, BTreeSet::from(["ase-fleet", "ase-agent", "ase-dns", "ase-endpoint"]), "links rely on these");
    for (name, dashboard) in &dashboards {
        let mut titles = BTreeSet::new();
        for panel in dashboard.panels() {
            let title = format!("{name}: {}", panel.title);
            assert!(titles.insert(&panel.title), "{title} is there twice");
            assert!(!panel.title.is_empty() && !panel.unit.is_empty() && panel.width <= 24, "{title}");
            assert!(panel.description.len() > 20 && panel.description.ends_with(['.', '`']), "{title}: description");
            assert_eq!(panel.kind == Kind::Table, !panel.columns.is_empty(), "{title}: tables name their columns");
            assert!(panel.link.as_ref().is_none_or(|link| dashboards.contains_key(link.as_str())), "{title}: link");
            assert!(!panel.queries.is_empty(), "{title}");
            for query in &panel.queries {
                vocabulary.check(&title, &query.expr, &[]);
                let is_scoped =
                    query.expr.contains("job=~\"$job\"") || OF_ALL_JOBS.iter().any(|of| query.expr.contains(of));
                assert!(is_scoped, "{title} ignores the chosen job");
                assert!(!query.expr.contains("rate(") || query.expr.contains("[$__rate_interval]"), "{title}: range");
            }
        }
    }
}

#[test]
fn the_json_keeps_to_grafanas_conventions() {
    for path in files("dashboards/grafana", "json") {
        let json: Value = serde_json::from_str(&file(&path)).expect("JSON");
        assert_eq!(json["editable"], false, "{path}");
        assert!(json["schemaVersion"].as_u64().is_some_and(|version| version >= 39), "{path}");
        let variables = json["templating"]["list"].as_array().expect("variables");
        assert_eq!(variables[0]["type"], "datasource", "{path}");
        assert_eq!(variables[1]["name"], "job", "{path}");
        let panels = json["panels"].as_array().expect("panels");
        let mut places: Vec<[u64; 4]> = Vec::new();
        for panel in panels.iter().filter(|panel| panel["type"] != "row") {
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{path}: {}", panel["title"]);
            let place = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().expect("a place"));
            let [x, y, w, h] = place;
            let overlaps = |[ox, oy, ow, oh]: &[u64; 4]| x < ox + ow && *ox < x + w && y < oy + oh && *oy < y + h;
            assert!(x + w <= 24 && !places.iter().any(overlaps), "{path}: {} lies on another panel", panel["title"]);
            places.push(place);
        }
    }
}

#[test]
fn runbooks_name_panels_that_exist() {
    let dashboards = dashboards();
    let titles: BTreeSet<&str> =
        dashboards.values().flat_map(Dashboard::panels).map(|panel| panel.title.as_str()).collect();
    for path in files("dashboards/runbooks", "md") {
        let text = file(&path).replace('\n', " ");
        for (before, _) in text.match_indices("panel *") {
            let title = text[before + "panel *".len()..].split('*').next().unwrap_or_default();
            assert!(titles.contains(title), "{path}: no panel {title}");
        }
    }
}

#[test]
fn every_panel_shows_something_over_a_real_agent_with_faults() {
    if !require("prometheus", "prometheus") {
        return;
    }
    let agent = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut lab = Command::new(binary("ase-lab"));
    let _demo = Program::start(folder, lab.args(["demo", "--for", "120s", "--listen", &agent.to_string()]))
        .until("the demo", || get(agent, "/-/ready").is_some_and(|response| response.code == 200));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: String| fs::write(folder.path().join(name), text).expect("the folder is writable");
    write("recording.yml", file("dashboards/rules/recording.yml"));
    // A fault of the demo lasts 20 s, too short for the shipped waits.
    write("alerts.yml", scaled(&file("dashboards/rules/alerts.yml"), 20));
    let scrape = file("dashboards/prometheus.yml").replace("127.0.0.1:10123", &agent.to_string()).replace("15s", "1s");
    write(
        "prometheus.yml",
        format!("global: {{evaluation_interval: 1s}}\nrule_files: [recording.yml, alerts.yml]\n{scrape}"),
    );
    let web = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut command = Command::new("prometheus");
    command.args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--log.level=warn"]);
    command.arg(format!("--web.listen-address={web}"));
    let _prometheus = Program::start(folder, &mut command)
        .until("Prometheus", || get(web, "/-/ready").is_some_and(|response| response.code == 200));
    let variables = everything(".*", Duration::from_secs(1));
    let ask = |panel: &Panel| {
        let step = Duration::from_secs(1);
        let range = answer::Range { end: clock::wall(), length: Duration::from_secs(60), step };
        answer::of_panel(web, panel, range, &variables).unwrap_or_else(|error| panic!("{}: {error:#}", panel.title))
    };
    let dashboards = dashboards();
    let panels = || dashboards.values().flat_map(Dashboard::panels);
    for panel in panels().filter(|panel| panel.without_series.is_none()) {
        wait_for(&panel.title, || (!ask(panel).is_empty()).then_some(()));
    }
    // What only a fault fills is filled while the faults come and go.
    let mut waiting: Vec<&Panel> = panels().filter(|panel| panel.without_series.is_some()).collect();
    waiting.retain(|panel| NEVER_FILLED.iter().all(|(title, _)| *title != panel.title));
    wait_for("panels that only a fault fills", || {
        waiting.retain(|panel| ask(panel).is_empty());
        waiting.is_empty().then_some(())
    });
    for dashboard in dashboards.values() {
        let step = Duration::from_secs(1);
        let range = answer::Range { end: clock::wall(), length: Duration::from_secs(60), step };
        let answers: Vec<_> = dashboard.panels().map(|panel| (panel, ask(panel))).collect();
        let html = page(dashboard, &answers, range);
        assert!(dashboard.panels().all(|panel| html.contains(&panel.title.replace('&', "&amp;"))));
        assert!(!html.contains("because there is no data"), "{}", dashboard.title);
        assert!(!filled(&dashboard.panels().next().expect("a panel").queries[0].expr, &variables).contains('$'));
    }
}
