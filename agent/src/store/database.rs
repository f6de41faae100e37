//! The SQLite file: its tables and transactions, how much of the history is kept and what is forgotten first,
//! which rows a reading since a time takes, and the checks before any of it is believed.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, Transaction, types::Value};

use super::{
    StoreError,
    incidents::{self, ACCOUNT, INCIDENT, Wanted, read_incidents},
    rows::{
        IncidentRow, Label, OutcomeRow, StateRow, clocks_from_text, clocks_to_text, level, standings_from_text,
        standings_to_text,
    },
    table::{Table, is_sealed, put, seconds, text, time},
};
use crate::risk::{estimate::RiskMemory, steps::ClockMemory};

/// `asea` in the file's header: this is an agent's store and nothing else's.
const APPLICATION: i64 = 0x6173_6561;
/// The version of the tables below.
pub(super) const VERSION: i64 = 1;
/// Stretches of outcomes that are remembered: about 10 MB.
const MOST_OUTCOMES: i64 = 50_000;
/// Outcomes forgotten at once, so that forgetting is rare.
const FORGET: i64 = 500;
/// How long a reader may hold the file.
const PATIENCE: Duration = Duration::from_secs(2);

const STATE: Table = Table {
    name: "state",
    columns: "id INTEGER PRIMARY KEY, saved REAL NOT NULL, level TEXT NOT NULL, since_change REAL NOT NULL, \
              sequence INTEGER NOT NULL, clocks TEXT NOT NULL, standings TEXT NOT NULL, seal INTEGER NOT NULL",
    count: 8,
};
const OUTCOME: Table = Table {
    name: "outcome",
    columns: "id INTEGER PRIMARY KEY, good INTEGER NOT NULL, endpoint TEXT NOT NULL, class TEXT NOT NULL, \
              result TEXT NOT NULL, cause TEXT, phase TEXT, began REAL NOT NULL, ended REAL NOT NULL, \
              count INTEGER NOT NULL, took REAL NOT NULL, seal INTEGER NOT NULL",
    count: 12,
};
const INDEXES: [&str; 3] = [
    "CREATE INDEX outcome_age ON outcome(good, id)",
    "CREATE INDEX outcome_time ON outcome(ended)",
    "CREATE INDEX incident_time ON incident(closed, since)",
];

/// The open file.
#[derive(Debug)]
pub(super) struct Database {
    connection: Connection,
    path: PathBuf,
    next_outcome: i64,
    outcomes: i64,
    /// Stretches of outcomes that are remembered.
    pub(super) most_outcomes: i64,
}

impl Database {
    /// Opens the file, which is made where it is missing, and believes nothing of it before everything was checked.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        if !path.exists() {
            create(path)?;
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let failed = |error| from_sqlite(path, error);
        let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(PATIENCE).map_err(failed)?;
        check_version(&connection, path)?;
        // FULL syncs the journal at every commit; only that covers a power cut. Rows are appended and seldom read again, so a
        // quarter of a megabyte of pages is enough: SQLite's 2 MB would look like a leak for half an hour.
        connection
            .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cell_size_check = ON; PRAGMA cache_size = -256; \
                 PRAGMA journal_size_limit = 4194304")
            .map_err(failed)?;
        incidents::make_accounts(&connection).map_err(failed)?;
        check_content(&connection, path)?;
        let count = |sql: &str| connection.query_row(sql, [], |row| row.get(0)).map_err(failed);
        let outcomes = count("SELECT count(*) FROM outcome")?;
        let next_outcome = count("SELECT coalesce(max(id), 0) + 1 FROM outcome")?;
        Ok(Self { connection, path: path.to_owned(), next_outcome, outcomes, most_outcomes: MOST_OUTCOMES })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The clocks as they were saved last; `None` before the first time.
    pub(super) fn state(&self) -> Result<Option<StateRow>, StoreError> {
        read_state(&self.connection, &self.path)
    }

    /// The incidents that were open at the last write, each with when it was last seen.
    pub(super) fn open_incidents(&self) -> Result<Vec<IncidentRow>, StoreError> {
        let read = || {
            let (mut incidents, _) = read_incidents(&self.connection, Wanted::Since(Duration::MAX))?;
            let seen = if incidents.is_empty() { BTreeMap::new() } else { last_bad(&self.connection)? };
            for row in &mut incidents {
                let last = row.endpoints.iter().filter_map(|id| seen.get(id).copied()).max();
                row.account.last_seen = last.max(Some(row.published));
            }
            Ok(incidents)
        };
        read().map_err(|error| from_sqlite(&self.path, error))
    }

