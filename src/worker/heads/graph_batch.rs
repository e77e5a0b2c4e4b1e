//! Frames as graphs: which node stands for what, and how the boxes of two nodes lie relative to
//! each other.

use surgcam_frames::dataset::annotations::LabelledInteraction;
use surgcam_frames::vision::geometry::Box2;
use surgcam_pipeline::head_settings::GraphSettings;
use tch::{Kind, Tensor};

use super::regions::{FEATURES, RegionBatch};

/// How many numbers describe how two boxes lie relative to each other.
pub const PLACES: usize = 8;
/// The nodes before the regions: the tissue, and the node that stands for an instrument that no
/// region shows.
pub const TISSUE: usize = 0;
pub const UNSEEN: usize = 1;
pub const FIRST_REGION: usize = 2;

/// Frames as graphs. The nodes are the tissue, one for instruments that no region shows, and the
/// regions of instruments, padded.
pub struct GraphBatch {
    /// [N, nodes, 512]
    pub features: Tensor,
    /// [N, nodes] into the class embedding.
    pub classes: Tensor,
    /// [N, nodes, nodes, 8]
    pub places: Tensor,
    /// [N, nodes], true where there is none.
    pub absent: Tensor,
    /// The classes of each frame's instrument nodes, from [`FIRST_REGION`] on.
    instruments: Vec<Vec<usize>>,
}

/// The edge that a labelled interaction is read from: frame and node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Edge {
    pub frame: usize,
    pub node: usize,
}

impl GraphBatch {
    pub fn of(regions: &RegionBatch, settings: &GraphSettings) -> Self {
        let (tissue, nobody) = (settings.classes - 1, settings.classes);
        let device = regions.features.device();
        let frames = regions.regions.len();
        let nodes = FIRST_REGION + regions.features.size()[1] as usize;
        // Region places as rows of the features, behind a row of zeros.
        let (mut sources, mut classes) = (Vec::new(), Vec::new());
        let (mut absent, mut boxes, mut instruments) = (Vec::new(), Vec::new(), Vec::new());
        let [height, width] = settings.image_size.map(i64::from);
        let whole = Box2::from([0, 0, width, height]);
        for (frame, of_frame) in regions.regions.iter().enumerate() {
            let row = |place: usize| (1 + frame * (nodes - FIRST_REGION) + place) as i64;
            let seen_tissue = of_frame.iter().position(|(class, _)| *class == tissue);
            let start = classes.len();
            sources.extend([seen_tissue.map_or(0, row), 0]);
            classes.extend([tissue as i64, nobody as i64]);
            boxes.extend([seen_tissue.map_or(whole, |place| of_frame[place].1), whole]);
            let mut of_instruments = Vec::new();
            for (place, (class, bounds)) in
                of_frame.iter().enumerate().filter(|(_, (class, _))| *class != tissue)
            {
                sources.push(row(place));
                classes.push(*class as i64);
                boxes.push(*bounds);
                of_instruments.push(*class);
            }
            let count = classes.len() - start;
            absent.extend((0..nodes).map(|node| node >= count));
            sources.resize(start + nodes, 0);
            classes.resize(start + nodes, nobody as i64);
            boxes.resize(start + nodes, whole);
            instruments.push(of_instruments);
        }
        let size = [frames as i64, nodes as i64];
        let rows = regions.features.flatten(0, 1);
        let with_nothing =
            Tensor::cat(&[Tensor::zeros([1, FEATURES as i64], (Kind::Float, device)), rows], 0);
        let places: Vec<f32> =
            boxes.chunks(nodes).flat_map(|boxes| places_of(boxes, [height, width])).collect();
        GraphBatch {
            features: with_nothing
                .index_select(0, &Tensor::from_slice(&sources).to_device(device))
                .view([size[0], size[1], -1]),
            classes: Tensor::from_slice(&classes).view(size).to_device(device),
            places: Tensor::from_slice(&places)
                .view([size[0], size[1], size[1], PLACES as i64])
                .to_device(device),
            absent: Tensor::from_slice(&absent).view(size).to_device(device),
            instruments,
        }
    }

