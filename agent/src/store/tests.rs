//! What a store keeps, and what it does with one that is not what was written.

use std::{
    collections::BTreeMap,
    fs,
    io::{Seek as _, SeekFrom, Write as _},
};

use ase_probes::class::Class;
use rand::{RngExt as _, SeedableRng, rngs::StdRng};

use super::{
    account::Account,
    database::{Database, VERSION},
    history::{self, Query, Wanted},
    *,
};
use crate::{
    model::catalog::EndpointId,
    risk::{
        estimate::{ClockTime, Level, RiskMemory},
        hysteresis::{Hysteresis, Standing},
        steps::ClockMemory,
    },
};

const NOW: Duration = Duration::from_secs(1_800_000_000);

fn state(outage: f64) -> StateRow {
    let clocks = BTreeMap::from([(Class::Sql, ClockTime { outage, loss: 0.5, healthy: 0 })]);
    let risk =
        RiskMemory { clocks, level: Level::Warn, since_change: Duration::from_secs(90), sequence: outage as u64 };
    let standing = Hysteresis { standing: Standing::Down, bad: 4, good: 0, tested: false };
    let standings = BTreeMap::from([(EndpointId("db:1433".into()), standing)]);
    StateRow { saved: NOW, memory: ClockMemory { risk, standings } }
}

fn outcome(result: &str, number: u64) -> OutcomeRow {
    OutcomeRow {
        endpoint: "db:1433".into(),
        class: "sql".into(),
        result: result.to_owned().into(),
        cause: (result == "failed").then(|| "dropped".into()),
        phase: (result == "failed").then(|| "connect".into()),
        began: NOW + Duration::from_secs(number),
        ended: NOW + Duration::from_secs(number + 1),
        count: 1,
        took: Duration::from_millis(250),
    }
}

fn incident(id: &str, closed: Option<Duration>) -> IncidentRow {
    IncidentRow {
        id: id.to_owned(),
        cause: "dropped".to_owned(),
        component: "port 1433".to_owned(),
        endpoints: vec!["db:1433".to_owned(), "db-b:1433".to_owned()],
        evidence: vec!["no answer to 4 SYN".to_owned()],
        since: NOW,
        published: NOW + Duration::from_secs(4),
        closed,
        ..IncidentRow::default()
    }
}

/// A store with clocks, an open incident and fifty outcomes, closed again.
fn filled(folder: &Path) {
    let mut store = Store::open(folder, NOW).expect("the folder is writable");
    store.save(state(1234.5));
    store.report(incident("one", None));
    for number in 0..50 {
        store.add(outcome(if number % 5 == 0 { "failed" } else { "healthy" }, number));
    }
    assert!(store.flush());
}

fn all(folder: &Path) -> history::History {
    history::read(folder, &Query::default()).expect("the store can be read")
}

#[test]
fn what_was_handed_over_is_there_after_the_end() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    filled(folder.path());
    let mut store = Store::open(folder.path(), NOW).expect("it opens again");
    assert_eq!(store.recalled(), Some(&state(1234.5)));
    assert_eq!(store.view().resets, 0);
    store.report(incident("one", Some(NOW + Duration::from_secs(60))));
    assert!(store.flush());
    let history = all(folder.path());
    assert_eq!(history.incidents, [incident("one", Some(NOW + Duration::from_secs(60)))]);
    assert_eq!((history.outcomes.len(), history.damaged), (50, 0));
    assert_eq!(history.outcomes[5], outcome("failed", 5));
}

#[test]
fn a_store_without_accounts_of_incidents_is_read_and_gets_them() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    filled(folder.path());
    let connection = rusqlite::Connection::open(folder.path().join(FILE)).expect("it is there");
    connection
        .execute_batch("DROP TABLE account; PRAGMA wal_checkpoint(TRUNCATE)")
        .expect("an earlier version had none");
    drop(connection);
    assert_eq!(all(folder.path()).incidents, [incident("one", None)]);
    let mut told = incident("two", None);
    told.account.note(NOW, "it was seen".to_owned());
    let mut store = Store::open(folder.path(), NOW).expect("an earlier version's store is good");
    assert_eq!(store.view().resets, 0);
    store.report(told.clone());
    assert!(store.flush());
    drop(store);
    assert_eq!(all(folder.path()).incidents, [incident("one", None), told]);
}