    /// Writes all of it or nothing.
    pub(super) fn write(
        &mut self,
        state: Option<&StateRow>,
        outcomes: &[OutcomeRow],
        incidents: &[IncidentRow],
    ) -> rusqlite::Result<()> {
        let (first, had) = (self.next_outcome, self.outcomes);
        let result = self.try_write(state, outcomes, incidents);
        if result.is_err() {
            (self.next_outcome, self.outcomes) = (first, had);
        }
        result
    }

    fn try_write(
        &mut self,
        state: Option<&StateRow>,
        outcomes: &[OutcomeRow],
        incidents: &[IncidentRow],
    ) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        if let Some(state) = state {
            put(&transaction, &STATE, state_values(state))?;
        }
        for outcome in outcomes {
            put(&transaction, &OUTCOME, outcome_values(self.next_outcome, outcome))?;
            self.next_outcome += 1;
            self.outcomes += 1;
        }
        if self.outcomes > self.most_outcomes {
            self.outcomes -= forget_outcomes(&transaction, self.outcomes - self.most_outcomes + FORGET)?;
        }
        incidents::write(&transaction, incidents)?;
        transaction.commit()
    }
}

/// Builds a new store beside its place and moves it there in one step, so that a store is never half made: an empty file
/// in its place is damage, not a beginning.
fn create(path: &Path) -> Result<(), StoreError> {
    let io = |operation, path: &Path| {
        let path = path.to_owned();
        move |source| StoreError::Io { operation, path, source }
    };
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    for stale in
        [&draft, &suffixed(&draft, "-wal"), &suffixed(&draft, "-shm"), &suffixed(path, "-wal"), &suffixed(path, "-shm")]
    {
        drop(fs::remove_file(stale));
    }
    let failed = |error| from_sqlite(path, error);
    let connection = Connection::open(&draft).map_err(failed)?;
    let mut schema = format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION};");
    for table in [&STATE, &OUTCOME, &INCIDENT] {
        schema.push_str(&format!("CREATE TABLE {} ({}) STRICT;", table.name, table.columns));
    }
    schema.push_str(&INDEXES.join(";"));
    connection.execute_batch(&schema).map_err(failed)?;
    connection.close().map_err(|(_, error)| failed(error))?;
    File::open(&draft).and_then(|file| file.sync_all()).map_err(io("sync", &draft))?;
    fs::rename(&draft, path).map_err(io("make", path))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io("sync", folder))
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Whether this is a store, and one that this agent knows.
pub(super) fn check_version(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let pragma = |name| {
        connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(|error| from_sqlite(path, error))
    };
    if pragma("application_id")? != APPLICATION {
        return Err(damaged(path, "it is no store of this agent"));
    }
    match pragma("user_version")? {
        VERSION => Ok(()),
        found if found > VERSION => Err(StoreError::Newer { path: path.to_owned(), found, known: VERSION }),
        found => Err(damaged(path, &format!("there never was a schema version {found}"))),
    }
}

/// The structure by SQLite's own check, every value by the seal of its row.
fn check_content(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let failed = |error| from_sqlite(path, error);
    let said: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(failed)?;
    if said != "ok" {
        return Err(damaged(path, &said));
    }
    for table in [&STATE, &OUTCOME, &INCIDENT, &ACCOUNT] {
        let mut statement = connection.prepare(&format!("SELECT * FROM {}", table.name)).map_err(failed)?;
        if statement.column_count() != table.count {
            return Err(damaged(path, &format!("table {} has another shape", table.name)));
        }
        let mut rows = statement.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            if !is_sealed(row, table).map_err(failed)? {
                return Err(damaged(path, &format!("a row of table {} does not fit its seal", table.name)));
            }
        }
    }
    read_state(connection, path).map(drop)
}

/// Forgets this many outcomes, good ones first, the oldest first; returns how many it forgot.
fn forget_outcomes(transaction: &Transaction<'_>, count: i64) -> rusqlite::Result<i64> {
    let sql = "DELETE FROM outcome WHERE id IN (SELECT id FROM outcome ORDER BY good DESC, id LIMIT ?1)";
    transaction.prepare(sql)?.execute([count]).map(|forgotten| forgotten as i64)
}

fn state_values(state: &StateRow) -> Vec<Value> {
    let risk = &state.memory.risk;
    vec![
        Value::Integer(1),
        seconds(state.saved),
        text(risk.level.label()),
        seconds(risk.since_change),
        Value::Integer(i64::try_from(risk.sequence).unwrap_or(i64::MAX)),
        Value::Text(clocks_to_text(risk)),
        Value::Text(standings_to_text(&state.memory.standings)),
    ]
}