    /// The edges of an annotated instrument: to all nodes of its class, or to the one that stands
    /// for what is unseen.
    pub fn edges_of(&self, frame: usize, label: &LabelledInteraction) -> Vec<Edge> {
        let nodes =
            self.instruments[frame].iter().enumerate().filter(|(_, class)| **class == label.class);
        let edges: Vec<Edge> =
            nodes.map(|(place, _)| Edge { frame, node: FIRST_REGION + place }).collect();
        if edges.is_empty() { vec![Edge { frame, node: UNSEEN }] } else { edges }
    }

    /// Whether a region shows the instrument that these edges lead to.
    pub fn is_seen(edges: &[Edge]) -> bool {
        edges.iter().all(|edge| edge.node != UNSEEN)
    }

    /// Every edge that a region shows, with its instrument's class.
    pub fn seen_edges(&self, frame: usize) -> Vec<(usize, Edge)> {
        let edge =
            |(place, &class): (usize, &usize)| (class, Edge { frame, node: FIRST_REGION + place });
        self.instruments[frame].iter().enumerate().map(edge).collect()
    }
}

/// [nodes, nodes, 8] of a frame: from each box the other's offset and size, its own size, overlap
/// and distance; all relative to the picture.
fn places_of(boxes: &[Box2], [height, width]: [i64; 2]) -> Vec<f32> {
    let (height, width) = (height as f32, width as f32);
    let of = |b: &Box2| {
        let (w, h) = ((b.x2 - b.x1) as f32 / width, (b.y2 - b.y1) as f32 / height);
        ((b.x1 + b.x2) as f32 / (2.0 * width), (b.y1 + b.y2) as f32 / (2.0 * height), w, h)
    };
    let mut places = Vec::with_capacity(boxes.len() * boxes.len() * PLACES);
    for from in boxes {
        let (x, y, w, h) = of(from);
        for to in boxes {
            let (other_x, other_y, other_w, other_h) = of(to);
            let (dx, dy) = (other_x - x, other_y - y);
            places.extend([
                dx,
                dy,
                w,
                h,
                other_w,
                other_h,
                from.iou(to) as f32,
                (dx * dx + dy * dy).sqrt(),
            ]);
        }
    }
    places
}

/// Frames for tests.
#[cfg(test)]
pub mod examples {
    use super::super::regions::HeadRegion;
    use super::*;
    use rand::RngExt;
    use surgcam_frames::random::stream;
    use tch::Device;

    pub const SETTINGS: GraphSettings = GraphSettings {
        width: 32,
        rounds: 2,
        attention_heads: 4,
        dropout: 0.0,
        classes: 5,
        image_size: [64, 80],
    };

    pub fn frames(count: usize) -> Vec<Vec<HeadRegion>> {
        let mut random = stream("graphs");
        let mut region = |class| {
            let (x, y) = (random.random_range(0..40), random.random_range(0..30));
            HeadRegion {
                class,
                bounds: Box2::from([x, y, x + 30, y + 30]),
                features: (0..FEATURES).map(|_| random.random_range(0.0..1.0)).collect(),
            }
        };
        // One to three instruments; the tissue shows in every second frame.
        let classes = |frame: usize| {
            (0..=frame % 3)
                .map(move |place| (frame + place) % 4)
                .chain((frame % 2 == 1).then_some(4))
        };
        (0..count).map(|frame| classes(frame).map(&mut region).collect()).collect()
    }

    pub fn batch(frames: &[Vec<HeadRegion>], maximum: usize) -> GraphBatch {
        let frames: Vec<&[HeadRegion]> = frames.iter().map(Vec::as_slice).collect();
        GraphBatch::of(&RegionBatch::of(&frames, maximum, Device::Cpu), &SETTINGS)
    }
}

#[cfg(test)]
mod tests {
    use super::examples::{batch, frames};
    use super::*;

    #[test]
    fn an_instrument_is_matched_to_the_nodes_of_its_class_or_to_the_one_that_knows_nothing() {
        let frames = frames(3);
        let batch = batch(&frames, 3);
        let label = |class| LabelledInteraction { class, interaction: 0 };
        // The third frame shows classes 2, 3 and 0.
        assert_eq!(batch.edges_of(2, &label(3)), [Edge { frame: 2, node: FIRST_REGION + 1 }]);
        assert_eq!(batch.edges_of(2, &label(1)), [Edge { frame: 2, node: UNSEEN }]);
        assert_eq!(
            batch.seen_edges(2).iter().map(|(class, _)| *class).collect::<Vec<_>>(),
            [2, 3, 0]
        );
    }
}
