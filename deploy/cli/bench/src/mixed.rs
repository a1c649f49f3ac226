//! Mixed precision: which nodes of a model in 8-bit integers are faster in single precision on a provider. Changes no
//! graph and knows no provider.
//!
//! Integers are not always faster: a convolution of few channels, or a sum, may take longer, and between the two kinds of
//! numbers values are converted. So no node is judged by itself: whole files are timed. The search is a descent over
//! groups of nodes, large ones first: those of a kind, and stretches of the graph. Each step races the file so far with
//! those in which one group changes sides, and goes on with the fastest that is shown to be faster.
//!
//! Files take turns of a few runs, and the sign test judges them (each round is a win or a loss): it stands outliers, of
//! which a busy machine has many.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use data::metrics::mcnemar;
use deploy::Result;
use deploy::onnx::convert::QuantizableNode;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;

use crate::clock::timed;
use crate::run::BenchConfig;
use crate::scenario;
use crate::stats::median;
use crate::system;

/// Rounds of a race, and those that small networks have in the time below: with 16 the sign test shows at the level below
/// what loses one of them, with 64 what loses 18.
const ROUNDS: RangeInclusive<usize> = 16..=64;
/// Share of the time for the rounds beyond the first 16 of a race.
const RACE: f64 = 0.3;
/// Error of what counts as faster, divided by the number of files that are compared (Bonferroni).
const ERROR: f64 = 0.01;
/// Error at which a file leaves the race as slower: four losses in four rounds. It costs no more than a chance.
const LEAVES: f64 = 0.125;
/// Runs of a file in a round, of which the fastest counts: the first refills the caches, and another program may take the
/// core from one of them.
const SHORT_RUNS: usize = 3;
/// Of files that take longer than this, in seconds, there is one: other programs slow down all of them.
const LONG_RUN: f64 = 0.05;
/// Parts into which the graph is divided at each level. More would be more sessions than machines have memory for.
const PARTS: [&[usize]; 3] = [&[2, 4], &[8], &[16]];

/// Indices of nodes, in the order of the graph.
type Nodes = BTreeSet<usize>;

/// Runs an opened file once: the seconds that it took.
pub type TimedRun = Box<dyn FnMut() -> Result<f64>>;

/// The timed runs of opened sessions.
pub fn timed_run(sessions: BenchConfig) -> TimedRun {
    Box::new(move || {
        let (done, seconds) = timed(|| scenario::run_unrecorded(&sessions.streams()));
        done.map(|()| seconds)
    })
}

/// A search among the files of one model.
pub struct Search<'a> {
    /// The nodes that can compute with integers, in the order of the graph.
    pub nodes: &'a [QuantizableNode],
    /// Opens the file in which the nodes of these names stay in single precision.
    pub open: &'a dyn Fn(&[String]) -> Result<TimedRun>,
    /// Time for all of it, about.
    pub time: Duration,
}

/// Result of a search.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixed {
    /// Names of the nodes that are faster in single precision.
    pub kept: Vec<String>,
    /// How many times as fast it is as the file with every node in integers.
    pub speedup: f64,
}

