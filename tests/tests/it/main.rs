//! The built binary, driven from outside, with other people's tools as modalities and PACS.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod audit;
mod bad_input;
mod character_sets;
mod command_line;
mod commitment;
mod crash;
mod dcmtk;
mod doctor;
mod every_file;
mod export;
mod failover;
mod hints;
mod hospital_day;
mod hours;
mod kill;
mod metrics;
mod models;
mod moving;
mod orthanc;
mod parity;
mod priors;
mod pynetdicom;
mod query;
mod radiographs;
mod reload;
mod replay;
mod retrieving;
mod returning;
mod segmentations;
mod settling;
mod strangers;
mod tls;
mod validated;
