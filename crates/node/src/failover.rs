//! What a configuration says of destinations in whose place another may be.

use dokuei_pipeline::RetryPolicy;
use dokuei_types::Interval;

use crate::config::{ConfigFile, Problem};

/// What fails over has one other destination to go to, which has none itself: nothing goes round in circles.
pub(crate) fn check(file: &ConfigFile, problems: &mut Vec<Problem>) {
    let all = || file.config.destinations.iter();
    let longest = RetryPolicy::default().give_up_after;
    for entry in all() {
        let destination = entry.as_ref();
        let Some(to) = &destination.failover else { continue };
        let mut wrong = |key: &str, words: String, help: String| {
            problems.push(file.problem(file.find(entry.span(), key, ""), words).help(help));
        };
        match all().map(toml::Spanned::as_ref).find(|known| known.name == *to) {
            None => {
                let names: Vec<&str> = all().map(|known| known.as_ref().name.as_str()).collect();
                let help = format!("there is `{}`", names.join("`, `"));
                wrong("failover", format!("`failover` {to:?} is not the name of a destination"), help);
            }
            Some(known) if known.name == destination.name => {
                let help = "name another destination, or leave `failover` out".to_owned();
                wrong("failover", format!("{to:?} would fail over to itself"), help);
            }
            Some(known) if known.failover.is_some() => {
                let words = format!("`failover` {to:?} fails over itself: what it fails to take would go on and on");
                wrong("failover", words, format!("leave `failover` of {to:?} out"));
            }
            Some(_) => {}
        }
        if destination.failover_after.0 >= longest {
            let words = format!("`failover_after` is {}, when it would be given up", destination.failover_after);
            wrong("failover_after", words, format!("write less than {}", Interval(longest)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    /// What is wrong with destinations of these names and further keys.
    fn said(destinations: &[(&str, &str)]) -> Vec<String> {
        let table = |(name, keys): &(&str, &str)| {
            format!("[[destination]]\nname = {name:?}\nae_title = \"A\"\naddress = \"127.0.0.1:104\"\n{keys}\n")
        };
        let file = config::from_text("dokuei.toml", destinations.iter().map(table).collect()).unwrap();
        let mut problems = Vec::new();
        check(&file, &mut problems);
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_fails_over_has_one_place_to_go_to() {
        let to = |name: &str| format!("failover = {name:?}");
        assert_eq!(said(&[("a", &to("b")), ("b", ""), ("c", &to("b"))]), [""; 0], "one for two");
        let words = said(&[("a", &to("d")), ("b", "")]);
        assert!(words.len() == 1 && words[0].contains("\"d\" is not the name of a destination"), "{words:?}");
        let words = said(&[("a", &to("a"))]);
        assert!(words.len() == 1 && words[0].contains("itself"), "{words:?}");
        let chain = said(&[("a", &to("b")), ("b", &to("c")), ("c", "")]);
        assert!(chain.len() == 1 && chain[0].contains("\"b\" fails over itself"), "{chain:?}");
        assert_eq!(said(&[("a", &to("b")), ("b", &to("a"))]).len(), 2, "a circle");
        let late = said(&[("a", &(to("b") + "\nfailover_after = \"3d\"")), ("b", "")]);
        assert!(late.len() == 1 && late[0].contains("`failover_after` is 3d"), "{late:?}");
    }
}
