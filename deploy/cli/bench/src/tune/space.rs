//! Search space of tuning: variants (provider and precision), and shapes (sessions, threads, batch). Opens nothing.

use deploy::tuned::Setting;
use deploy::{Precision, Provider};
use serde::{Deserialize, Serialize};

/// Most sessions on a processor, as many as the library opens: each has its own copy of the weights.
const MAX_SESSIONS: usize = 8;
/// Images per run that are tried where throughput counts.
const BATCHES: [usize; 3] = [1, 8, 32];
/// The batch of the library on a processor, in which variants are compared.
const USUAL_BATCH: usize = 8;

/// What is made as good as possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    /// The time of one image, alone.
    Latency,
    /// Images per second, many at a time.
    Throughput,
}

/// What decides the answers of a model: neither sessions nor threads nor batch change them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    pub provider: Provider,
    pub precision: Precision,
}

/// What is tried: all that it knows of the machine and the model.
#[derive(Clone, Copy, Debug)]
pub struct Space {
    pub goal: Goal,
    pub cores: usize,
    /// The number of images that the model takes, where it is fixed.
    pub fixed_batch: Option<usize>,
}

/// The precisions to try on a provider for a file of precision `own`, the file's own first. Integers need images to
/// measure ranges on.
pub fn precisions(provider: Provider, own: &str, has_images: bool) -> Vec<Precision> {
    let first = Precision::Fp32.in_file(own);
    let is_single = first == Precision::Fp32;
    let mut all = vec![first];
    // A converted file is not converted again.
    let others = Precision::ALL.into_iter().filter(|_| is_single);
    all.extend(others.filter(|precision| {
        *precision != first
            && precision.converts(provider).is_ok()
            && (has_images || *precision != Precision::Int8)
    }));
    all
}

impl Space {
    /// The setting that the library and `deploy eval` use where nothing is said.
    pub fn default_setting(&self, own: &str) -> Setting {
        let sessions = match self.goal {
            Goal::Latency => 1,
            Goal::Throughput => self.cores.clamp(1, MAX_SESSIONS),
        };
        Setting {
            provider: Provider::Cpu,
            precision: Precision::Fp32.in_file(own),
            sessions,
            threads: self.threads(Provider::Cpu, sessions),
            batch: self.usual_batch(),
        }
    }

    /// The setting in which a variant is compared with others: one session, the batch of the goal.
    pub fn first(&self, variant: Variant) -> Setting {
        Setting {
            provider: variant.provider,
            precision: variant.precision,
            sessions: 1,
            threads: None,
            batch: self.usual_batch(),
        }
    }

    /// Every shape of a variant.
    pub fn shapes(&self, variant: Variant) -> Vec<Setting> {
        let of = |sessions: usize, threads: Option<usize>, batch: usize| Setting {
            sessions,
            threads,
            batch,
            ..self.first(variant)
        };
        match self.goal {
            Goal::Latency => {
                let threads = match variant.provider.is_on_cpu() {
                    // All cores are `None`, which also binds threads to cores.
                    true => powers_up_to(self.cores.saturating_sub(1)),
                    false => Vec::new(),
                };
                let some = threads.into_iter().map(Some);
                let all = some.chain([None]);
                all.map(|threads| of(1, threads, self.usual_batch()))
                    .collect()
            }
            Goal::Throughput => {
                let mut settings = Vec::new();
                for sessions in self.sessions(variant.provider) {
                    for batch in self.batches() {
                        settings.push(of(
                            sessions,
                            self.threads(variant.provider, sessions),
                            batch,
                        ));
                    }
                }
                settings
            }
        }
    }

    fn usual_batch(&self) -> usize {
        let usual = match self.goal {
            Goal::Latency => 1,
            Goal::Throughput => USUAL_BATCH,
        };
        self.fixed_batch.unwrap_or(usual)
    }

    fn batches(&self) -> Vec<usize> {
        self.fixed_batch
            .map_or(BATCHES.to_vec(), |fixed| vec![fixed])
    }

