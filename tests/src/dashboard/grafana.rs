//! The JSON that Grafana imports. It follows dashboard-linter: templated data source, units, descriptions, stable uid.

use serde_json::{Value, json};

use super::{Dashboard, Kind, Panel, SHIPPED};

/// The version of Grafana's schema: that of Grafana 10.
const SCHEMA: u32 = 39;
/// The width of a dashboard in columns.
const COLUMNS: u32 = 24;

/// Renders a dashboard.
pub fn render(dashboard: &Dashboard) -> Value {
    let mut panels = Vec::new();
    let (mut id, mut y) = (0, 0);
    for row in &dashboard.rows {
        id += 1;
        panels.push(json!({
            "id": id, "type": "row", "title": row.title, "collapsed": false, "panels": [],
            "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1},
        }));
        y += 1;
        let (mut x, mut tallest) = (0, 0);
        for panel in &row.panels {
            if x + panel.width > COLUMNS {
                (x, y, tallest) = (0, y + tallest, 0);
            }
            id += 1;
            panels.push(of_panel(panel, id, json!({"x": x, "y": y, "w": panel.width, "h": panel.height})));
            x += panel.width;
            tallest = tallest.max(panel.height);
        }
        y += tallest;
    }
    json!({
        "uid": dashboard.uid, "title": dashboard.title, "description": dashboard.description,
        "tags": ["ase-agent"], "schemaVersion": SCHEMA, "version": 1, "editable": false, "graphTooltip": 1,
        "time": {"from": "now-6h", "to": "now"}, "refresh": "30s", "timezone": "browser",
        "annotations": {"list": [restarts()]}, "links": links(),
        "templating": {"list": variables(dashboard)}, "panels": panels,
    })
}

fn source() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

/// Marks restarts, because nothing is known before the first round is done.
fn restarts() -> Value {
    json!({
        "name": "Agent starts", "datasource": source(), "enable": true, "iconColor": "blue",
        "expr": "changes(ase_agent_start_time_seconds{job=~\"$job\"}[$__rate_interval]) > 0",
        "titleFormat": "agent {{instance}} started", "step": "1m",
    })
}

/// The other dashboards, with time and variables kept.
fn links() -> Value {
    let link = json!({
        "type": "dashboards", "title": "ASE", "tags": ["ase-agent"], "asDropdown": false, "icon": "external link",
        "includeVars": true, "keepTime": true, "targetBlank": false, "tooltip": "", "url": "",
    });
    json!([link])
}

fn variables(dashboard: &Dashboard) -> Vec<Value> {
    let source_choice = json!({
        "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "hide": 0,
        "current": {}, "options": [], "refresh": 1, "regex": "", "multi": false, "includeAll": false,
    });
    let mut variables = vec![source_choice];
    let mut chosen = Vec::new();
    for name in &dashboard.variables {
        let metric = if name == "endpoint" { "ase_probe_success" } else { "ase_agent_build_info" };
        let query = format!("label_values({metric}{{{}}}, {name})", chosen.join(","));
        let is_single = name == "endpoint";
        variables.push(json!({
            "name": name, "label": name, "type": "query", "datasource": source(), "hide": 0, "regex": "",
            "query": {"query": query, "refId": name}, "definition": query, "refresh": 2, "sort": 1, "options": [],
            "multi": !is_single, "includeAll": !is_single, "allValue": if is_single { Value::Null } else { ".*".into() },
            "current": if is_single { json!({}) } else { json!({"text": "All", "value": "$__all", "selected": true}) },
        }));
        chosen.push(format!("{name}=~\"${name}\""));
    }
    variables
}

fn of_panel(panel: &Panel, id: u32, place: Value) -> Value {
    let targets = panel.queries.iter().zip('A'..).map(|(query, letter)| {
        json!({
            "refId": letter.to_string(), "datasource": source(), "editorMode": "code", "expr": query.expr,
            "legendFormat": if query.legend.is_empty() { "__auto" } else { query.legend.as_str() },
            "instant": panel.is_instant(), "range": !panel.is_instant(),
            "format": if panel.kind == Kind::Table { "table" } else { "time_series" },
        })
    });
    let mut value = json!({
        "id": id, "title": panel.title, "description": description(panel), "gridPos": place, "datasource": source(),
        "targets": targets.collect::<Vec<_>>(), "type": kind(panel.kind), "options": options(panel),
        "fieldConfig": {"defaults": defaults(panel), "overrides": []},
    });
    if panel.kind == Kind::Table {
        value["transformations"] = table(panel);
    }
    value
}

