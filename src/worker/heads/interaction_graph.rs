//! The tool-tissue interaction graph (METHOD 8): a node for the tissue, one for each region of an
//! instrument, an edge from the tissue to each instrument, and on each edge the scores of the 13
//! interactions.
//!
//! A node has the features and the class of its region. An edge knows how its two boxes lie
//! relative to each other. In each round the nodes send each other messages, weighted by an
//! attention that sees the edges. After the last round, an attention over the edges summarises what
//! the instruments do to the tissue. The answer for an edge is computed from its two nodes, how
//! their boxes lie, and this summary. For an annotated instrument that no region shows, there is an
//! edge to a node without features of its own: its interaction is guessed from everything else in
//! the frame.

use std::path::Path;

use surgcam_engine::error::{AtPath, Result};
use surgcam_engine::store::{read_json, write_json};
use surgcam_frames::dataset::annotations::INTERACTIONS;
use surgcam_pipeline::checked::Checked;
use surgcam_pipeline::head_settings::{GraphSettings, head_file};
use tch::{Device, Kind, Tensor};

use super::graph_batch::{Edge, GraphBatch, PLACES, TISSUE};
use super::layers::{FeedForward, Initial, LayerNorm, Linear, Standardization, TensorSource};
use super::regions::{FEATURES, RegionBatch};
use crate::model::checkpoint;
use crate::model::weights::Weights;

/// One round of messages between all nodes of a frame.
struct Round {
    queries: Linear,
    keys: Linear,
    values: Linear,
    /// What the position of an edge's boxes adds to its score, for each attention head.
    edges: Linear,
    output: Linear,
    norm: LayerNorm,
    feed_forward: FeedForward,
}

pub struct InteractionGraph {
    pub standardization: Standardization,
    input: Linear,
    input_norm: LayerNorm,
    /// [classes + 1, width]: the classes, and one for a node that no region shows.
    class_embedding: Tensor,
    rounds: Vec<Round>,
    edge_input: Linear,
    /// The attention over a frame's edges.
    edge_score: Linear,
    hidden: Linear,
    output: Linear,
    settings: GraphSettings,
}

impl Round {
    fn new(source: &mut TensorSource, name: &str, settings: &GraphSettings) -> Result<Self> {
        let width = settings.width as i64;
        let mut linear =
            |part: &str, output: i64| Linear::new(source, &format!("{name}.{part}"), width, output);
        let (queries, keys, values, output) = (
            linear("queries", width)?,
            linear("keys", width)?,
            linear("values", width)?,
            linear("output", width)?,
        );
        Ok(Round {
            queries,
            keys,
            values,
            output,
            edges: Linear::new(
                source,
                &format!("{name}.edges"),
                PLACES as i64,
                settings.attention_heads as i64,
            )?,
            norm: LayerNorm::new(source, &format!("{name}.norm"), width)?,
            feed_forward: FeedForward::new(
                source,
                &format!("{name}.feed_forward"),
                width,
                2 * width,
                settings.dropout,
            )?,
        })
    }

    /// Nodes [N, V, width] -> the same size.
    fn forward(
        &self,
        nodes: &Tensor,
        batch: &GraphBatch,
        heads: i64,
        dropout: f64,
        train: bool,
    ) -> Tensor {
        let size = nodes.size();
        let by_head =
            |x: Tensor| x.view([size[0], size[1], heads, size[2] / heads]).transpose(1, 2);
        let (queries, keys, values) = (
            by_head(self.queries.forward(nodes)),
            by_head(self.keys.forward(nodes)),
            by_head(self.values.forward(nodes)),
        );
        let of_edges = self.edges.forward(&batch.places).permute([0, 3, 1, 2]);
        let scores =
            queries.matmul(&keys.transpose(2, 3)) / ((size[2] / heads) as f64).sqrt() + of_edges;
        let absent = batch.absent.unsqueeze(1).unsqueeze(1);
        let messages =
            scores.masked_fill(&absent, f64::NEG_INFINITY).softmax(-1, Kind::Float).matmul(&values);
        let messages = self
            .output
            .forward(&messages.transpose(1, 2).reshape(size.as_slice()))
            .dropout(dropout, train);
        self.feed_forward.forward(&self.norm.forward(&(nodes + messages)), train)
    }
}

impl InteractionGraph {
    pub fn new(source: &mut TensorSource, settings: GraphSettings) -> Result<Self> {
        let width = settings.width as i64;
        let classes = settings.classes as i64 + 1;
        Ok(InteractionGraph {
            standardization: Standardization::new(source, FEATURES as i64)?,
            input: Linear::new(source, "input", FEATURES as i64, width)?,
            input_norm: LayerNorm::new(source, "input_norm", width)?,
            class_embedding: source.take(
                "class_embedding",
                &[classes, width],
                Initial::Normal(1.0),
            )?,
            rounds: (0..settings.rounds)
                .map(|round| Round::new(source, &format!("round.{round}"), &settings))
                .collect::<Result<_>>()?,
            edge_input: Linear::new(source, "edge_input", 2 * width + PLACES as i64, width)?,
            edge_score: Linear::new(source, "edge_score", width, 1)?,
            hidden: Linear::new(source, "hidden", 2 * width, width)?,
            output: Linear::new(source, "output", width, INTERACTIONS.len() as i64)?,
            settings,
        })
    }

    /// From a folder that [`InteractionGraph::write`] wrote.
    pub fn read(folder: &Path, device: Device) -> Result<Self> {
        let mut source = TensorSource::of_checkpoint(
            checkpoint::read_safetensors(&folder.join(head_file::TENSORS))?,
            device,
        );
        let settings: Checked<GraphSettings> = read_json(&folder.join(head_file::SETTINGS))?;
        InteractionGraph::new(&mut source, *settings).map_err(|error| error.at_path(folder))
    }

