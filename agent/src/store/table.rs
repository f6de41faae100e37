//! A table of sealed rows: how a row is put, how it is seen that it fits its seal, and how times and texts are stored in it.

use std::time::Duration;

use rusqlite::{
    Row, Transaction, params_from_iter,
    types::{Value, ValueRef},
};

use super::seal::Seal;

/// One table. The last column of each is its seal.
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: &'static str,
    pub(super) count: usize,
}

/// Whether a row fits its seal.
pub(super) fn is_sealed(row: &Row<'_>, table: &Table) -> rusqlite::Result<bool> {
    let mut seal = Seal::of(table.name);
    for column in 0..table.count - 1 {
        seal.value(row.get_ref(column)?);
    }
    Ok(row.get_ref(table.count - 1)? == ValueRef::Integer(seal.finish()))
}

/// Writes a row with its seal.
pub(super) fn put(transaction: &Transaction<'_>, table: &Table, mut values: Vec<Value>) -> rusqlite::Result<()> {
    let mut seal = Seal::of(table.name);
    values.iter().for_each(|value| seal.value(ValueRef::from(value)));
    values.push(Value::Integer(seal.finish()));
    let places = vec!["?"; values.len()].join(", ");
    let sql = format!("INSERT OR REPLACE INTO {} VALUES ({places})", table.name);
    transaction.prepare(&sql)?.execute(params_from_iter(values)).map(drop)
}

/// A time as it is stored.
pub(super) fn seconds(time: Duration) -> Value {
    Value::Real(time.as_secs_f64())
}

/// A text as it is stored.
pub(super) fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// A time as it was stored.
pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Duration> {
    let seconds: f64 = row.get(column)?;
    Ok(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}
