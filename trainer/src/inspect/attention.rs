//! Class activation maps and Eigen-CAM: heat maps from feature maps. It knows no graph and no colours.

use deploy::Tap;

/// Steps of the power iteration at most, and the change at which it ends.
const STEPS: usize = 500;
const CHANGE: f64 = 1e-9;

/// The feature maps of one image, `[C, H, W]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Maps<'a> {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    /// Row-major.
    pub numbers: &'a [f32],
}

impl<'a> Maps<'a> {
    /// The first image's maps of a value `[N, C, H, W]`; any other value has none.
    pub fn from_tap(tap: &'a Tap) -> Option<Maps<'a>> {
        let &[_, channels, height, width] = tap.dims.as_slice() else {
            return None;
        };
        let numbers = tap.numbers.get(..channels * height * width)?;
        let whole = Maps {
            channels,
            height,
            width,
            numbers,
        };
        (!numbers.is_empty()).then_some(whole)
    }

    /// Whether height and width are in proportion to those of the image, but for a factor of two: axes in another
    /// order, such as `[N, H, W, C]`, are seldom so.
    pub fn is_like_image(&self, (height, width): (u32, u32)) -> bool {
        let own = self.height as f64 / self.width as f64;
        let ratio = own / (f64::from(height) / f64::from(width));
        (0.5..=2.0).contains(&ratio)
    }

    /// One channel `[H, W]` after the other.
    pub fn planes(&self) -> std::slice::ChunksExact<'a, f32> {
        self.numbers.chunks_exact(self.height * self.width)
    }

    /// The sum of the channels, each times its weight: `[H, W]`.
    fn weighted(&self, weights: impl Iterator<Item = f64>) -> Heat {
        let mut sum = vec![0.0f64; self.height * self.width];
        for (plane, weight) in self.planes().zip(weights) {
            for (sum, value) in sum.iter_mut().zip(plane) {
                *sum += weight * f64::from(*value);
            }
        }
        Heat {
            width: self.width,
            height: self.height,
            values: sum.into_iter().map(|v| v as f32).collect(),
        }
    }
}

/// Heat map: a number for every pixel of an image, or for every cell of a coarser grid, `[H, W]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Heat {
    pub width: usize,
    pub height: usize,
    /// Row-major.
    pub values: Vec<f32>,
}

impl Heat {
    pub fn peak(&self) -> f32 {
        self.values
            .iter()
            .copied()
            .fold(f32::NEG_INFINITY, f32::max)
    }

    pub fn mean(&self) -> f64 {
        let sum: f64 = self.values.iter().map(|v| f64::from(*v)).sum();
        sum / self.values.len().max(1) as f64
    }

    /// Evidence for the class alone: negative values become zero.
    #[must_use]
    pub fn positive(mut self) -> Heat {
        self.values.iter_mut().for_each(|v| *v = v.max(0.0));
        self
    }

    /// The same with the other sign.
    #[must_use]
    pub fn negated(mut self) -> Heat {
        self.values.iter_mut().for_each(|v| *v = -*v);
        self
    }

    /// On a grid of another size, bilinear between the centres of the cells, as PyTorch's
    /// `interpolate(mode="bilinear", align_corners=False)`.
    #[must_use]
    pub fn resized(&self, width: usize, height: usize) -> Heat {
        let columns = interpolation(self.width, width);
        let rows = interpolation(self.height, height);
        let at = |x: usize, y: usize| self.values[y * self.width + x];
        let mut values = Vec::with_capacity(width * height);
        for &(top, bottom, down) in &rows {
            for &(left, right, along) in &columns {
                let upper = at(left, top) * (1.0 - along) + at(right, top) * along;
                let lower = at(left, bottom) * (1.0 - along) + at(right, bottom) * along;
                values.push(upper * (1.0 - down) + lower * down);
            }
        }
        Heat {
            width,
            height,
            values,
        }
    }
}

/// For every index of the new axis: two indices of the old one, and the weight of the second.
fn interpolation(old: usize, new: usize) -> Vec<(usize, usize, f32)> {
    let scale = old as f32 / new as f32;
    let neighbours = |i: usize| {
        let at = ((i as f32 + 0.5) * scale - 0.5).clamp(0.0, (old - 1) as f32);
        let first = at as usize;
        (first, (first + 1).min(old - 1), at - first as f32)
    };
    (0..new).map(neighbours).collect()
}

