//! Audit of class names: names that differ between splits, and names that may mean one class.

use super::{Finding, Kind, Severity, joined};
use crate::Dataset;
use crate::folder::SplitClasses;

pub(super) fn findings(dataset: &Dataset, splits: &[SplitClasses]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for class in &dataset.classes {
        let (with, without): (Vec<_>, Vec<_>) = splits
            .iter()
            .partition(|split| split.classes.contains(class));
        if without.is_empty() || with.is_empty() {
            continue;
        }
        let folders = |splits: &[&SplitClasses]| {
            let name = |split: &&SplitClasses| {
                let name = split.folder.file_name();
                let name = name.expect("a split's folder is a name below the data root");
                format!("`{}/`", name.to_string_lossy())
            };
            joined(&splits.iter().map(name).collect::<Vec<_>>())
        };
        let mut message = format!(
            "class `{class}` is in {} but not in {}",
            folders(&with),
            folders(&without)
        );
        let other = without.iter().flat_map(|split| &split.classes);
        if let Some(other) = other.into_iter().find(|other| may_be_same(class, other)) {
            message += &format!(": is it `{other}`?");
        }
        findings.push(finding(Severity::Error, message));
    }
    // Where splits differ, the messages above name the similar classes.
    if findings.is_empty() {
        for (index, class) in dataset.classes.iter().enumerate() {
            let others = &dataset.classes[index + 1..];
            for other in others.iter().filter(|other| may_be_same(class, other)) {
                let message = format!("classes `{class}` and `{other}` may be one");
                findings.push(finding(Severity::Warning, message));
            }
        }
    }
    findings
}

fn finding(severity: Severity, message: String) -> Finding {
    Finding::new(Kind::ClassNames, severity, message, Vec::new())
}

/// Whether two names differ in case, white space, punctuation or a plural ending alone.
fn may_be_same(a: &str, b: &str) -> bool {
    a != b && stem(a) == stem(b)
}

/// The letters and digits of a name in lower case, without a plural ending.
fn stem(name: &str) -> String {
    let name: String = name
        .chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect();
    // At least two letters must remain: `as` and `is` are whole names.
    let without = |ending: &str| name.strip_suffix(ending).filter(|rest| rest.len() > 1);
    if let Some(rest) = without("ies") {
        return format!("{rest}y");
    }
    if ["ses", "xes", "zes", "ches", "shes"]
        .iter()
        .any(|ending| name.ends_with(ending))
    {
        return without("es").unwrap_or(&name).into();
    }
    // `bus` and `grass` are no plurals.
    let plural = name.len() > 3 && !name.ends_with("ss");
    without("s").filter(|_| plural).unwrap_or(&name).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_may_mean_one_class() {
        for (a, b) in [
            ("ants", "Ants"),
            ("ant", "ants"),
            ("bee", "bees "),
            ("honey bee", "honey_bees"),
            ("fly", "flies"),
            ("box", "boxes"),
            ("wasp", "WASPS"),
            ("cat-1", "cat 1"),
        ] {
            assert!(may_be_same(a, b), "{a} {b}");
        }
        for (a, b) in [
            ("ants", "bees"),
            ("ants", "ants"),
            ("bu", "buses"),
            ("cat1", "cat2"),
            ("fly", "flea"),
            ("1", "11"),
        ] {
            assert!(!may_be_same(a, b), "{a} {b}");
        }
    }
}
