use std::path::PathBuf;

use rusqlite::Connection;

use crate::ends;
use crate::error::StoreError;
use crate::queue::Queued;
use crate::totals::{self, Totals};
use crate::writer::Tx;

/// What the requests of a group ask for once they are durable.
#[derive(Default)]
pub(crate) struct Effects {
    pub(crate) queue: i64,
    pub(crate) totals: Totals,
    pub(crate) unlink: Vec<PathBuf>,
    pub(crate) ring: bool,
}

impl Effects {
    fn take(&mut self, tx: Tx<'_>) {
        self.queue = self.queue.saturating_add(tx.queue);
        totals::merge(&mut self.totals, tx.totals);
        self.unlink.extend(tx.unlink);
        self.ring |= tx.ring;
    }
}

/// Runs each of `group` so that it stays or fails for itself. Arrivals side by side share a savepoint, which costs more
/// than the change of one, unless one of them fails.
pub(crate) fn attempt_all<'a>(
    tx: impl Fn() -> Tx<'a>,
    group: &mut [Queued],
    effects: &mut Effects,
) -> Result<Vec<Result<(), StoreError>>, StoreError> {
    let mut outcomes = Vec::with_capacity(group.len());
    for together in group.chunk_by_mut(|before, next| before.is_in_log() && next.is_in_log()) {
        match attempt(tx(), together)? {
            Ok(tx) => {
                effects.take(tx);
                outcomes.extend(together.iter().map(|_| Ok(())));
            }
            Err(error) if together.len() == 1 => outcomes.push(Err(error)),
            Err(_) => {
                for alone in together.chunks_mut(1) {
                    outcomes.push(attempt(tx(), alone)?.map(|tx| effects.take(tx)));
                }
            }
        }
    }
    Ok(outcomes)
}

/// Runs `requests` under one savepoint: on an error nothing of any of them stays.
fn attempt<'a>(mut tx: Tx<'a>, requests: &mut [Queued]) -> Result<Result<Tx<'a>, StoreError>, StoreError> {
    let (conn, failed) = (tx.conn, StoreError::index);
    execute(conn, "SAVEPOINT request").map_err(failed("set a savepoint"))?;
    let outcome = requests.iter_mut().try_for_each(|request| {
        // Its low priority alone lets the kernel leave it on a core for milliseconds while a thread that receives waits.
        std::thread::yield_now();
        request.run(&mut tx)?;
        ends::refresh(&mut tx)
    });
    if outcome.is_err() {
        execute(conn, "ROLLBACK TO request").map_err(failed("roll back"))?;
    }
    execute(conn, "RELEASE request").map_err(failed("release a savepoint"))?;
    Ok(outcome.map(|()| tx))
}

fn execute(conn: &Connection, statement: &str) -> rusqlite::Result<()> {
    conn.prepare_cached(statement)?.execute([]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::writer::Request;

    /// An arrival that adds its number to the index, or fails.
    struct Arrival(Option<i64>);

    impl Request for Arrival {
        fn is_in_log(&self) -> bool {
            true
        }

        fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
            tx.queue = tx.queue.saturating_add(1);
            tx.conn.execute("INSERT INTO arrived VALUES (?1)", [self.0]).map(drop).map_err(StoreError::index("add"))
        }

        fn finish(self: Box<Self>, _outcome: Result<(), StoreError>) {}
    }

    #[test]
    fn an_arrival_that_fails_takes_none_of_its_neighbours_along() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE arrived (number INTEGER NOT NULL UNIQUE)").unwrap();
        let mut effects = Effects::default();
        let mut group = [Some(1), Some(2), None, Some(4)].map(|number| Queued::from(Arrival(number)));
        let outcomes = attempt_all(|| Tx::new(&conn, 0), &mut group, &mut effects).unwrap();
        assert_eq!(outcomes.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, false, true]);
        let sum: i64 = conn.query_row("SELECT sum(number) FROM arrived", [], |row| row.get(0)).unwrap();
        assert_eq!((sum, effects.queue), (7, 3), "each is counted once");
    }
}