/// The class activation map (Zhou et al. 2016, equation 2): the feature maps weighted by the class's
/// row `[C]` of the layer behind the global average pooling. Its mean plus the bias is the logit.
///
/// Grad-CAM (Selvaraju et al. 2017, equations 1 and 2) of such a network is its positive part,
/// divided by `H W`: the gradient of a mean.
///
/// None where the maps have another number of channels than the row.
pub fn class_map(maps: &Maps<'_>, row: &[f32]) -> Option<Heat> {
    (maps.channels == row.len()).then(|| maps.weighted(row.iter().map(|w| f64::from(*w))))
}

/// Eigen-CAM (Muhammad and Yeasin 2020): the feature maps as a matrix `[H W, C]`, projected onto its
/// first right singular vector. Knows no class; the sign is that of a positive sum.
pub fn eigen(maps: &Maps<'_>) -> Heat {
    // Power iteration on the transposed matrix times the matrix, `[C, C]`, which is never formed.
    let mut vector: Vec<f64> = vec![1.0; maps.channels];
    for _ in 0..STEPS {
        let projection = maps.weighted(vector.iter().copied());
        let dot = |plane: &[f32]| -> f64 {
            let products = plane.iter().zip(&projection.values);
            products.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        let next: Vec<f64> = maps.planes().map(dot).collect();
        let length = next.iter().map(|v| v * v).sum::<f64>().sqrt();
        // All maps are zero.
        if length == 0.0 {
            break;
        }
        let next: Vec<f64> = next.iter().map(|v| v / length).collect();
        let change = next.iter().zip(&vector).map(|(a, b)| (a - b).abs());
        let change = change.fold(0.0, f64::max);
        vector = next;
        if change < CHANGE {
            break;
        }
    }
    let mut heat = maps.weighted(vector.into_iter());
    // The sign of a singular vector is arbitrary.
    if heat.mean() < 0.0 {
        heat.values.iter_mut().for_each(|v| *v = -*v);
    }
    heat
}

#[cfg(test)]
mod tests {
    use super::{Heat, Maps, class_map, eigen};

    fn maps(numbers: &[f32], [channels, height, width]: [usize; 3]) -> Maps<'_> {
        Maps {
            channels,
            height,
            width,
            numbers,
        }
    }

    #[test]
    fn axes_in_another_order_are_no_map_of_the_image() {
        let is_like = |[channels, height, width]: [usize; 3]| {
            let numbers = vec![0.0; channels * height * width];
            maps(&numbers, [channels, height, width]).is_like_image((224, 320))
        };
        assert!(is_like([768, 7, 10]) && is_like([16, 14, 21]));
        assert!(!is_like([7, 10, 768]) && !is_like([7, 768, 10]));
    }

    #[test]
    fn a_class_map_weighs_channels_and_refuses_another_number_of_them() {
        let numbers = [1.0, 2.0, 3.0, 10.0, 20.0, 30.0];
        let maps = maps(&numbers, [2, 1, 3]);
        let heat = class_map(&maps, &[2.0, -0.1]).unwrap();
        assert_eq!(heat.values, [1.0, 2.0, 3.0]);
        assert_eq!((heat.width, heat.height), (3, 1));
        assert_eq!(class_map(&maps, &[1.0]), None);
        assert_eq!(
            class_map(&maps, &[-1.0, 0.0]).unwrap().positive().peak(),
            0.0
        );
    }

    #[test]
    fn eigen_cam_of_maps_of_rank_one_is_that_one_map() {
        let pattern = [1.0f32, 3.0, 0.0, 2.0];
        let channel = [2.0f32, -1.0, 2.0];
        let numbers: Vec<f32> = channel
            .iter()
            .flat_map(|c| pattern.iter().map(move |p| c * p))
            .collect();
        let heat = eigen(&maps(&numbers, [3, 2, 2]));
        // The length of `channel` is 3.
        for (value, expected) in heat.values.iter().zip(pattern) {
            assert!((value - 3.0 * expected).abs() < 1e-5, "{:?}", heat.values);
        }
    }

    #[test]
    fn eigen_cam_of_nothing_is_nothing() {
        assert_eq!(eigen(&maps(&[0.0; 8], [2, 2, 2])).values, [0.0; 4]);
    }

    #[test]
    fn resizing_is_bilinear_between_middles_and_flat_at_the_edge() {
        let heat = Heat {
            width: 2,
            height: 1,
            values: vec![0.0, 4.0],
        };
        // interpolate([[0, 4]], size=(2, 4), mode="bilinear", align_corners=False)
        let row = [0.0, 1.0, 3.0, 4.0];
        assert_eq!(heat.resized(4, 2).values, [row, row].concat());
        assert_eq!(heat.resized(2, 1), heat);
    }
}
