//! Scores of pairs of images: a verifier's `predictions.csv` and `val-predictions.csv`.

use std::path::Path;

use data::PairKind;
use data::card::ScoreKind;
use data::metrics::Det;
use fs_err as fs;
use serde::Deserialize;

use crate::error::{Error, Result};

/// Scores of the pairs of a split.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PairAnswers {
    /// What a score is.
    pub(crate) score: ScoreKind,
    pub(crate) rows: Vec<PairAnswer>,
}

/// A pair with its score.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct PairAnswer {
    /// Relative to the data root, separated by `/`.
    pub(crate) path_a: String,
    pub(crate) path_b: String,
    #[serde(rename = "label")]
    pub(crate) kind: PairKind,
    #[serde(alias = "probability", alias = "distance")]
    pub(crate) score: f64,
}

impl PairAnswers {
    /// Reads what [`data::Pairs::write_answers`] wrote.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let refused = |error: csv::Error| Error::Table {
            path: path.to_path_buf(),
            reason: error.to_string(),
        };
        let bytes = fs::read(path)?;
        let mut table = csv::Reader::from_reader(bytes.as_slice());
        let header = table.headers().map_err(refused)?;
        let is_distance = header.iter().any(|name| name == ScoreKind::Distance.name());
        let rows: Result<Vec<PairAnswer>, csv::Error> = table.deserialize().collect();
        Ok(Self {
            score: match is_distance {
                true => ScoreKind::Distance,
                false => ScoreKind::Probability,
            },
            rows: rows.map_err(refused)?,
        })
    }

    /// The pairs of a kind.
    pub(crate) fn of(&self, kind: PairKind) -> impl Iterator<Item = &PairAnswer> {
        self.rows.iter().filter(move |row| row.kind == kind)
    }

    /// Both errors at every threshold, against pairs of these kinds alone; none where there are none.
    pub(crate) fn det(&self, others: &[PairKind]) -> Option<Det> {
        let is_in = |row: &&PairAnswer| row.kind == PairKind::Same || others.contains(&row.kind);
        let rows = self.rows.iter().filter(is_in);
        let (scores, same): (Vec<f64>, Vec<bool>) = rows
            .map(|row| (self.score.similarity(row.score), row.kind == PairKind::Same))
            .unzip();
        Det::new(&scores, &same)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_scores_are_read_and_another_table_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("predictions.csv");
        let open = |text: &str| {
            fs::write(&path, text).unwrap();
            PairAnswers::open(&path)
        };
        let rows = "\"a, b.png\",c.png,same,same,0.25\nc.png,d.png,forged,same,1e-9\n\
                    c.png,e.png,different,different,0.5\n";
        let head = "path_a,path_b,label,answer,";
        let distances = open(&format!("{head}distance\n{rows}")).unwrap();
        assert_eq!(distances.score, ScoreKind::Distance);
        assert_eq!(distances.rows[0].path_a, "a, b.png");
        assert_eq!(distances.rows[1].score, 1e-9);
        // The forgery is nearer than the same identity is; the other identity is not.
        let area = |others: &[PairKind]| distances.det(others).unwrap().auc;
        assert_eq!(area(&[PairKind::Forged]), 0.0);
        assert_eq!(area(&[PairKind::Different]), 1.0);
        assert_eq!(area(&[PairKind::Forged, PairKind::Different]), 0.5);
        let probabilities = open(&format!("{head}probability\n{rows}")).unwrap();
        assert_eq!(probabilities.score, ScoreKind::Probability);
        for text in [
            "path,label\nx.png,ants\n",
            "path_a,path_b,label,answer,probability\na,b,alike,same,0.5\n",
        ] {
            let error = open(text).unwrap_err().to_string();
            assert!(error.contains("predictions.csv"), "{error}");
        }
    }
}
