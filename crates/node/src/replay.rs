//! `dokuei failed` and `replay`: what was given up, and what is set going again, while the node runs or not.

use dokuei_store::{DeadLetter, Filter, Replay, ReplayItem, Replayed, StoreReader};

use crate::args::{self, Among, Failed, Where};
use crate::config;
use crate::inspect::{attach, find, time, unreadable};
use crate::outcome::{self, Failure, line, say, table};

/// Dead letters shown at most.
const FAILED_MAX: usize = 10_000;

pub(crate) fn failed(arguments: &Failed) -> Result<(), Failure> {
    let reader = attach(&arguments.place)?;
    let filter = filter(&reader, &arguments.ids, &arguments.among)?;
    let letters = reader.failed(&filter, FAILED_MAX).map_err(|error| unreadable(&error))?;
    if arguments.place.json {
        outcome::json(&letters, true);
        return Ok(());
    }
    if letters.is_empty() {
        line("nothing was given up");
        return Ok(());
    }
    let heading = ["instance", "what", "attempts", "last tried", "why"].map(str::to_owned).to_vec();
    let rows = letters.iter().map(|letter| {
        let DeadLetter { instance, what, attempts, at, reason, .. } = letter;
        let instance = instance.map_or_else(|| "-".to_owned(), |instance| instance.to_string());
        vec![instance, what.clone(), attempts.to_string(), time(*at), reason.clone()]
    });
    table(&std::iter::once(heading).chain(rows).collect::<Vec<_>>());
    if letters.len() == FAILED_MAX {
        say(format!("only the first {FAILED_MAX} are shown"));
    }
    Ok(())
}

pub(crate) fn replay(arguments: &args::Replay) -> Result<(), Failure> {
    let reader = attach(&arguments.place)?;
    let filter = filter(&reader, &arguments.ids, &arguments.among)?;
    let is_part = arguments.all_failed || Filter { instances: None, ..filter.clone() } != Filter::default();
    let replay = match filter.instances {
        Some(instances) if arguments.analyze => Replay::Analyze(instances),
        Some(instances) if !is_part => Replay::Instances(instances),
        _ => Replay::Part { filter, failed_only: arguments.all_failed },
    };
    let replayed = if has_archive(&arguments.place)? {
        reader.set_going_from_archive(&replay, arguments.dry_run)
    } else {
        reader.set_going(&replay, arguments.dry_run)
    };
    let replayed = replayed.map_err(|error| Failure::because("replay", &error))?;
    if arguments.place.json {
        outcome::json(&replayed, true);
    } else {
        tell(&replayed, arguments.dry_run);
    }
    if replayed.refused.is_empty() { Ok(()) } else { Err(Failure::Said) }
}

/// Whether a configuration names a destination that is asked for images whose bytes were removed.
fn has_archive(place: &Where) -> Result<bool, Failure> {
    match &place.data_dir {
        Some(_) => Ok(false),
        None => Ok(config::load(place.config.as_deref())?.config.retention.archive.is_some()),
    }
}

/// What the command line names, by the numbers of the instances.
fn filter(reader: &StoreReader, ids: &[String], among: &Among) -> Result<Filter, Failure> {
    let mut instances = Vec::new();
    for id in ids {
        instances.extend(find(reader, id)?);
    }
    instances.sort_unstable();
    instances.dedup();
    let Among { destination, since, until } = among;
    if let Some(name) = destination {
        let known = reader.destinations().map_err(|error| unreadable(&error))?;
        if !known.contains(name) {
            let help = match known.as_slice() {
                [] => "nothing was ever sent".to_owned(),
                known => format!("there is {}", known.join(", ")),
            };
            return Err(Failure::work(format!("nothing was ever to be sent to {name:?}")).help(help));
        }
    }
    let (since, until) = (since.map(|moment| moment.ms()), until.map(|moment| moment.ms()));
    if since.zip(until).is_some_and(|(since, until)| since >= until) {
        return Err(Failure::work("nothing lies between --since and --until: the one is not before the other"));
    }
    Ok(Filter { instances: (!ids.is_empty()).then_some(instances), destination: destination.clone(), since, until })
}

fn tell(replayed: &Replayed, dry_run: bool) {
    for ReplayItem { instance, what } in &replayed.listed {
        match instance {
            Some(instance) => line(format!("instance {instance}: {what}")),
            None => line(what),
        }
    }
    let Replayed {
        jobs, deliveries, sent_again, matched_again, retrieved, commitments, in_work, unknown, refused, ..
    } = replayed;
    let counts = [
        (*jobs, "jobs that were given up wait again"),
        (*deliveries, "deliveries that were given up wait again"),
        (*sent_again, "objects are sent once more"),
        (*matched_again, "instances are matched with the routes again"),
        (*retrieved, "wait for an image that the archive is asked for, since its bytes were removed"),
        (*commitments, "peers are told after all what is committed to"),
        (*in_work, "instances are in work and left alone"),
        (*unknown, "numbers are unknown"),
    ];
    if counts.iter().all(|(count, _)| *count == 0) && refused.is_empty() {
        line("there is nothing to be set going again");
    }
    let would = if dry_run { "without --dry-run: " } else { "" };
    for (count, words) in counts.iter().filter(|(count, _)| *count > 0) {
        line(format!("{would}{count} {words}"));
    }
    for refused in refused {
        let (instance, what, why) = (refused.instance, &refused.what, &refused.removed_why);
        let at = time(refused.removed_at);
        line(format!("refused: instance {instance}: {what}: its bytes were removed at {at} ({why})"));
    }
    if refused.iter().any(|refused| refused.is_image) {
        say(
            "name the destination that has the images as `retention.archive`, and the configuration with --config: it is \
             asked for them then",
        );
    }
}
