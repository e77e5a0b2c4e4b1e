//! Boxes from a heat map (METHOD 5).
//!
//! The method takes the bounding rectangle of *every* contour of the mask `heat > T_ROI`: of outer
//! borders and of the borders of holes, which are 8-connected (Suzuki and Abe 1985; OpenCV's
//! RETR_LIST). The rectangles are found without following the borders:
//!
//! * The rectangle of an outer border is that of its 8-connected component of the mask.
//! * A hole is a 4-connected component of the background that does not reach the picture's edge.
//!   Its border has the pixels of the mask next to it. There is one above its topmost pixel, one
//!   below its lowest, and so on, so the rectangle of the border is that of the hole, larger by one
//!   pixel on each side.
//!
//! The components are found by joining runs of equal pixels, in time linear in the pixels.

use super::geometry::Box2;
use super::heat_map::HeatMap;

/// Settings that decide which boxes a heat map has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoxRule {
    /// T_ROI: the mask has the cells that are strictly above this value.
    pub roi_threshold: f64,
    /// In square pixels. Boxes of this area or less are dropped.
    pub minimum_area: i64,
}

/// A box and the mean heat inside it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoredBox {
    pub bounds: Box2,
    pub confidence: f32,
}

/// All boxes of one heat map, sorted by `(y1, x1, y2, x2)`.
pub fn boxes(heat: &HeatMap, rule: BoxRule) -> Vec<ScoredBox> {
    let bounds = bounds_of_boxes(heat, rule);
    bounds
        .into_iter()
        .map(|bounds| ScoredBox { bounds, confidence: mean_inside(heat, &bounds) })
        .collect()
}

/// The same boxes as [`boxes`] gives, in the same order, without their confidences.
pub fn bounds_of_boxes(heat: &HeatMap, rule: BoxRule) -> Vec<Box2> {
    let mask: Vec<bool> = heat.is_hot(rule.roi_threshold).collect();
    let mut boxes: Vec<Box2> = contour_rectangles(&mask, heat.width);
    boxes.retain(|bounds| bounds.area() > rule.minimum_area);
    boxes.sort();
    boxes
}

/// The regions of a class that crops, features and IoU use. The boxes of the tissue are united to
/// one region (METHOD 5).
pub fn used_regions(boxes: &[Box2], is_tissue: bool) -> Vec<Box2> {
    if is_tissue {
        boxes.iter().copied().reduce(|all, next| all.united(&next)).into_iter().collect()
    } else {
        boxes.to_vec()
    }
}

/// The confidence of a box: the mean heat inside it.
pub fn mean_inside(heat: &HeatMap, bounds: &Box2) -> f32 {
    let columns = bounds.x1 as usize..bounds.x2 as usize;
    let sum: f64 = (bounds.y1 as usize..bounds.y2 as usize)
        .flat_map(|y| &heat.values[y * heat.width..][columns.clone()])
        .map(|&value| f64::from(value))
        .sum();
    (sum / bounds.area() as f64) as f32
}

/// A maximal stretch of equal pixels in one row.
struct Run {
    is_mask: bool,
    y: usize,
    start: usize,
    /// The first column after the run.
    end: usize,
}

/// The bounding rectangles of all borders of a mask, in no particular order.
pub fn contour_rectangles(mask: &[bool], width: usize) -> Vec<Box2> {
    let height = mask.len().checked_div(width).unwrap_or(0);
    let (runs, row_starts) = find_runs(mask, width);
    let mut components = Components::new(&runs);
    for y in 1..height {
        let above = row_starts[y - 1]..row_starts[y];
        let current = row_starts[y]..row_starts[y + 1];
        join_rows(&runs, above, current, &mut components);
    }
    let mut rectangles = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        if components.root(index) != index {
            continue;
        }
        let bounds = components.bounds[index];
        if run.is_mask {
            rectangles.push(bounds);
        } else if bounds.x1 > 0
            && bounds.y1 > 0
            && bounds.x2 < width as i64
            && bounds.y2 < height as i64
        {
            rectangles.push(Box2 {
                y1: bounds.y1 - 1,
                x1: bounds.x1 - 1,
                y2: bounds.y2 + 1,
                x2: bounds.x2 + 1,
            });
        }
    }
    rectangles
}

fn find_runs(mask: &[bool], width: usize) -> (Vec<Run>, Vec<usize>) {
    let mut runs: Vec<Run> = Vec::new();
    let mut row_starts = vec![0];
    for (y, row) in mask.chunks(width.max(1)).enumerate() {
        let mut start = 0;
        for stretch in row.chunk_by(|left, right| left == right) {
            let end = start + stretch.len();
            runs.push(Run { is_mask: stretch[0], y, start, end });
            start = end;
        }
        row_starts.push(runs.len());
    }
    (runs, row_starts)
}

/// Joins the runs of two neighbouring rows. Runs of the mask are joined across corners as well,
/// runs of the background across edges only.
fn join_rows(
    runs: &[Run],
    above: std::ops::Range<usize>,
    current: std::ops::Range<usize>,
    components: &mut Components,
) {
    let mut first = above.start;
    for index in current {
        let run = &runs[index];
        // A run above that ends before this one starts is passed over, unless they touch at a
        // corner.
        while first < above.end && runs[first].end < run.start {
            first += 1;
        }
        for (other_index, other) in runs.iter().enumerate().take(above.end).skip(first) {
            if other.start > run.end {
                break;
            }
            if other.is_mask != run.is_mask {
                continue;
            }
            let corner = usize::from(run.is_mask);
            if other.start < run.end + corner && run.start < other.end + corner {
                components.join(index, other_index);
            }
        }
    }
}

