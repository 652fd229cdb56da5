//! Sessions and executions as a person names them.

use store_core::Error;
use uuid::Uuid;

use crate::read::reader::Reader;
use crate::sqlite::{queries, rows};

/// The shortest beginning of an id that is looked up, in hex digits.
const MIN_DIGITS: usize = 4;

/// How many ids an ambiguous beginning is answered with.
const MAX_FOUND: i64 = 3;

impl Reader {
    /// The sessions that `text` may mean: the newest of that name, of any user and in any state, else
    /// those whose id begins with it (up to 3).
    pub fn sessions_named(&self, text: &str) -> Result<Vec<Uuid>, Error> {
        let named = self.one(queries::SESSION_NEWEST_OF_NAME, [text], |row| rows::uuid(row, 0))?;
        match named {
            Some(named) => Ok(vec![named]),
            None => self.ids_beginning(queries::SESSION_IDS, text),
        }
    }

    /// The executions whose id begins with `text` (up to 3).
    pub fn executions_named(&self, text: &str) -> Result<Vec<Uuid>, Error> {
        self.ids_beginning(queries::EXECUTION_IDS, text)
    }

    fn ids_beginning(&self, sql: &str, text: &str) -> Result<Vec<Uuid>, Error> {
        let Some([first, last]) = range_of(text) else { return Ok(Vec::new()) };
        let range = rusqlite::params![first.as_bytes(), last.as_bytes(), MAX_FOUND];
        self.many(sql, range, |row| rows::uuid(row, 0))
    }
}

/// The first and the last id that begin with `text`. `None`: no id does.
fn range_of(text: &str) -> Option<[Uuid; 2]> {
    let digits = text.replace('-', "");
    if !(MIN_DIGITS..=32).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_hexdigit())
    {
        return None;
    }
    let first = Uuid::try_parse(&format!("{digits:0<32}")).ok()?;
    let last = Uuid::try_parse(&format!("{digits:f<32}")).ok()?;
    Some([first, last])
}