fn outcome_values(id: i64, outcome: &OutcomeRow) -> Vec<Value> {
    let or_null = |label: &Option<Label>| label.as_deref().map_or(Value::Null, text);
    vec![
        Value::Integer(id),
        Value::Integer(i64::from(outcome.is_good())),
        text(&outcome.endpoint),
        text(&outcome.class),
        text(&outcome.result),
        or_null(&outcome.cause),
        or_null(&outcome.phase),
        seconds(outcome.began),
        seconds(outcome.ended),
        Value::Integer(i64::from(outcome.count)),
        seconds(outcome.took),
    ]
}

/// When the last visit ended that showed an endpoint bad, for every endpoint with one that is remembered.
fn last_bad(connection: &Connection) -> rusqlite::Result<BTreeMap<String, Duration>> {
    let mut statement =
        connection.prepare("SELECT endpoint, max(ended) FROM outcome WHERE good = 0 GROUP BY endpoint")?;
    statement.query_map([], |row| Ok((row.get(0)?, time(row, 1)?)))?.collect()
}

/// The clocks as they were saved last.
pub(super) fn read_state(connection: &Connection, path: &Path) -> Result<Option<StateRow>, StoreError> {
    let failed = |error| from_sqlite(path, error);
    let mut statement = connection.prepare("SELECT * FROM state WHERE id = 1").map_err(failed)?;
    let mut rows = statement.query([]).map_err(failed)?;
    let Some(row) = rows.next().map_err(failed)? else { return Ok(None) };
    if !is_sealed(row, &STATE).map_err(failed)? {
        return Err(damaged(path, "the clocks do not fit their seal"));
    }
    let words = |column| row.get::<_, String>(column).map_err(failed);
    let (label, clocks, standings) = (words(2)?, words(5)?, words(6)?);
    let (Some(level), Some(clocks), Some(standings)) =
        (level(&label), clocks_from_text(&clocks), standings_from_text(&standings))
    else {
        return Err(damaged(path, "the clocks cannot be read"));
    };
    let sequence = row.get::<_, i64>(4).map_err(failed)?;
    let sequence = u64::try_from(sequence).unwrap_or_default();
    let risk = RiskMemory { clocks, level, since_change: time(row, 3).map_err(failed)?, sequence };
    Ok(Some(StateRow { saved: time(row, 1).map_err(failed)?, memory: ClockMemory { risk, standings } }))
}

/// Outcomes that ended at `since` or later, in the order they were written, and how many rows do not fit their seal.
pub(super) fn read_outcomes(
    connection: &Connection,
    since: Duration,
    endpoint: Option<&str>,
) -> rusqlite::Result<(Vec<OutcomeRow>, usize)> {
    let mut found = Vec::new();
    let damaged = each_outcome(connection, since, endpoint, |row| found.push(row))?;
    Ok((found, damaged))
}

/// Hands over the same rows one by one; returns how many do not fit their seal.
pub(super) fn each_outcome(
    connection: &Connection,
    since: Duration,
    endpoint: Option<&str>,
    mut take: impl FnMut(OutcomeRow),
) -> rusqlite::Result<usize> {
    // A host alone stands for all its ports; an address in IPv6 notation has brackets in an id.
    let sql = "SELECT * FROM outcome WHERE ended >= ?1 AND (?2 IS NULL OR endpoint = ?2 \
               OR substr(endpoint, 1, length(?2) + 1) = ?2 || ':' \
               OR substr(endpoint, 1, length(?2) + 3) = '[' || ?2 || ']:') ORDER BY id";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query((since.as_secs_f64(), endpoint))?;
    let mut damaged = 0;
    while let Some(row) = rows.next()? {
        if !is_sealed(row, &OUTCOME)? {
            damaged += 1;
            continue;
        }
        let label = |column| row.get(column).map(|label: Option<String>| label.map(Label::from));
        take(OutcomeRow {
            endpoint: row.get(2)?,
            class: label(3)?.unwrap_or_default(),
            result: label(4)?.unwrap_or_default(),
            cause: label(5)?,
            phase: label(6)?,
            began: time(row, 7)?,
            ended: time(row, 8)?,
            count: row.get(9)?,
            took: time(row, 10)?,
        });
    }
    Ok(damaged)
}

/// What SQLite said, as damage where it is that.
pub(super) fn from_sqlite(path: &Path, source: rusqlite::Error) -> StoreError {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    let shape =
        matches!(source, rusqlite::Error::InvalidColumnType(..) | rusqlite::Error::FromSqlConversionFailure(..));
    match source.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => damaged(path, &source.to_string()),
        // A table or a column is gone: the schema itself was hit.
        Some(rusqlite::ErrorCode::Unknown) => damaged(path, &source.to_string()),
        _ if shape => damaged(path, &source.to_string()),
        Some(_) | None => StoreError::Sqlite { path: path.to_owned(), source },
    }
}

fn damaged(path: &Path, what: &str) -> StoreError {
    StoreError::Damaged { path: path.to_owned(), what: what.to_owned() }
}