#[test]
fn a_reader_sees_what_a_writer_committed_and_asks_for_less() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut store = Store::open(folder.path(), NOW).expect("the folder is writable");
    store.report(incident("open", None));
    store.report(incident("old", Some(NOW)));
    for number in 0..10 {
        store.add(outcome("failed", number));
    }
    assert!(store.flush());
    let wanted = |wanted| history::incidents(folder.path(), wanted).expect("it is readable while it is written");
    assert_eq!(wanted(Wanted::Id("old")), [incident("old", Some(NOW))]);
    assert_eq!((wanted(Wanted::Id("older")).len(), wanted(Wanted::Cause("dropped")).len()), (0, 2));
    assert_eq!(wanted(Wanted::Since(NOW + Duration::from_secs(1))), [incident("open", None)]);
    let elsewhere = |endpoint: &str| {
        let query = Query { endpoint: Some(endpoint.to_owned()), ..Query::default() };
        history::read(folder.path(), &query).expect("it is readable while it is written").open_elsewhere
    };
    assert_eq!((elsewhere("db"), elsewhere("nowhere")), (0, 1), "one is open, and it is at the database");
    let asked = |since: u64, endpoint: &str| {
        let query = Query { since: NOW + Duration::from_secs(since), endpoint: Some(endpoint.to_owned()) };
        let history = history::read(folder.path(), &query).expect("it is readable while it is written");
        (history.incidents.len(), history.outcomes.len())
    };
    assert_eq!((asked(0, "db:1433"), asked(5, "db:1433"), asked(0, "nowhere:1")), ((2, 10), (1, 6), (0, 0)));
    assert_eq!(
        (asked(0, "db"), asked(0, "d"), asked(0, "db:143")),
        ((2, 10), (0, 0), (0, 0)),
        "a host stands for its ports"
    );
}

#[test]
fn one_agent_at_a_time_uses_a_store() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let first = Store::open(folder.path(), NOW).expect("the folder is writable");
    assert!(matches!(Store::open(folder.path(), NOW), Err(StoreError::Locked { .. })));
    drop(first);
    assert!(Store::open(folder.path(), NOW).is_ok());
}

#[test]
fn a_truncated_store_is_set_aside_at_every_length() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(FILE);
    filled(folder.path());
    let whole = fs::read(&path).expect("the store is there");
    for length in [0, 1, 15, 100, 4095, 4096, 8192, whole.len() / 2, whole.len() - 4096] {
        fs::write(&path, &whole[..length]).expect("the store can be cut");
        let store = Store::open(folder.path(), NOW).expect("the agent runs on");
        assert_eq!(store.recalled(), None, "cut to {length} of {}", whole.len());
        assert!(store.view().resets > 0);
    }
    // Zeros at the end of the last page may be missing: SQLite reads them all the same.
    fs::write(&path, &whole[..whole.len() - 1]).expect("the store can be cut");
    let store = Store::open(folder.path(), NOW).expect("the agent runs on");
    assert!([None, Some(&state(1234.5))].contains(&store.recalled()), "{:?}", store.recalled());
    assert_eq!(aside::remains(folder.path()), 5, "no more than five remain");
}

#[test]
fn a_flipped_bit_is_noticed_or_harmless() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(FILE);
    filled(folder.path());
    let (whole, expected) = (fs::read(&path).expect("the store is there"), all(folder.path()));
    let mut rng = StdRng::from_seed([3; 32]);
    let mut noticed = 0;
    for _ in 0..300 {
        let mut bytes = whole.clone();
        let at = rng.random_range(0..bytes.len());
        bytes[at] ^= 1 << rng.random_range(0..8);
        fs::write(&path, &bytes).expect("the store can be changed");
        drop(fs::remove_file(path.with_extension("db-wal")));
        match Database::open(&path).and_then(|database| database.state()) {
            Ok(found) => {
                assert_eq!(found, expected.state, "byte {at}");
                assert_eq!(all(folder.path()), expected, "byte {at}");
            }
            Err(StoreError::Damaged { .. } | StoreError::Newer { .. }) => noticed += 1,
            Err(error) => panic!("byte {at}: {error}"),
        }
    }
    assert!(noticed > 30, "{noticed} of 300");
}