impl Search<'_> {
    /// Searches for about the time; the file with every node in integers stays where nothing is shown to be faster.
    ///
    /// # Errors
    /// A session does not open, or a model stops.
    pub fn run(&self) -> Result<Mixed> {
        let start = Instant::now();
        let (mut kept, mut speedup) = (Nodes::new(), 1.0);
        for groups in self.levels() {
            while start.elapsed() < self.time {
                let Some((faster, share)) = self.step(&kept, &groups)? else {
                    break;
                };
                kept = faster;
                speedup /= share;
            }
        }
        Ok(Mixed {
            kept: self.names(&kept),
            speedup,
        })
    }

    /// The nodes to keep in place of those kept so far, after the best of the groups changed sides, and the share of the
    /// time that this takes.
    fn step(&self, kept: &Nodes, groups: &[Nodes]) -> Result<Option<(Nodes, f64)>> {
        let mut files = vec![kept.clone()];
        for group in groups {
            let changed = self.change(kept, group);
            if !files.contains(&changed) {
                files.push(changed);
            }
        }
        if files.len() < 2 {
            return Ok(None);
        }
        let (mut configs, mut opened) = (vec![self.open(kept)?], vec![kept.clone()]);
        for nodes in files.drain(1..) {
            if configs.len() > 1 && !system::has_memory() {
                break;
            }
            // A provider may refuse some mixtures: a faster file may be missed, and nothing else.
            if let Ok(config) = self.open(&nodes) {
                configs.push(config);
                opened.push(nodes);
            }
        }
        let Some((index, _)) = self.fastest(configs)? else {
            return Ok(None);
        };
        // One session may be slower than another one of the same file for as long as it is open, so new ones decide. Of
        // several files the luckiest was taken, which the second race does not know.
        let new = vec![self.open(kept)?, self.open(&opened[index])?];
        let confirmed = self.fastest(new)?;
        Ok(confirmed.map(|(_, share)| (opened.swap_remove(index), share)))
    }

    fn open(&self, kept: &Nodes) -> Result<TimedRun> {
        (self.open)(&self.names(kept))
    }

    fn names(&self, nodes: &Nodes) -> Vec<String> {
        let names = nodes.iter().map(|index| self.nodes[*index].name.clone());
        names.collect()
    }

    /// The one that is shown to be faster than the first, and the share of its time that it takes.
    fn fastest(&self, mut configs: Vec<TimedRun>) -> Result<Option<(usize, f64)>> {
        let mut costs: Vec<Vec<f64>> = vec![Vec::new(); configs.len()];
        let mut alive: Vec<usize> = (0..configs.len()).collect();
        // The order of turns, not a result.
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let (start, time) = (Instant::now(), self.time.mul_f64(RACE));
        for round in 0..*ROUNDS.end() {
            let is_over = round >= *ROUNDS.start() && start.elapsed() > time;
            if is_over || alive.len() < 2 {
                break;
            }
            alive.shuffle(&mut rng);
            for index in &alive {
                let last = costs[*index].last().copied();
                costs[*index].push(seconds(&mut configs[*index], last)?);
            }
            let leader = alive.iter().copied().min_by(|a, b| {
                let [a, b] = [a, b].map(|index| median(&costs[*index]).unwrap_or(f64::INFINITY));
                a.total_cmp(&b)
            });
            let is_behind = |index: &usize| {
                let better = [Some(0), leader].into_iter().flatten();
                better.into_iter().any(|other| {
                    let duel = Duel::new(&costs[other], &costs[*index]);
                    duel.share < 1.0 && duel.p_value <= LEAVES
                })
            };
            alive.retain(|index| *index == 0 || !is_behind(index));
        }
        let shown = alive.into_iter().filter_map(|index| {
            let duel = Duel::new(&costs[index], &costs[0]);
            let is_shown = duel.p_value <= ERROR / (configs.len() - 1).max(1) as f64;
            (duel.share < 1.0 && is_shown).then_some((index, duel.share))
        });
        Ok(shown.min_by(|a, b| a.1.total_cmp(&b.1)))
    }

    /// The nodes in single precision after a group changed sides. One product at least stays in integers: the last.
    fn change(&self, kept: &Nodes, group: &Nodes) -> Nodes {
        let mut changed: Nodes = match group.is_subset(kept) {
            true => kept.difference(group).copied().collect(),
            false => kept.union(group).copied().collect(),
        };
        let mut products = (0..self.nodes.len()).filter(|index| self.nodes[*index].is_product);
        if products.clone().all(|index| changed.contains(&index))
            && let Some(last) = products.next_back()
        {
            changed.remove(&last);
        }
        changed
    }

    /// Groups of nodes, large ones first: all of them, those of a kind, and stretches of the graph.
    fn levels(&self) -> Vec<Vec<Nodes>> {
        let of_kind = |is_of_kind: fn(&QuantizableNode) -> bool| -> Nodes {
            let nodes = self.nodes.iter().enumerate();
            nodes
                .filter(|(_, node)| is_of_kind(node))
                .map(|(index, _)| index)
                .collect()
        };
        let kinds = [
            (0..self.nodes.len()).collect(),
            of_kind(|node| node.is_depthwise),
            of_kind(|node| !node.is_product),
        ];
        let mut levels = PARTS.map(|parts| -> Vec<Nodes> {
            let stretches = parts.iter().flat_map(|parts| self.stretches(*parts));
            stretches.collect()
        });
        levels[0].splice(0..0, kinds);
        levels.into()
    }

    /// The graph in so many parts of about the same number of nodes.
    fn stretches(&self, parts: usize) -> Vec<Nodes> {
        let count = self.nodes.len();
        let bound = |part: usize| part * count / parts;
        (0..parts)
            .map(|part| (bound(part)..bound(part + 1)).collect())
            .collect()
    }
}

