//! Arithmetic of shapes, axes and row-major indices.

/// The shape that two broadcast to (<https://onnx.ai/onnx/repo-docs/Broadcasting.html>).
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let rank = a.len().max(b.len());
    let dim = |dims: &[usize], axis: usize| match (axis + dims.len()).checked_sub(rank) {
        Some(own) => dims[own],
        None => 1,
    };
    let pairs = (0..rank).map(|axis| (dim(a, axis), dim(b, axis)));
    pairs
        .map(|pair| match pair {
            (1, n) | (n, 1) => Ok(n),
            (n, m) if n == m => Ok(n),
            _ => Err(format!("shapes {a:?} and {b:?} do not fit")),
        })
        .collect()
}

/// An axis, counted from the end where it is negative.
pub(super) fn axis(axis: i64, rank: usize) -> Result<usize, String> {
    let signed = rank as i64;
    let index = if axis < 0 { axis + signed } else { axis };
    if (0..signed).contains(&index) {
        Ok(index as usize)
    } else {
        Err(format!("axis {axis} of a value of rank {rank}"))
    }
}

/// Axes, each once, in ascending order.
pub(super) fn axes(list: &[i64], rank: usize) -> Result<Vec<usize>, String> {
    let mut found = list
        .iter()
        .map(|&index| axis(index, rank))
        .collect::<Result<Vec<_>, _>>()?;
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// A size that is not negative.
pub(super) fn size(value: i64) -> Result<usize, String> {
    usize::try_from(value).map_err(|_| format!("a size of {value}"))
}

/// Row-major strides.
pub(super) fn strides(dims: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; dims.len()];
    for axis in (1..dims.len()).rev() {
        strides[axis - 1] = strides[axis] * dims[axis];
    }
    strides
}

/// Flat indices into a value for every element of `dims`, in row-major order: `offset` plus, for each axis, the
/// position there times the step of that axis.
pub(super) fn indices(dims: &[usize], steps: &[isize], offset: usize) -> Vec<usize> {
    let mut found = vec![offset as isize];
    for (&len, &step) in dims.iter().zip(steps) {
        let next = found.iter().flat_map(|&base| {
            let positions = 0..len as isize;
            positions.map(move |position| base + position * step)
        });
        found = next.collect();
    }
    found.into_iter().map(|index| index as usize).collect()
}
