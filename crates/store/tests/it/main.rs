//! The store from outside: what it promises about durability, duplicates, work and deliveries.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
#![expect(clippy::cast_possible_truncation, reason = "the numbers of tests are small")]

mod again;
mod commitment;
mod confirmation;
mod crash;
mod delivery;
mod disk;
mod failover;
mod hints;
mod index_lost;
mod journal;
mod power;
mod prior;
mod receive;
mod replay;
mod retention;
mod support;
mod totals;
mod versions;
mod withdraw;
mod work;