    fn sessions(&self, provider: Provider) -> Vec<usize> {
        if !provider.is_on_cpu() {
            // One copies while the other computes.
            return vec![1, 2];
        }
        let most = self.cores.clamp(1, MAX_SESSIONS);
        let mut all = powers_up_to(most);
        if all.last() != Some(&most) {
            all.push(most);
        }
        all
    }

    /// Threads of each session: the cores divided among them.
    fn threads(&self, provider: Provider, sessions: usize) -> Option<usize> {
        (sessions > 1 && provider.is_on_cpu()).then(|| (self.cores / sessions).max(1))
    }
}

/// 1, 2, 4 and so on.
fn powers_up_to(most: usize) -> Vec<usize> {
    std::iter::successors(Some(1_usize), |power| power.checked_mul(2))
        .take_while(|power| *power <= most)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENVINO: Provider = Provider::openvino();

    fn shapes(goal: Goal, cores: usize, provider: Provider, fixed_batch: Option<usize>) -> String {
        let space = Space {
            goal,
            cores,
            fixed_batch,
        };
        let variant = Variant {
            provider,
            precision: Precision::Fp32,
        };
        let text = |setting: Setting| {
            let threads = setting.threads.map_or("all".to_owned(), |n| n.to_string());
            format!("{}x{threads} of {}", setting.sessions, setting.batch)
        };
        let all: Vec<String> = space.shapes(variant).into_iter().map(text).collect();
        all.join(", ")
    }

    #[test]
    fn latency_is_of_one_session_with_any_number_of_threads() {
        let of = |cores| shapes(Goal::Latency, cores, OPENVINO, None);
        assert_eq!(of(1), "1xall of 1");
        assert_eq!(of(2), "1x1 of 1, 1xall of 1");
        assert_eq!(of(6), "1x1 of 1, 1x2 of 1, 1x4 of 1, 1xall of 1");
        let gpu = Provider::Cuda { device: 0 };
        assert_eq!(shapes(Goal::Latency, 6, gpu, Some(3)), "1xall of 3");
    }

    #[test]
    fn throughput_divides_the_cores_among_sessions() {
        let of = |cores, fixed| shapes(Goal::Throughput, cores, Provider::Cpu, fixed);
        assert_eq!(
            of(2, None),
            "1xall of 1, 1xall of 8, 1xall of 32, 2x1 of 1, 2x1 of 8, 2x1 of 32"
        );
        assert_eq!(of(6, Some(5)), "1xall of 5, 2x3 of 5, 4x1 of 5, 6x1 of 5");
        assert!(of(64, Some(1)).ends_with("8x8 of 1"));
        let gpu = Provider::Cuda { device: 0 };
        assert_eq!(
            shapes(Goal::Throughput, 64, gpu, Some(2)),
            "1xall of 2, 2xall of 2"
        );
    }

    #[test]
    fn the_default_is_among_the_shapes_of_its_variant() {
        for goal in [Goal::Latency, Goal::Throughput] {
            for (cores, fixed_batch) in [(1, None), (2, None), (6, Some(3)), (64, None)] {
                let space = Space {
                    goal,
                    cores,
                    fixed_batch,
                };
                let default = space.default_setting("fp32");
                let variant = Variant {
                    provider: default.provider,
                    precision: default.precision,
                };
                assert!(space.shapes(variant).contains(&default), "{goal:?} {cores}");
            }
        }
    }

    #[test]
    fn precisions_are_those_of_the_provider_and_of_the_file() {
        let names = |provider, own, images| {
            let all = precisions(provider, own, images).into_iter();
            all.map(Precision::name).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(Provider::Cpu, "fp32", true), "fp32 fp16 int8");
        assert_eq!(names(OPENVINO, "fp32", false), "fp32 bf16 fp16");
        assert_eq!(names(OPENVINO, "int8", true), "int8");
        let gpu = Provider::Cuda { device: 0 };
        assert_eq!(names(gpu, "fp32", true), "fp32 tf32 fp16 int8");
    }
}
