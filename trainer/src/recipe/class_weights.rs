//! Class weights: how much the images of each class count in the loss.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// Weights of the classes; as text `none`, `auto` or `ants=2,bees=0.5`.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ClassWeights {
    /// All images count the same.
    #[default]
    None,
    /// All classes count the same: the inverse of the class's number of training images, scaled so that the mean over
    /// the images is 1 (scikit-learn's `balanced`).
    Auto,
    /// By name, above 0; other classes have 1.
    List(Vec<(String, f64)>),
}

impl ClassWeights {
    /// The weights of `classes`, `[K]`, by the labels of the training images; empty where all are 1.
    ///
    /// # Errors
    /// A listed name is no class.
    pub fn weights(&self, classes: &[String], labels: &[u32]) -> Result<Vec<f64>> {
        match self {
            Self::None => Ok(vec![]),
            Self::Auto => {
                let mut counts = vec![0_usize; classes.len()];
                for label in labels {
                    counts[*label as usize] += 1;
                }
                let num_present = counts.iter().filter(|count| **count > 0).count();
                let share = labels.len() as f64 / num_present as f64;
                // A fold may lack a class. Its weight has no effect, but must be a number.
                let weight = |count| {
                    if count == 0 {
                        1.0
                    } else {
                        share / count as f64
                    }
                };
                Ok(counts.into_iter().map(weight).collect())
            }
            Self::List(list) => {
                let mut weights = vec![1.0; classes.len()];
                for (name, weight) in list {
                    let class = classes.iter().position(|class| class == name);
                    let class = class.ok_or_else(|| Error::Setting {
                        flag: "class-weights",
                        value: self.to_string(),
                        reason: format!(
                            "`{name}` is no class; the classes are {}",
                            classes.join(", ")
                        ),
                    })?;
                    weights[class] = *weight;
                }
                Ok(weights)
            }
        }
    }
}

impl FromStr for ClassWeights {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "none" => return Ok(Self::None),
            "auto" => return Ok(Self::Auto),
            _ => {}
        }
        let mut list: Vec<(String, f64)> = vec![];
        for pair in text.split(',') {
            // From the right: a name may hold `=`.
            let parts = pair.rsplit_once('=');
            let (name, weight) = parts.ok_or_else(|| {
                format!("`{pair}` is neither `none`, `auto` nor a weight such as `ants=2`")
            })?;
            let number: Option<f64> = weight.trim().parse().ok();
            let number = number.filter(|weight| weight.is_finite() && *weight > 0.0);
            let number =
                number.ok_or_else(|| format!("the weight in `{pair}` is no number above 0"))?;
            let name = name.trim();
            if list.iter().any(|(other, _)| other == name) {
                return Err(format!("`{name}` has two weights"));
            }
            list.push((name.to_owned(), number));
        }
        Ok(Self::List(list))
    }
}

impl fmt::Display for ClassWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Auto => f.write_str("auto"),
            Self::List(list) => {
                let pairs: Vec<String> = list.iter().map(|(n, w)| format!("{n}={w}")).collect();
                f.write_str(&pairs.join(","))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes() -> Vec<String> {
        ["ants", "bees", "a=b"].map(String::from).to_vec()
    }

    #[test]
    fn auto_is_the_inverse_frequency_with_a_mean_of_1_over_the_images() {
        let labels = [0, 0, 0, 0, 0, 0, 1, 1, 2];
        let weights = ClassWeights::Auto.weights(&classes(), &labels).unwrap();
        // scikit-learn 1.9: compute_class_weight("balanced", classes=[0, 1, 2], y=labels)
        for (found, expected) in weights.iter().zip([0.5, 1.5, 3.0]) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        let mean = labels
            .iter()
            .map(|label| weights[*label as usize])
            .sum::<f64>()
            / 9.0;
        assert!((mean - 1.0).abs() < 1e-12);
        // A class without images changes nothing for the others.
        let weights = ClassWeights::Auto.weights(&classes(), &[0, 0, 0, 1]);
        assert_eq!(weights.unwrap(), [2.0 / 3.0, 2.0, 1.0]);
        let none = ClassWeights::None.weights(&classes(), &labels);
        assert!(none.unwrap().is_empty());
    }

    #[test]
    fn a_list_names_classes() {
        for text in ["none", "auto", "ants=2,bees=0.5", "a=b=3"] {
            assert_eq!(text.parse::<ClassWeights>().unwrap().to_string(), text);
        }
        let list: ClassWeights = " ants = 2, a=b=0.25".parse().unwrap();
        assert_eq!(list.weights(&classes(), &[]).unwrap(), [2.0, 1.0, 0.25]);
        let unknown: ClassWeights = "wasps=2".parse().unwrap();
        let error = unknown.weights(&classes(), &[]).unwrap_err().to_string();
        assert!(error.contains("--class-weights wasps=2"), "{error}");
        assert!(error.contains("ants, bees, a=b"), "{error}");
        for wrong in [
            "",
            "ants",
            "ants=",
            "ants=0",
            "ants=-1",
            "ants=inf",
            "ants=1,ants=2",
        ] {
            assert!(wrong.parse::<ClassWeights>().is_err(), "{wrong}");
        }
    }
}