    /// How many classes its regions can have.
    pub fn classes(&self) -> usize {
        self.settings.classes
    }

    pub fn write(&self, parameters: &Weights, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).at_path("create the folder", folder)?;
        write_json(&folder.join(head_file::SETTINGS), &self.settings)?;
        checkpoint::write(parameters, &folder.join(head_file::TENSORS))
    }

    /// Frames as this graph takes them.
    pub fn batch(&self, regions: &RegionBatch) -> GraphBatch {
        let features = self.standardization.forward(&regions.features);
        GraphBatch::of(&regions.with_features(features), &self.settings)
    }

    /// The logits of the interactions on each edge from the tissue [N, nodes, 13].
    pub fn logits(&self, batch: &GraphBatch, train: bool) -> Tensor {
        let GraphSettings { dropout, attention_heads, .. } = self.settings;
        let embedded = self.input.forward(&batch.features).relu()
            + Tensor::embedding(&self.class_embedding, &batch.classes, -1, false, false);
        let mut nodes = self.input_norm.forward(&embedded.dropout(dropout, train));
        for round in &self.rounds {
            nodes = round.forward(&nodes, batch, attention_heads as i64, dropout, train);
        }
        let tissue = nodes.narrow(1, TISSUE as i64, 1).expand_as(&nodes);
        let places = batch.places.select(1, TISSUE as i64);
        let edges = self.edge_input.forward(&Tensor::cat(&[&tissue, &nodes, &places], -1)).relu();
        // There is no edge from the tissue to itself.
        let nodes_of_frame = batch.absent.size()[1];
        let own =
            Tensor::arange(nodes_of_frame, (Kind::Int64, batch.absent.device())).eq(TISSUE as i64);
        let scores = self
            .edge_score
            .forward(&edges)
            .masked_fill(&batch.absent.logical_or(&own).unsqueeze(-1), f64::NEG_INFINITY);
        let happening = (scores.softmax(1, Kind::Float) * &edges)
            .sum_dim_intlist([1i64].as_slice(), true, Kind::Float)
            .expand_as(&edges);
        let hidden = self
            .hidden
            .forward(&Tensor::cat(&[&edges, &happening], -1))
            .relu()
            .dropout(dropout, train);
        self.output.forward(&hidden)
    }
}

/// The logits of edges [edges, 13] out of [N, nodes, 13].
pub fn of_edges(logits: &Tensor, edges: &[Edge]) -> Tensor {
    let nodes = logits.size()[1];
    let places: Vec<i64> =
        edges.iter().map(|edge| edge.frame as i64 * nodes + edge.node as i64).collect();
    logits.flatten(0, 1).index_select(0, &Tensor::from_slice(&places).to_device(logits.device()))
}

#[cfg(test)]
mod tests {
    use super::super::graph_batch::FIRST_REGION;
    use super::super::graph_batch::examples::{SETTINGS, batch, frames};
    use super::super::interaction_loss::LossFunction;
    use super::*;
    use crate::training::adam::{Adam, AdamSettings};
    use rand::RngExt;
    use surgcam_frames::dataset::annotations::LabelledInteraction;
    use surgcam_frames::random::stream;

    #[test]
    fn padding_changes_no_score() {
        let frames = frames(5);
        let mut source = TensorSource::random(1, Device::Cpu);
        let graph = InteractionGraph::new(&mut source, SETTINGS).unwrap();
        let (narrow, wide) =
            (graph.logits(&batch(&frames, 3), false), graph.logits(&batch(&frames, 6), false));
        for (frame, regions) in frames.iter().enumerate() {
            let count = (FIRST_REGION + regions.len()) as i64;
            let of = |logits: &Tensor| logits.get(frame as i64).narrow(0, 1, count - 1);
            assert!(f64::try_from((of(&narrow) - of(&wide)).abs().max()).unwrap() < 1e-5);
        }
    }

    /// Interactions without any rule: only the features tell them apart.
    #[test]
    fn a_graph_learns_thirty_frames_by_heart() {
        let frames = frames(30);
        let batch = batch(&frames, 6);
        let mut random = stream("interactions");
        let mut labels = Vec::new();
        for (frame, regions) in frames.iter().enumerate() {
            for region in regions.iter().filter(|region| region.class != 4) {
                labels.push((
                    frame,
                    LabelledInteraction {
                        class: region.class,
                        interaction: random.random_range(0..INTERACTIONS.len()),
                    },
                ));
            }
        }
        let edges: Vec<Edge> =
            labels.iter().map(|(frame, label)| batch.edges_of(*frame, label)[0]).collect();
        let targets: Vec<i64> = labels.iter().map(|(_, label)| label.interaction as i64).collect();
        let targets = Tensor::from_slice(&targets);
        let mut source = TensorSource::random(2, Device::Cpu);
        let graph = InteractionGraph::new(&mut source, SETTINGS).unwrap();
        let mut adam = Adam::new(&source.into_parameters(), AdamSettings::default());
        for _ in 0..150 {
            let loss = LossFunction::CrossEntropy
                .of(&of_edges(&graph.logits(&batch, true), &edges), &targets);
            adam.step(&loss, |_| 3e-3);
        }
        let right =
            of_edges(&graph.logits(&batch, false), &edges).argmax(1, false).eq_tensor(&targets);
        let accuracy = f64::try_from(right.to_kind(Kind::Double).mean(Kind::Double)).unwrap();
        assert!(accuracy > 0.98, "{accuracy}");
    }
}