/// Joins runs to components (union-find). The root of a component has its rectangle.
struct Components {
    parent: Vec<usize>,
    bounds: Vec<Box2>,
}

impl Components {
    fn new(runs: &[Run]) -> Self {
        let bounds = |run: &Run| Box2 {
            y1: run.y as i64,
            x1: run.start as i64,
            y2: run.y as i64 + 1,
            x2: run.end as i64,
        };
        Components { parent: (0..runs.len()).collect(), bounds: runs.iter().map(bounds).collect() }
    }

    fn root(&mut self, mut index: usize) -> usize {
        while self.parent[index] != index {
            self.parent[index] = self.parent[self.parent[index]];
            index = self.parent[index];
        }
        index
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        if a != b {
            self.bounds[b] = self.bounds[b].united(&self.bounds[a]);
            self.parent[a] = b;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mask_of(rows: &[&str]) -> (Vec<bool>, usize) {
        (rows.iter().flat_map(|row| row.chars().map(|c| c == '#')).collect(), rows[0].len())
    }

    fn sorted_rectangles(mask: &[bool], width: usize) -> Vec<[i64; 4]> {
        let mut rectangles: Vec<[i64; 4]> =
            contour_rectangles(mask, width).into_iter().map(Into::into).collect();
        rectangles.sort();
        rectangles
    }

    #[test]
    fn a_ring_has_an_outer_and_a_hole_border() {
        let (mask, width) =
            mask_of(&[".......", ".#####.", ".#...#.", ".#.#.#.", ".#...#.", ".#####.", "......."]);
        // The outer border, the border of the hole, and the dot inside the hole.
        assert_eq!(sorted_rectangles(&mask, width), [[1, 1, 6, 6], [1, 1, 6, 6], [3, 3, 4, 4]]);
    }

    #[test]
    fn the_mask_joins_across_corners_and_the_background_does_not() {
        let (mask, width) = mask_of(&[".#..", "#.#.", ".#.."]);
        assert_eq!(sorted_rectangles(&mask, width), [[0, 0, 3, 3], [0, 0, 3, 3]]);
    }

    #[test]
    fn background_that_reaches_the_edge_is_no_hole() {
        let (mask, width) = mask_of(&["###", "#.#", "#.#"]);
        assert_eq!(sorted_rectangles(&mask, width), [[0, 0, 3, 3]]);
    }

    #[test]
    fn a_full_and_an_empty_mask() {
        assert_eq!(sorted_rectangles(&[true; 6], 3), [[0, 0, 3, 2]]);
        assert_eq!(sorted_rectangles(&[false; 6], 3), [] as [[i64; 4]; 0]);
        assert_eq!(contour_rectangles(&[], 0), []);
    }

    /// The same rectangles, found by flooding pixel by pixel, which is slow and simple.
    fn by_flooding(mask: &[bool], width: usize) -> Vec<[i64; 4]> {
        let height = mask.len() / width;
        let mut seen = vec![false; mask.len()];
        let mut rectangles = Vec::new();
        for start in 0..mask.len() {
            if seen[start] {
                continue;
            }
            let (mut x1, mut y1, mut x2, mut y2) = (width as i64, height as i64, 0, 0);
            let mut stack = vec![start];
            seen[start] = true;
            while let Some(pixel) = stack.pop() {
                let (x, y) = ((pixel % width) as i64, (pixel / width) as i64);
                (x1, y1, x2, y2) = (x1.min(x), y1.min(y), x2.max(x + 1), y2.max(y + 1));
                for (dx, dy) in
                    [(-1, -1), (0, -1), (1, -1), (-1, 0), (1, 0), (-1, 1), (0, 1), (1, 1)]
                {
                    let (nx, ny) = (x + dx, y + dy);
                    let diagonal = dx != 0 && dy != 0;
                    if nx < 0
                        || ny < 0
                        || nx >= width as i64
                        || ny >= height as i64
                        || (diagonal && !mask[start])
                    {
                        continue;
                    }
                    let neighbour = ny as usize * width + nx as usize;
                    if !seen[neighbour] && mask[neighbour] == mask[start] {
                        seen[neighbour] = true;
                        stack.push(neighbour);
                    }
                }
            }
            if mask[start] {
                rectangles.push([x1, y1, x2, y2]);
            } else if x1 > 0 && y1 > 0 && x2 < width as i64 && y2 < height as i64 {
                rectangles.push([x1 - 1, y1 - 1, x2 + 1, y2 + 1]);
            }
        }
        rectangles.sort();
        rectangles
    }

    proptest! {
        #[test]
        fn runs_and_flooding_agree(
            width in 1usize..24,
            cells in proptest::collection::vec(any::<bool>(), 1..400),
        ) {
            let height = cells.len() / width;
            prop_assume!(height > 0);
            let mask = &cells[..width * height];
            prop_assert_eq!(sorted_rectangles(mask, width), by_flooding(mask, width));
        }
    }

    #[test]
    fn tissue_boxes_become_one_region() {
        let boxes = [Box2::from([10, 20, 30, 40]), Box2::from([0, 25, 5, 60])];
        assert_eq!(used_regions(&boxes, true), [Box2::from([0, 20, 30, 60])]);
        assert_eq!(used_regions(&boxes, false), boxes);
        assert_eq!(used_regions(&[], true), []);
    }
}
