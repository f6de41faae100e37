//! Reads a store while an agent writes it, or after its end. It changes nothing.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use ase_probes::regular_file::{self, FileError};
use rusqlite::{Connection, OpenFlags};

pub use super::incidents::Wanted;
use super::{
    FILE, StoreError,
    database::{self, from_sqlite},
    rows::{IncidentRow, OutcomeRow, StateRow},
};

/// How long the writer may hold the file.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Only what went on at this time or later, since the Unix epoch.
    pub since: Duration,
    /// Only this endpoint, by its id or by its host alone.
    pub endpoint: Option<String>,
}

/// What is remembered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// The clocks as they were saved last.
    pub state: Option<StateRow>,
    /// Incidents that are open or ended since then, the oldest first.
    pub incidents: Vec<IncidentRow>,
    /// Outcomes since then, in the order they were written.
    pub outcomes: Vec<OutcomeRow>,
    /// The endpoint or host that alone was asked for.
    pub asked: Option<String>,
    /// Open incidents that do not concern what was asked for.
    pub open_elsewhere: usize,
    /// Rows that do not fit their seal and were left out.
    pub damaged: usize,
}

/// Reads the store below `folder`.
///
/// # Errors
/// When there is none, it is damaged or newer than this program.
pub fn read(folder: &Path, query: &Query) -> Result<History, StoreError> {
    let (path, connection) = checked(folder)?;
    let failed = |error| from_sqlite(&path, error);
    let state = database::read_state(&connection, &path)?;
    let (mut incidents, damaged_incidents) =
        super::incidents::read_incidents(&connection, Wanted::Since(query.since)).map_err(failed)?;
    let open = |incidents: &[IncidentRow]| incidents.iter().filter(|incident| incident.closed.is_none()).count();
    let open_everywhere = open(&incidents);
    if let Some(endpoint) = &query.endpoint {
        incidents.retain(|incident| incident.endpoints.iter().any(|id| concerns(id, endpoint)));
    }
    let outcomes = database::read_outcomes(&connection, query.since, query.endpoint.as_deref());
    let (outcomes, damaged_outcomes) = outcomes.map_err(failed)?;
    let open_elsewhere = open_everywhere - open(&incidents);
    let (asked, damaged) = (query.endpoint.clone(), damaged_incidents + damaged_outcomes);
    Ok(History { state, incidents, outcomes, asked, open_elsewhere, damaged })
}

/// The store below `folder`, of a version that this program knows.
fn checked(folder: &Path) -> Result<(PathBuf, Connection), StoreError> {
    let path = folder.join(FILE);
    // SQLite would wait at a pipe.
    regular_file::check(&path).map_err(|error| {
        let source = match error {
            FileError::Unreadable(source) => source,
            rule @ (FileError::Directory | FileError::Special | FileError::Large { .. }) => io::Error::other(rule),
        };
        StoreError::Io { operation: "read", path: path.clone(), source }
    })?;
    let connection = open(&path).map_err(|error| from_sqlite(&path, error))?;
    database::check_version(&connection, &path)?;
    Ok((path, connection))
}

/// The incidents that are asked for, the oldest first.
///
/// # Errors
/// When there is no store below `folder`, it is damaged or newer than this program.
pub fn incidents(folder: &Path, wanted: Wanted<'_>) -> Result<Vec<IncidentRow>, StoreError> {
    let (path, connection) = checked(folder)?;
    let found = super::incidents::read_incidents(&connection, wanted).map_err(|error| from_sqlite(&path, error))?;
    Ok(found.0)
}

/// Hands over every outcome that ended at `since` or later, in the order they were written, without holding them all;
/// returns how many rows do not fit their seal.
///
/// # Errors
/// When there is no store below `folder`, it is damaged or newer than this program.
pub fn each_outcome(folder: &Path, since: Duration, take: impl FnMut(OutcomeRow)) -> Result<usize, StoreError> {
    let (path, connection) = checked(folder)?;
    database::each_outcome(&connection, since, None, take).map_err(|error| from_sqlite(&path, error))
}

/// The outcomes of the endpoint with this id that ended at `since` or later, in the order they were written.
///
/// # Errors
/// When there is no store below `folder`, it is damaged or newer than this program.
pub fn outcomes(folder: &Path, since: Duration, id: &str) -> Result<Vec<OutcomeRow>, StoreError> {
    let (path, connection) = checked(folder)?;
    let read = database::read_outcomes(&connection, since, Some(id));
    let (mut outcomes, _) = read.map_err(|error| from_sqlite(&path, error))?;
    // A host alone stands for all its ports there.
    outcomes.retain(|row| *row.endpoint == *id);
    Ok(outcomes)
}

/// Whether an id is the one asked for, or that of an endpoint at the host asked for. `read_outcomes` says the same in SQL.
fn concerns(id: &str, asked: &str) -> bool {
    let at_host = |host: &str| id.strip_prefix(host).is_some_and(|rest| rest.starts_with(':'));
    id == asked || at_host(asked) || at_host(&format!("[{asked}]"))
}

/// Where the directory may not be written and no agent runs, SQLite cannot make the files it shares with a writer; a
/// store without a journal can then be read as one that does not change.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let usable = |connection: Connection| {
        connection.busy_timeout(PATIENCE)?;
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(connection)
    };
    match Connection::open_with_flags(path, flags).and_then(usable) {
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::CannotOpen) => {
            let path = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
            let uri = format!("file:{path}?immutable=1");
            Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI).and_then(usable)
        }
        result => result,
    }
}
