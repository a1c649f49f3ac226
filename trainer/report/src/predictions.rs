//! Predictions of the exported file on the images of the final evaluation: `predictions.csv`. It computes
//! no scores.

use std::path::Path;

use data::{Split, Tally, metrics};
use fs_err as fs;

use crate::error::{Error, Result};

/// Columns before those of the logits.
const COLUMNS: [&str; 5] = ["split", "path", "label", "predicted", "probability"];
/// Prefix of the columns of logits, before the class.
const LOGIT: &str = "logit:";

/// Predictions for the images of a split.
#[derive(Clone, Debug, PartialEq)]
pub struct Answers {
    pub split: Split,
    /// Class names in output order.
    pub classes: Vec<String>,
    pub rows: Vec<Answer>,
}

/// Prediction for one image.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Relative to the data root, separated by `/`.
    pub path: String,
    /// Index of the true class.
    pub label: usize,
    /// Index of the predicted class, which has the highest logit.
    pub predicted: usize,
    /// Logits `[K]`.
    pub logits: Vec<f32>,
}

impl Answer {
    pub fn new(path: &str, label: usize, logits: &[f32]) -> Answer {
        Answer {
            path: path.into(),
            label,
            predicted: metrics::argmax(logits) as usize,
            logits: logits.to_vec(),
        }
    }

    pub fn is_right(&self) -> bool {
        self.label == self.predicted
    }

    /// Softmax of the logits, `[K]`.
    pub fn probs(&self) -> Vec<f64> {
        Tally::probabilities(&self.logits)
    }

    /// Probability of the predicted class, `[0, 1]`.
    pub fn probability(&self) -> f64 {
        self.probs()
            .get(self.predicted)
            .copied()
            .unwrap_or(f64::NAN)
    }
}

impl Answers {
    /// Writes `split,path,label,predicted,probability` and a column `logit:<class>` per class.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut table = csv::Writer::from_writer(vec![]);
        let logits = self.classes.iter().map(|class| format!("{LOGIT}{class}"));
        let header = COLUMNS.map(str::to_owned).into_iter().chain(logits);
        table.write_record(header).map_err(std::io::Error::from)?;
        let name = |class: usize| self.classes.get(class).cloned().unwrap_or_default();
        for row in &self.rows {
            let fields = [
                self.split.to_string(),
                row.path.clone(),
                name(row.label),
                name(row.predicted),
                format!("{:.6}", row.probability()),
            ];
            // The shortest text that reads as the same number.
            let logits = row.logits.iter().map(f32::to_string);
            let record = fields.into_iter().chain(logits);
            table.write_record(record).map_err(std::io::Error::from)?;
        }
        let bytes = table
            .into_inner()
            .map_err(csv::IntoInnerError::into_error)?;
        Ok(data::write::atomically(path, &bytes)?)
    }

    /// Reads what [`write`](Self::write) wrote.
    pub fn open(path: &Path) -> Result<Answers> {
        let refused = |reason: String| Error::Table {
            path: path.to_path_buf(),
            reason,
        };
        let bytes = fs::read(path)?;
        let mut table = csv::Reader::from_reader(bytes.as_slice());
        let header = table.headers().map_err(|e| refused(e.to_string()))?;
        if !header.iter().take(COLUMNS.len()).eq(COLUMNS) {
            return Err(refused(format!("it starts with {}", COLUMNS.join(","))));
        }
        let columns = header.iter().skip(COLUMNS.len());
        let class = |name: &str| name.strip_prefix(LOGIT).map(str::to_owned);
        let classes: Option<Vec<String>> = columns.map(class).collect();
        let mut answers = Answers {
            split: Split::Test,
            classes: classes
                .ok_or_else(|| refused(format!("a column after these is no `{LOGIT}CLASS`")))?,
            rows: vec![],
        };
        for record in table.records() {
            let record = record.map_err(|error| refused(error.to_string()))?;
            let line = record.position().map_or(0, csv::Position::line);
            let (split, answer) = answers
                .parse_row(&record)
                .ok_or_else(|| refused(format!("line {line} is not an answer")))?;
            answers.split = split;
            answers.rows.push(answer);
        }
        Ok(answers)
    }

    fn parse_row(&self, record: &csv::StringRecord) -> Option<(Split, Answer)> {
        // `predicted` and `probability` follow from the logits and are not read.
        let class = self.classes.iter().position(|class| *class == record[2])?;
        let logits = record.iter().skip(COLUMNS.len());
        let logits: Result<Vec<f32>, _> = logits.map(str::parse).collect();
        let answer = Answer::new(&record[1], class, &logits.ok()?);
        Some((record[0].parse().ok()?, answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("predictions.csv");
        let answers = Answers {
            split: Split::Val,
            classes: vec!["ants, red".into(), "bees".into()],
            rows: vec![
                Answer::new("val/ants, red/a.jpg", 0, &[0.1, 1.0 / 3.0]),
                Answer::new("val/bees/b \"c\".jpg", 1, &[-1e-20, 7.0]),
            ],
        };
        assert!(!answers.rows[0].is_right() && answers.rows[1].is_right());
        answers.write(&path).unwrap();
        assert_eq!(Answers::open(&path).unwrap(), answers);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(
            text.lines().next(),
            Some("split,path,label,predicted,probability,\"logit:ants, red\",logit:bees")
        );
        assert!(
            text.contains("\"val/ants, red/a.jpg\",\"ants, red\",bees,0.558"),
            "{text}"
        );
    }

    #[test]
    fn another_table_is_refused_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.csv");
        let head = "split,path,label,predicted,probability,logit:a,logit:b\n";
        for (text, says) in [
            ("path,label\n", "it starts with split,path"),
            (&*format!("{head}test,x.jpg,c,a,0.5,0,0\n"), "line 2"),
            (&format!("{head}test,x.jpg,a,a,0.5,zero,0\n"), "line 2"),
            (
                &format!("{head}test,x.jpg,a,a,0.5,0,0\nnone,x,a,a,1,0,0\n"),
                "line 3",
            ),
            (&format!("{head}test,x.jpg\n"), "2 fields"),
            (&head.replace("logit:a", "a"), "no `logit:CLASS`"),
        ] {
            fs::write(&path, text).unwrap();
            let error = Answers::open(&path).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
