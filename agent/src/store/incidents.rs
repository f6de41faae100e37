//! Incidents in the SQLite file: their rows, and beside them the accounts for their pages; how they are written, read, and which
//! are forgotten first.

use std::{collections::BTreeMap, time::Duration};

use rusqlite::{Connection, Transaction, types::Value};

use super::{
    account::Account,
    rows::IncidentRow,
    table::{Table, is_sealed, put, seconds, text, time},
};

/// Incidents that are remembered.
const MOST_INCIDENTS: i64 = 2_000;
pub(super) const INCIDENT: Table = Table {
    name: "incident",
    columns: "id TEXT PRIMARY KEY, cause TEXT NOT NULL, phase TEXT NOT NULL, side TEXT NOT NULL, \
              scope TEXT NOT NULL, confidence TEXT NOT NULL, component TEXT NOT NULL, endpoints TEXT NOT NULL, \
              evidence TEXT NOT NULL, since REAL NOT NULL, published REAL NOT NULL, closed REAL, seal INTEGER NOT NULL",
    count: 13,
};

/// What the pages of incidents need beside [`INCIDENT`]. It came later: an agent that does not know it reads the rest, and a
/// store without it gets it when it is opened to be written.
pub(super) const ACCOUNT: Table =
    Table { name: "account", columns: "id TEXT PRIMARY KEY, told TEXT NOT NULL, seal INTEGER NOT NULL", count: 3 };

/// Makes the table of accounts where an earlier version made the store.
pub(super) fn make_accounts(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!("CREATE TABLE IF NOT EXISTS {} ({}) STRICT", ACCOUNT.name, ACCOUNT.columns))
}

/// Writes incidents, and forgets the oldest beyond the bound.
pub(super) fn write(transaction: &Transaction<'_>, incidents: &[IncidentRow]) -> rusqlite::Result<()> {
    for incident in incidents {
        put(transaction, &INCIDENT, incident_values(incident))?;
        put(transaction, &ACCOUNT, vec![text(&incident.id), Value::Text(incident.account.to_text())])?;
    }
    if incidents.is_empty() { Ok(()) } else { forget_incidents(transaction) }
}

/// Forgets the oldest closed incidents beyond the bound; open ones only if there are no others.
fn forget_incidents(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let sql = "DELETE FROM incident WHERE id IN (SELECT id FROM incident ORDER BY closed IS NULL, since \
               LIMIT max(0, (SELECT count(*) FROM incident) - ?1))";
    transaction.prepare(sql)?.execute([MOST_INCIDENTS])?;
    transaction.execute("DELETE FROM account WHERE id NOT IN (SELECT id FROM incident)", []).map(drop)
}

fn incident_values(incident: &IncidentRow) -> Vec<Value> {
    vec![
        text(&incident.id),
        text(&incident.cause),
        text(&incident.phase),
        text(&incident.side),
        text(&incident.scope),
        text(&incident.confidence),
        text(&incident.component),
        list(&incident.endpoints),
        list(&incident.evidence),
        seconds(incident.since),
        seconds(incident.published),
        incident.closed.map_or(Value::Null, seconds),
    ]
}

/// One item per line.
fn list(items: &[String]) -> Value {
    let items: Vec<_> = items.iter().map(|item| item.replace('\n', " ")).collect();
    Value::Text(items.join("\n"))
}

/// Which incidents are asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wanted<'a> {
    /// Those that are open or ended at this time or later, since the Unix epoch.
    Since(Duration),
    /// The one with this id.
    Id(&'a str),
    /// Those with this cause.
    Cause(&'a str),
}

impl Wanted<'_> {
    /// What is asked for in SQL, with its value.
    fn condition(self) -> (&'static str, Value) {
        match self {
            Self::Since(since) => ("closed IS NULL OR closed >= ?1", Value::Real(since.as_secs_f64())),
            Self::Id(id) => ("id = ?1", text(id)),
            Self::Cause(cause) => ("cause = ?1", text(cause)),
        }
    }
}

/// The incidents that are asked for, the oldest first, and how many rows do not fit their seal.
pub(super) fn read_incidents(
    connection: &Connection,
    wanted: Wanted<'_>,
) -> rusqlite::Result<(Vec<IncidentRow>, usize)> {
    let (condition, value) = wanted.condition();
    let mut statement = connection.prepare(&format!("SELECT * FROM incident WHERE {condition} ORDER BY since, id"))?;
    let mut rows = statement.query([&value])?;
    let (mut found, mut damaged) = (Vec::new(), 0);
    let mut accounts = read_accounts(connection, wanted)?;
    let lines = |text: String| text.lines().map(str::to_owned).collect();
    while let Some(row) = rows.next()? {
        if !is_sealed(row, &INCIDENT)? {
            damaged += 1;
            continue;
        }
        let closed: Option<f64> = row.get(11)?;
        let id: String = row.get(0)?;
        found.push(IncidentRow {
            account: accounts.remove(&id).unwrap_or_default(),
            id,
            cause: row.get(1)?,
            phase: row.get(2)?,
            side: row.get(3)?,
            scope: row.get(4)?,
            confidence: row.get(5)?,
            component: row.get(6)?,
            endpoints: lines(row.get(7)?),
            evidence: lines(row.get(8)?),
            since: time(row, 9)?,
            published: time(row, 10)?,
            closed: closed.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()),
        });
    }
    Ok((found, damaged))
}

/// The accounts of these incidents, by id; none where an earlier version wrote the store. One that does not fit its seal is left out.
fn read_accounts(connection: &Connection, wanted: Wanted<'_>) -> rusqlite::Result<BTreeMap<String, Account>> {
    let is_there = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'account'";
    if connection.query_row(is_there, [], |row| row.get::<_, i64>(0))? == 0 {
        return Ok(BTreeMap::new());
    }
    let (condition, value) = wanted.condition();
    let sql = format!("SELECT * FROM account WHERE id IN (SELECT id FROM incident WHERE {condition})");
    let mut statement = connection.prepare(&sql)?;
    let (mut rows, mut found) = (statement.query([&value])?, BTreeMap::new());
    while let Some(row) = rows.next()? {
        if is_sealed(row, &ACCOUNT)? {
            found.insert(row.get(0)?, Account::from_text(&row.get::<_, String>(1)?));
        }
    }
    Ok(found)
}
