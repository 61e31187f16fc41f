//! `dokuei backtest`: what another configuration would do with what was received, against what was decided.

use dokuei_dataset::Limits;
use dokuei_pipeline::{Backtest, Changed};

use crate::args::{self, Where};
use crate::config;
use crate::inspect::{attach, time, unreadable};
use crate::outcome::{self, Failure, line, table};
use crate::site::Site;

pub(crate) fn run(arguments: &args::Backtest) -> Result<(), Failure> {
    let file = config::load(Some(&arguments.config))?;
    let data_dir = arguments.data_dir.clone().unwrap_or_else(|| file.config.node.data_dir.clone());
    let site = Site::check(file)?;
    let rules = site.rules().map_err(|errors| Failure::work(format!("{errors:?}")))?;
    let reader = attach(&Where { config: None, data_dir: Some(data_dir), json: arguments.json })?;
    let since = arguments.since.ms();
    let found = Backtest::run(&rules, &reader, since, &Limits::default()).map_err(|error| unreadable(&error))?;
    if arguments.json {
        outcome::json(&found, true);
    } else {
        show(&found, since);
    }
    Ok(())
}

fn show(found: &Backtest, since: i64) {
    let Backtest { compared, not_kept, undecided, fetched, .. } = found;
    line(format!(
        "{compared} instances received since {}; left out: {not_kept} no longer kept, {undecided} not decided yet, \
         {fetched} fetched to compare with",
        time(since)
    ));
    let routes = || found.routes.iter().map(|(name, changed)| (name.as_str(), changed));
    let rows = || routes().chain([("(no route)", &found.no_route)]);
    let heading = ["route", "same", "gained", "lost"].map(str::to_owned).to_vec();
    let cells = rows().map(|(name, changed)| {
        let Changed { same, gained, lost, .. } = changed;
        vec![name.to_owned(), same.to_string(), gained.to_string(), lost.to_string()]
    });
    table(&std::iter::once(heading).chain(cells).collect::<Vec<_>>());
    for (name, changed) in rows() {
        for (word, examples) in [("gained", &changed.gained_examples), ("lost", &changed.lost_examples)] {
            for example in examples {
                line(format!("{name} {word} {example}"));
            }
        }
    }
}
