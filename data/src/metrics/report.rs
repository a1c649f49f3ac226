//! Text table of scores.

use super::Scores;
use std::fmt::Write;

/// Largest number of classes whose matrix is printed; of more, the most confused pairs are.
const MATRIX_CLASSES: usize = 20;
const MOST_CONFUSED: usize = 10;
const NAME_WIDTH: usize = 24;

/// Accuracy with its interval, baseline, loss, per-class figures and confusion matrix, aligned;
/// ends with a line break.
///
/// ```
/// let mut tally = classifold_data::Tally::new(vec!["ants".into(), "bees".into()]);
/// tally.add(&[1.0, 0.0], 0);
/// let text = classifold_data::metrics::table(&tally.scores());
/// assert!(text.starts_with("accuracy  100.00 % (1 of 1"), "{text}");
/// ```
#[must_use]
pub fn table(scores: &Scores) -> String {
    let mut text = String::new();
    let correct: u64 = scores
        .confusion
        .iter()
        .enumerate()
        .map(|(i, row)| row[i])
        .sum();
    let percent = |share: f64| 100.0 * share;
    let [low, high] = scores.interval.map(percent);
    let accuracy = percent(scores.accuracy);
    // Writing into a string cannot fail.
    let _ = writeln!(
        text,
        "accuracy  {accuracy:6.2} % ({correct} of {}; 95 % interval {low:.1} to {high:.1} %)",
        scores.count
    );
    let most = majority(scores);
    let baseline = percent(scores.baseline);
    let _ = writeln!(text, "baseline  {baseline:6.2} % (always `{most}`)");
    let _ = writeln!(text, "loss      {:6.4}", scores.loss);
    text.push('\n');
    per_class(scores, &mut text);
    text.push('\n');
    if scores.classes.len() <= MATRIX_CLASSES {
        matrix(scores, &mut text);
    } else {
        most_confused(scores, &mut text);
    }
    text
}

/// A warning where always answering the most frequent class is right more often.
///
/// ```
/// let mut tally = classifold_data::Tally::new(vec!["ants".into(), "bees".into()]);
/// tally.add(&[1.0, 0.0], 0);
/// tally.add(&[1.0, 0.0], 1);
/// tally.add(&[1.0, 0.0], 1);
/// let warning = classifold_data::metrics::worse_than_majority(&tally.scores()).unwrap();
/// assert_eq!(warning, "33.3 % is worse than always answering `bees`, which is right on 66.7 %");
/// ```
#[must_use]
pub fn worse_than_majority(scores: &Scores) -> Option<String> {
    (scores.accuracy < scores.baseline).then(|| {
        format!(
            "{:.1} % is worse than always answering `{}`, which is right on {:.1} %",
            100.0 * scores.accuracy,
            majority(scores),
            100.0 * scores.baseline
        )
    })
}

/// The most frequent class.
fn majority(scores: &Scores) -> &str {
    // `max_by_key` returns the last maximum; reversed, the first class in order.
    let classes = scores.per_class.iter().rev();
    let most = classes.max_by_key(|class| class.support);
    most.map_or("", |class| &class.class)
}

fn per_class(scores: &Scores, text: &mut String) {
    let width = width(&scores.classes).max("class".len());
    let _ = writeln!(
        text,
        "{:width$}  precision  recall      f1  images",
        "class"
    );
    let figure = |value: Option<f64>| value.map_or("-".to_string(), |v| format!("{v:.4}"));
    for class in &scores.per_class {
        let (precision, recall) = (figure(class.precision), figure(class.recall));
        let (name, f1, support) = (short(&class.class), figure(class.f1), class.support);
        let _ = writeln!(
            text,
            "{name:width$}  {precision:>9}  {recall:>6}  {f1:>6}  {support:>6}"
        );
    }
}

fn matrix(scores: &Scores, text: &mut String) {
    let width = width(&scores.classes).max("true \\ predicted".len());
    // A column is as wide as its class's name or its largest count, in characters.
    let cells = scores.classes.iter().enumerate().map(|(column, class)| {
        let largest = scores
            .confusion
            .iter()
            .map(|row| row[column])
            .max()
            .unwrap_or(0);
        short(class).chars().count().max(largest.to_string().len())
    });
    let cells: Vec<usize> = cells.collect();
    let _ = write!(text, "{:width$}", "true \\ predicted");
    for (class, &cell) in scores.classes.iter().zip(&cells) {
        let _ = write!(text, "  {:>cell$}", short(class));
    }
    text.push('\n');
    for (class, row) in scores.classes.iter().zip(&scores.confusion) {
        let _ = write!(text, "{:width$}", short(class));
        for (count, &cell) in row.iter().zip(&cells) {
            let _ = write!(text, "  {count:>cell$}");
        }
        text.push('\n');
    }
}

fn most_confused(scores: &Scores, text: &mut String) {
    let mut pairs = Vec::new();
    for (label, row) in scores.confusion.iter().enumerate() {
        for (predicted, &count) in row.iter().enumerate() {
            if label != predicted && count > 0 {
                pairs.push((count, label, predicted));
            }
        }
    }
    pairs.sort_by_key(|&(count, label, predicted)| (std::cmp::Reverse(count), label, predicted));
    let _ = writeln!(text, "images  most confused");
    for (count, label, predicted) in pairs.into_iter().take(MOST_CONFUSED) {
        let (label, predicted) = (&scores.classes[label], &scores.classes[predicted]);
        let _ = writeln!(
            text,
            "{count:>6}  {} predicted as {}",
            short(label),
            short(predicted)
        );
    }
}

fn width(classes: &[String]) -> usize {
    classes
        .iter()
        .map(|class| short(class).chars().count())
        .max()
        .unwrap_or(0)
}

/// A name, cut to the width of a column, in its middle: those of related classes differ at their ends.
fn short(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= NAME_WIDTH {
        return name.to_string();
    }
    let end = (NAME_WIDTH - 1) / 2;
    let start = &letters[..NAME_WIDTH - 1 - end];
    let end = &letters[letters.len() - end..];
    start.iter().chain(&['…']).chain(end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tally;

    #[test]
    fn two_classes() {
        let mut tally = Tally::new(vec!["ants".into(), "bees".into()]);
        for (logits, label, times) in [
            ([2.0, 0.0], 0, 64),
            ([0.0, 2.0], 0, 6),
            ([2.0, 0.0], 1, 1),
            ([0.0, 2.0], 1, 82),
        ] {
            (0..times).for_each(|_| {
                tally.add(&logits, label);
            });
        }
        let expected = "\
accuracy   95.42 % (146 of 153; 95 % interval 90.9 to 97.8 %)
baseline   54.25 % (always `bees`)
loss      0.2184

class  precision  recall      f1  images
ants      0.9846  0.9143  0.9481      70
bees      0.9318  0.9880  0.9591      83

true \\ predicted  ants  bees
ants                64     6
bees                 1    82
";
        assert_eq!(table(&tally.scores()), expected);
    }

    #[test]
    fn many_classes_show_the_worst_pairs() {
        let mut tally = Tally::new(
            (0..30)
                .map(|i| format!("class {i} {}", "x".repeat(i)))
                .collect(),
        );
        let mut logits = [0.0; 30];
        logits[3] = 1.0;
        tally.add(&logits, 3);
        tally.add(&logits, 29);
        let text = table(&tally.scores());
        assert!(
            text.contains("     1  class 29 xxx…xxxxxxxxxxx predicted as class 3 xxx\n"),
            "{text}"
        );
        assert!(!text.contains("true \\ predicted"));
        assert!(text.lines().all(|line| line.chars().count() < 80));
    }
}