#[test]
fn a_flipped_bit_in_the_clocks_is_always_noticed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(FILE);
    filled(folder.path());
    let whole = fs::read(&path).expect("the store is there");
    let at = whole.windows(6).position(|text| text == b"1234.5").expect("the clock is text");
    for (offset, bit) in (0..6).flat_map(|offset| (0..8).map(move |bit| (offset, bit))) {
        let mut bytes = whole.clone();
        bytes[at + offset] ^= 1 << bit;
        fs::write(&path, &bytes).expect("the store can be changed");
        assert!(matches!(Database::open(&path), Err(StoreError::Damaged { .. })), "byte {offset}, bit {bit}");
    }
}

#[test]
fn a_flipped_bit_in_the_journal_leads_to_an_earlier_commit_and_to_nothing_else() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (path, copy) = (folder.path().join(FILE), tempfile::tempdir().expect("a temporary folder"));
    let mut store = Store::open(folder.path(), NOW).expect("the folder is writable");
    for step in 1..=20 {
        store.save(state(f64::from(step)));
        assert!(store.flush());
    }
    let (whole, journal) =
        (fs::read(&path).expect("a store"), fs::read(path.with_extension("db-wal")).expect("a journal"));
    let mut rng = StdRng::from_seed([4; 32]);
    let mut earlier = 0;
    for _ in 0..100 {
        let mut bytes = journal.clone();
        let at = rng.random_range(0..bytes.len());
        bytes[at] ^= 1 << rng.random_range(0..8);
        let target = copy.path().join(FILE);
        drop(fs::remove_file(target.with_extension("db-shm")));
        fs::write(&target, &whole).expect("a copy");
        fs::write(target.with_extension("db-wal"), &bytes).expect("a copy");
        match Database::open(&target).and_then(|database| database.state()) {
            Ok(found) => {
                let step = found.as_ref().map_or(0, |found| found.memory.risk.sequence);
                assert!(found.is_none() || found == Some(state(step as f64)), "byte {at}: {found:?}");
                earlier += u32::from(step < 20);
            }
            Err(StoreError::Damaged { .. }) => {}
            Err(error) => panic!("byte {at}: {error}"),
        }
    }
    assert!(earlier > 0);
}

#[test]
fn a_newer_store_is_kept_for_the_newer_agent() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(FILE);
    filled(folder.path());
    let connection = rusqlite::Connection::open(&path).expect("SQLite opens it");
    connection.execute_batch(&format!("PRAGMA user_version = {}", VERSION + 1)).expect("the version is raised");
    drop(connection);
    assert!(matches!(history::read(folder.path(), &Query::default()), Err(StoreError::Newer { found: 2, .. })));
    let store = Store::open(folder.path(), NOW).expect("the agent runs on");
    assert_eq!((store.recalled(), store.view().resets), (None, 1));
    assert!(folder.path().join("memory.db.newer-1800000000").exists());
}

#[test]
fn another_programs_file_is_no_store() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let connection = rusqlite::Connection::open(folder.path().join(FILE)).expect("SQLite opens it");
    connection.execute_batch("CREATE TABLE other (a)").expect("a table");
    drop(connection);
    let store = Store::open(folder.path(), NOW).expect("the agent runs on");
    assert_eq!(store.view().resets, 1);
    assert!(matches!(
        history::read(tempfile::tempdir().expect("empty").path(), &Query::default()),
        Err(StoreError::Io { .. })
    ));
}

#[test]
fn successes_are_forgotten_before_failures() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(FILE);
    let mut database = Database::open(&path).expect("a new store");
    database.most_outcomes = 1000;
    let rows = |result: &str, range: std::ops::Range<u64>| range.map(|n| outcome(result, n)).collect::<Vec<_>>();
    database.write(None, &rows("failed", 0..300), &[]).expect("written");
    for batch in 0..20 {
        database.write(None, &rows("healthy", 300 + batch * 100..400 + batch * 100), &[]).expect("written");
    }
    let count = |result: &str| all(folder.path()).outcomes.iter().filter(|row| row.result == result).count();
    assert_eq!(count("failed"), 300);
    assert!((200..=700).contains(&count("healthy")), "{}", count("healthy"));
    for batch in 0..20 {
        database.write(None, &rows("failed", 3000 + batch * 100..3100 + batch * 100), &[]).expect("written");
    }
    assert_eq!(count("healthy"), 0);
    assert!((500..=1000).contains(&count("failed")));
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error_with_its_name() {
    let error = Store::open(Path::new("/dev/null/state"), NOW).expect_err("no folder can be made there");
    assert!(error.to_string().starts_with("cannot make /dev/null/state: "), "{error}");
}

