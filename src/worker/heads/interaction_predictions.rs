//! Annotated interactions, and what a graph predicts for them.

use surgcam_artifacts::interaction_predictions::InteractionPrediction;
use surgcam_frames::dataset::annotations::{FrameAnnotation, INTERACTIONS, LabelledInteraction};
use surgcam_frames::dataset::index::Frame;
use tch::{Device, Kind};

use super::graph_batch::{Edge, GraphBatch};
use super::interaction_graph::InteractionGraph;
use super::regions::FrameRegions;
use crate::features::values_of;

/// Frames that go through the graph together.
const FRAMES_TOGETHER: usize = 200;

/// Some frames, by their rows in the index, and what their instruments do.
pub struct Interactions {
    pub frames: Vec<(usize, Vec<LabelledInteraction>)>,
}

impl Interactions {
    /// The wanted frames that have interactions. `annotations`: one for each frame.
    pub fn of(
        frames: &[Frame],
        annotations: &[FrameAnnotation],
        wanted: fn(&Frame) -> bool,
    ) -> Self {
        let of_row = |(row, annotation): (usize, &FrameAnnotation)| {
            let labels = annotation.interactions.clone().filter(|labels| !labels.is_empty())?;
            wanted(&frames[row]).then_some((row, labels))
        };
        Interactions { frames: annotations.iter().enumerate().filter_map(of_row).collect() }
    }

    pub fn rows(&self) -> Vec<usize> {
        self.frames.iter().map(|(row, _)| *row).collect()
    }

    /// How many instruments are annotated.
    pub fn instruments(&self) -> usize {
        self.frames.iter().map(|(_, labels)| labels.len()).sum()
    }

    /// How often each interaction is annotated.
    pub fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; INTERACTIONS.len()];
        self.frames
            .iter()
            .flat_map(|(_, labels)| labels)
            .for_each(|label| counts[label.interaction] += 1);
        counts
    }
}

/// What the graph predicts for every annotated instrument.
pub fn predicted(
    graph: &InteractionGraph,
    interactions: &Interactions,
    regions: &FrameRegions,
    device: Device,
) -> Vec<InteractionPrediction> {
    let mut predictions = Vec::new();
    for frames in interactions.frames.chunks(FRAMES_TOGETHER) {
        let rows: Vec<usize> = frames.iter().map(|(row, _)| *row).collect();
        let batch = graph.batch(&regions.batch(&rows, device));
        let scores =
            tch::no_grad(|| values_of(&graph.logits(&batch, false).softmax(-1, Kind::Float)));
        let nodes = scores.len() / INTERACTIONS.len() / rows.len();
        for (frame, (row, labels)) in frames.iter().enumerate() {
            predictions.extend(labels.iter().map(|label| {
                let edges = batch.edges_of(frame, label);
                InteractionPrediction {
                    row: *row,
                    class: label.class,
                    right: label.interaction,
                    is_seen: GraphBatch::is_seen(&edges),
                    scores: mean_scores(&scores, nodes, &edges),
                }
            }));
        }
    }
    predictions
}

/// The mean over the nodes of one instrument. `scores` [frames, nodes, 13].
pub fn mean_scores(scores: &[f32], nodes: usize, edges: &[Edge]) -> Vec<f64> {
    let of_edge = |edge: &Edge, interaction: usize| {
        f64::from(scores[(edge.frame * nodes + edge.node) * INTERACTIONS.len() + interaction])
    };
    let mean = |interaction| {
        edges.iter().map(|edge| of_edge(edge, interaction)).sum::<f64>() / edges.len() as f64
    };
    (0..INTERACTIONS.len()).map(mean).collect()
}