fn description(panel: &Panel) -> String {
    match &panel.without_series {
        Some(when) => format!("{} Empty {when}.", panel.description),
        None => panel.description.clone(),
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Stat => "stat",
        Kind::Lines | Kind::Bars => "timeseries",
        Kind::States => "state-timeline",
        Kind::Table => "table",
    }
}

fn defaults(panel: &Panel) -> Value {
    let base = json!([{"color": "green", "value": null}]);
    let mut steps = base.as_array().cloned().unwrap_or_default();
    steps.extend(panel.steps().iter().map(|(from, color)| json!({"color": color, "value": from})));
    let words =
        panel.values.iter().map(|(value, word)| (value.clone(), json!({"text": word.text, "color": word.color})));
    let words: serde_json::Map<String, Value> = words.collect();
    let mut defaults = json!({
        "unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}, "links": drill_down(panel),
        "color": {"mode": if panel.kind == Kind::Stat || panel.kind == Kind::States { "thresholds" } else { "palette-classic" }},
        "mappings": if words.is_empty() { json!([]) } else { json!([{"type": "value", "options": words}]) },
    });
    for (key, bound) in [("min", panel.min), ("max", panel.max)] {
        if let Some(bound) = bound {
            defaults[key] = bound.into();
        }
    }
    match panel.kind {
        Kind::Lines => {
            let style = if panel.thresholds.is_empty() { "off" } else { "dashed" };
            defaults["custom"] = json!({
                "lineWidth": 2, "fillOpacity": 8, "showPoints": "never", "thresholdsStyle": {"mode": style},
            });
        }
        Kind::Bars => {
            defaults["custom"] =
                json!({"drawStyle": "bars", "fillOpacity": 80, "lineWidth": 0, "stacking": {"mode": "normal"}});
        }
        Kind::States => defaults["custom"] = json!({"fillOpacity": 85, "lineWidth": 0}),
        Kind::Stat | Kind::Table => {}
    }
    defaults
}

/// The way from what is shown to the dashboard that says more about it.
fn drill_down(panel: &Panel) -> Value {
    let Some(target) = &panel.link else { return json!([]) };
    let found = SHIPPED.iter().find(|(name, _)| name == target).and_then(|(_, text)| Dashboard::parse(text).ok());
    let Some(dashboard) = found else { return json!([]) };
    let label = |name: &str| match panel.kind {
        Kind::Table => format!("${{__data.fields.{name}}}"),
        Kind::Stat | Kind::Lines | Kind::Bars | Kind::States => format!("${{__field.labels.{name}}}"),
    };
    let mut variables = vec!["${__url_time_range}".to_owned(), "${datasource:queryparam}".to_owned()];
    let passed: &[&str] = if target == "endpoint" { &["endpoint"] } else { &["instance"] };
    variables.extend(passed.iter().map(|name| format!("var-{name}={}", label(name))));
    json!([{"title": dashboard.title, "url": format!("/d/{}?{}", dashboard.uid, variables.join("&"))}])
}

fn options(panel: &Panel) -> Value {
    match panel.kind {
        Kind::Stat => json!({
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": false}, "colorMode": "value",
            "graphMode": "none", "textMode": if panel.show.is_some() { "name" } else { "value" },
        }),
        Kind::Lines | Kind::Bars => json!({
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": true},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }),
        Kind::States => {
            json!({"showValue": "never", "mergeValues": true, "rowHeight": 0.85, "legend": {"showLegend": true}})
        }
        Kind::Table => json!({"showHeader": true, "footer": {"show": false}, "cellHeight": "sm"}),
    }
}

/// Shows the columns that the panel names, in their order, and the value where it says something.
fn table(panel: &Panel) -> Value {
    let order: serde_json::Map<String, Value> =
        panel.columns.iter().enumerate().map(|(index, name)| (name.clone(), index.into())).collect();
    let mut shown: Vec<&str> = panel.columns.iter().map(String::as_str).collect();
    // A link needs the label although the column may not be there.
    if panel.unit != "none" {
        shown.push("Value");
    }
    json!([
        {"id": "filterFieldsByName", "options": {"include": {"names": shown}}},
        {"id": "organize", "options": {"indexByName": order, "renameByName": {"Value": "left"}}},
    ])
}