#[test]
fn a_directory_that_is_removed_is_made_anew_with_what_this_process_knows() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path().join("state");
    let mut store = Store::open(&folder, NOW).expect("the folder is writable");
    store.save(state(60.0));
    store.report(incident("open", None));
    store.report(incident("over", Some(NOW)));
    store.add(outcome("failed", 0));
    assert!(store.flush());
    fs::remove_dir_all(&folder).expect("it can be removed");
    store.add(outcome("failed", 1));
    assert!(store.flush() && store.view().ok == Some(true));
    let found = all(&folder);
    assert_eq!((found.incidents, found.outcomes), (vec![incident("open", None)], vec![outcome("failed", 1)]));
    assert_eq!(
        Database::open(&folder.join(FILE)).and_then(|database| database.state()).expect("a store"),
        Some(state(60.0))
    );
}

#[test]
fn a_store_that_is_damaged_while_it_is_used_begins_anew_with_what_this_process_knows() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(FILE);
    let mut store = Store::open(folder.path(), NOW).expect("the folder is writable");
    store.save(state(60.0));
    store.report(incident("open", None));
    store.report(incident("over", Some(NOW)));
    store.add(outcome("failed", 0));
    assert!(store.flush());
    // All of it goes from the journal into the file, and a change by somebody else empties the writer's cache.
    let other = rusqlite::Connection::open(&path).expect("it is a store");
    other.execute_batch("DELETE FROM outcome; PRAGMA wal_checkpoint(TRUNCATE)").expect("nobody writes");
    let mut file = fs::File::options().write(true).open(&path).expect("it is there");
    let pages = fs::metadata(&path).expect("it is there").len() - 4096;
    file.seek(SeekFrom::Start(4096)).and_then(|_| file.write_all(&vec![0x5a; pages as usize])).expect("it is writable");
    store.add(outcome("failed", 1));
    assert!(store.flush() && store.view().ok == Some(true) && store.view().resets == 1);
    let found = all(folder.path());
    assert_eq!(found.state, Some(state(60.0)));
    assert_eq!((found.incidents, found.outcomes), (vec![incident("open", None)], vec![outcome("failed", 1)]));
    store.add(outcome("failed", 2));
    assert!(store.flush() && store.view().resets == 1);
    assert_eq!(all(folder.path()).outcomes.len(), 2);
    drop(other);
}

#[test]
fn a_directory_that_is_gone_and_cannot_be_made_shows_and_loses_nothing_that_fits() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let folder = root.path().join("state");
    let mut store = Store::open(&folder, NOW).expect("the folder is writable");
    fs::remove_dir_all(&folder).expect("it can be removed");
    fs::write(&folder, "a file in its place").expect("it can be written");
    store.add(outcome("failed", 1));
    assert!(!store.flush());
    assert_eq!(store.view().ok, Some(false));
    store.add(outcome("failed", 2));
    fs::remove_file(&folder).expect("it can be removed");
    assert!(store.flush());
    assert_eq!((store.view().ok, store.view().dropped), (Some(true), 0));
    assert_eq!(all(&folder).outcomes, [outcome("failed", 1), outcome("failed", 2)]);
}

#[test]
fn a_store_that_could_not_be_used_at_the_start_is_tried_again_and_its_clocks_are_not_written_over() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let (folder, away) = (root.path().join("state"), root.path().join("away"));
    filled(&folder);
    fs::rename(&folder, &away).expect("it is not mounted yet");
    fs::write(&folder, "a file in its place").expect("it can be written");
    let (mut store, failed) = Store::start(&folder, NOW).expect("there are threads");
    assert!(failed.is_some() && store.view().ok == Some(false) && !store.opened_late());
    store.save(state(1.0));
    assert!(!store.flush());
    fs::remove_file(&folder).and_then(|()| fs::rename(&away, &folder)).expect("it is mounted now");
    assert!(store.flush() && store.view().ok == Some(true));
    assert!(store.opened_late() && !store.opened_late());
    assert_eq!(store.recalled(), Some(&state(1234.5)));
    let [one] = store.open_incidents() else { panic!("one is open: {:?}", store.open_incidents()) };
    assert_eq!(one.account.last_seen, Some(NOW + Duration::from_secs(46)), "the end of the last visit that failed");
    let account = Account::default();
    assert_eq!(IncidentRow { account, ..one.clone() }, incident("one", None));
    drop(store);
    let store = Store::open(&folder, NOW).expect("it opens again");
    assert_eq!(store.recalled(), Some(&state(1234.5)), "who was not recalled was not saved");
}