/// Seconds of a run: the fastest of some, where they are short. `last` is what it was in the last round.
fn seconds(run: &mut TimedRun, last: Option<f64>) -> Result<f64> {
    let runs = match last {
        Some(last) if last > LONG_RUN => 1,
        _ => SHORT_RUNS,
    };
    let mut fastest = f64::INFINITY;
    for _ in 0..runs {
        fastest = fastest.min(run()?);
    }
    Ok(fastest)
}

/// Two files by their runs of the same rounds.
struct Duel {
    /// Median share of the second's time that the first takes.
    share: f64,
    /// Of the sign test, two-sided.
    p_value: f64,
}

impl Duel {
    fn new(first: &[f64], second: &[f64]) -> Self {
        let pairs = first.iter().zip(second);
        let shares: Vec<f64> = pairs.map(|(first, second)| first / second).collect();
        let count = |is_side: fn(&&f64) -> bool| shares.iter().filter(is_side).count() as u64;
        let (wins, losses) = (count(|share| **share < 1.0), count(|share| **share > 1.0));
        Self {
            share: median(&shares).unwrap_or(1.0),
            p_value: mcnemar(wins, losses).p_value,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use rand::RngExt;

    use super::*;

    fn nodes(kinds: &str) -> Vec<QuantizableNode> {
        let node = |(index, kind): (usize, char)| QuantizableNode {
            name: format!("{kind}{index}"),
            op: "Conv".to_owned(),
            is_product: kind != 'a',
            is_depthwise: kind == 'd',
        };
        kinds.chars().enumerate().map(node).collect()
    }

    /// Searches where a run takes as many milliseconds as `cost` says of the names in single precision, and up to 10 %
    /// more; one run of ten takes five times as long.
    fn search(kinds: &str, cost: &dyn Fn(&[String]) -> f64) -> Mixed {
        let nodes = nodes(kinds);
        let rng = Rc::new(RefCell::new(ChaCha8Rng::seed_from_u64(3)));
        let open = |kept: &[String]| -> Result<TimedRun> {
            let mut products = nodes.iter().filter(|node| node.is_product);
            assert!(
                products.any(|node| !kept.contains(&node.name)),
                "no product is left: {kept:?}"
            );
            let (milliseconds, rng) = (cost(kept), Rc::clone(&rng));
            Ok(Box::new(move || {
                let mut rng = rng.borrow_mut();
                let is_late = rng.random_range(0.0..1.0) < 0.1;
                let slowness = rng.random_range(1.0..1.1) * if is_late { 5.0 } else { 1.0 };
                Ok(1e-3 * milliseconds * slowness)
            }))
        };
        let search = Search {
            nodes: &nodes,
            open: &open,
            // Runs take no time here, so the search ends by itself.
            time: Duration::from_secs(600),
        };
        search.run().unwrap()
    }

    #[test]
    fn what_is_faster_in_single_precision_is_kept_and_nothing_else() {
        // The two first nodes are slow in integers, and the others are slow in single precision.
        let slow = ["c0", "c1"];
        let found = search("ccaccacc", &|kept| {
            let right = slow
                .iter()
                .filter(|name| kept.iter().any(|kept| kept == *name));
            let right = right.count() as f64;
            8.0 - 2.0 * right + (kept.len() as f64 - right)
        });
        assert_eq!(found.kept, slow);
        assert!((found.speedup - 2.0).abs() < 0.2, "{found:?}");
    }

    #[test]
    fn a_kind_of_node_changes_sides_together() {
        let found = search("cdcdcdcdc", &|kept| {
            let depthwise = kept.iter().filter(|name| name.starts_with('d')).count() as f64;
            12.0 - 2.0 * depthwise + 4.0 * (kept.len() as f64 - depthwise)
        });
        assert_eq!(found.kept, ["d1", "d3", "d5", "d7"]);
    }

    #[test]
    fn where_nothing_is_faster_every_node_computes_with_integers() {
        let all = Mixed {
            kept: Vec::new(),
            speedup: 1.0,
        };
        let slower = |kept: &[String]| 2.0 + kept.len() as f64;
        assert_eq!(search("ccac", &slower), all);
        // Nor where all files are equal.
        assert_eq!(search("ccaccacc", &|_| 5.0), all);
        // Where integers are always slower, one product has them.
        let found = search("cca", &|kept| 10.0 - 3.0 * kept.len() as f64);
        assert_eq!(found.kept.len(), 2);
        // A single product leaves no choice, and nothing is opened.
        let unopened = |_: &[String]| -> f64 { panic!("there is nothing to race") };
        assert_eq!(search("c", &unopened), all);
    }
}
