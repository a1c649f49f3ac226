//! The command line of `deploy score`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use deploy::Precision;

use super::{MachineArgs, ModelArgs};

/// Very many images, or a part of them.
#[derive(Debug, Args)]
pub(crate) struct ManyImages {
    /// Image files, folders, or patterns such as `photos/*.jpg`
    #[arg(required_unless_present = "list", value_name = "PATH")]
    pub(crate) inputs: Vec<PathBuf>,
    /// A file of paths, one a line, in place of or after the others
    #[arg(long, value_name = "FILE")]
    pub(crate) list: Option<PathBuf>,
    /// Take part I of N parts that are equally large, 1 to N: every N-th image
    #[arg(long, value_name = "I/N", default_value = "1/1")]
    pub(crate) shard: Shard,
}

/// The flags of `deploy score`.
#[derive(Debug, Args)]
pub(crate) struct ScoreArgs {
    #[command(flatten)]
    pub(crate) images: ManyImages,
    /// The folder for the file `part-I-of-N.parquet`, with the columns `path`, `label`, `probability`, `margin`, `error`; of
    /// a backbone that `deploy cut` wrote with `path`, `features`, `backbone`, `error`
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Precision of the model: `fp32`, or `fp16`, `bf16`, `tf32` where the provider has it
    #[arg(long, default_value = "fp32")]
    pub(crate) precision: Precision,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}

/// One of several equal parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shard {
    /// From 1 on.
    pub(crate) index: usize,
    /// Number of parts.
    pub(crate) count: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/');
        let numbers =
            numbers.and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        match numbers {
            Some((index, count)) if (1..=count).contains(&index) => Ok(Self { index, count }),
            _ => Err("expected I/N with I from 1 to N, such as `3/16`".to_owned()),
        }
    }
}

impl Shard {
    /// The items of this part, in their order.
    pub(crate) fn of<T>(self, all: Vec<T>) -> Vec<T> {
        let own = all.into_iter().skip(self.index - 1);
        own.step_by(self.count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_together_are_all_items_once() {
        let all: Vec<u32> = (0..11).collect();
        let mut joined = Vec::new();
        for index in 1..=4 {
            let part = Shard { index, count: 4 }.of(all.clone());
            assert!((2..=3).contains(&part.len()));
            joined.extend(part);
        }
        joined.sort_unstable();
        assert_eq!(joined, all);
        assert_eq!(Shard { index: 3, count: 4 }.of(all), [2, 6, 10]);
    }

    #[test]
    fn a_part_that_is_none_of_them_is_refused() {
        assert_eq!(
            "3/16".parse(),
            Ok(Shard {
                index: 3,
                count: 16
            })
        );
        for text in ["0/4", "5/4", "1", "1/0", "a/b", "-1/2", "1/2/3"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