#[tokio::test]
async fn a_disk_that_hangs_is_not_waited_for_at_the_end() {
    let (hanging, ended) = oneshot::channel();
    let closing = Closing { ended: Some(ended), is_whole: true };
    assert!(!closing.wait(Duration::from_millis(10)).await);
    drop(hanging);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut store = Store::open(folder.path(), NOW).expect("the folder is writable");
    store.add(outcome("failed", 1));
    assert!(store.close().wait(Duration::from_secs(60)).await);
    assert_eq!(all(folder.path()).outcomes, [outcome("failed", 1)]);
}

#[test]
fn a_store_that_is_a_pipe_is_refused_by_whoever_reads() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let pipe = folder.path().join(FILE);
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
    assert!(made.success());
    // Whoever opens it here waits for nobody: a failure is no hang.
    let _other_end = fs::File::options().read(true).write(true).open(&pipe).expect("both ends at once");
    let said = |error: StoreError| error.to_string();
    let all = history::read(folder.path(), &Query::default()).map(|_| ()).map_err(said);
    let incidents = history::incidents(folder.path(), Wanted::Since(NOW)).map(|_| ()).map_err(said);
    let outcomes = history::each_outcome(folder.path(), NOW, |_| {}).map(|_| ()).map_err(said);
    for refused in [all, incidents, outcomes] {
        let error = refused.expect_err("it is no store");
        assert!(error.ends_with("memory.db: must be a regular file, and is a pipe, socket or device"), "{error}");
    }
}

#[test]
fn a_lock_that_is_a_pipe_holds_nobody_up() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let made = std::process::Command::new("mkfifo").arg(folder.path().join(LOCK)).status().expect("mkfifo runs");
    assert!(made.success());
    let error = Store::open(folder.path(), NOW).expect_err("it is no lock");
    assert!(error.to_string().ends_with("lock: it is a pipe"), "{error}");
}

#[test]
fn a_disk_that_hangs_while_it_is_used_shows() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut store = Store::open(folder.path(), NOW).expect("the folder is writable");
    assert!(store.flush() && store.shared.asked.lock().expect("nobody panicked").is_none(), "it owes nothing");
    // Somebody else holds the file: the writer waits for it as it waits for a disk.
    let other = rusqlite::Connection::open(folder.path().join(FILE)).expect("it is there");
    other.execute_batch("BEGIN IMMEDIATE").expect("nobody writes");
    store.report(incident("one", None));
    let until = clock::now() + Duration::from_secs(30);
    while store.shared.asked.lock().expect("nobody panicked").is_none() {
        assert!(clock::now() < until, "the writer asks the disk");
        std::thread::sleep(Duration::from_millis(5));
    }
    let now = clock::now();
    assert_eq!(store.view_at(now).ok, Some(true));
    assert_eq!(store.view_at(now + HANGS_AFTER + GLANCE).ok, Some(false));
    other.execute_batch("ROLLBACK").expect("it was begun");
    assert!(store.flush(), "the disk answers");
    assert_eq!(store.view_at(now + HANGS_AFTER + GLANCE).ok, Some(true));
}

#[test]
fn addresses_of_an_earlier_process_are_taken_up_with_the_store_and_not_written_over_before() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let (folder, away) = (root.path().join("state"), root.path().join("away"));
    let text = "ase-agent/addresses/1\nendpoint 4 1 db:1433\n20.1.1.1 1800000000 1800000000\n";
    drop(Store::open(&folder, NOW).expect("the folder is writable"));
    fs::write(folder.join("addresses"), text).expect("the folder is writable");
    let mut store = Store::open(&folder, NOW).expect("it opens again");
    assert_eq!(store.take_addresses().of("db:1433").map(|known| known.visits), Some(4));
    drop(store);
    fs::rename(&folder, &away).expect("it is not mounted yet");
    fs::write(&folder, "a file in its place").expect("it can be written");
    let (mut store, _) = Store::start(&folder, NOW).expect("there are threads");
    store.note_addresses("ase-agent/addresses/1\n".to_owned());
    assert!(!store.flush());
    fs::remove_file(&folder).and_then(|()| fs::rename(&away, &folder)).expect("it is mounted now");
    assert!(store.flush() && store.opened_late());
    assert_eq!(store.take_addresses().of("db:1433").map(|known| known.visits), Some(4));
    assert_eq!(fs::read_to_string(folder.join("addresses")).expect("it is there"), text);
}
