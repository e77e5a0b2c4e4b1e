//! From a frame's regions to its caption and its graph, with trained heads.

use std::collections::BTreeMap;
use std::path::Path;

use surgcam_artifacts::interaction_predictions::highest;
use surgcam_engine::error::{Error, Result};
use surgcam_frames::dataset::annotations::INTERACTIONS;
use surgcam_frames::description::{Description, SeenInteraction};
use surgcam_pipeline::head_settings::{HeadUse, head_file};
use tch::{Device, Kind};

use super::captioner::Captioner;
use super::graph_batch::Edge;
use super::interaction_graph::InteractionGraph;
use super::interaction_predictions::mean_scores;
use super::regions::{FEATURES, HeadRegion, RegionBatch, most_certain};
use crate::activations::FrameActivations;
use crate::features::values_of;
use crate::regions::Extracted;

/// The heads of an exported captioner that exist.
pub struct Heads {
    pub captioner: Option<Captioner>,
    pub graph: Option<InteractionGraph>,
    pub used: HeadUse,
    pub device: Device,
}

impl Heads {
    /// Reads heads from their folders. The folder of a task that nobody annotated has no head in
    /// it. `classes` is the number of classes of the regions that the heads will see.
    pub fn read(
        captioner: Option<&Path>,
        graph: Option<&Path>,
        classes: usize,
        used: HeadUse,
        device: Device,
    ) -> Result<Self> {
        let has_head = |folder: &&Path| folder.join(head_file::SETTINGS).is_file();
        let graph_of = |folder: &Path| {
            let graph = InteractionGraph::read(folder, device)?;
            if graph.classes() != classes {
                let problem =
                    format!("the graph knows {} classes, the backbone {classes}", graph.classes());
                return Err(Error::failure(problem)
                    .at_path(folder)
                    .hint("both must come from one export"));
            }
            Ok(graph)
        };
        Ok(Heads {
            captioner: captioner
                .filter(has_head)
                .map(|folder| Captioner::read(folder, device))
                .transpose()?,
            graph: graph.filter(has_head).map(graph_of).transpose()?,
            used,
            device,
        })
    }

    /// The description of one frame. `activations` are those of the classifier, if regions come
    /// from it.
    pub fn describe(
        &self,
        activations: Option<&FrameActivations>,
        extracted: &Extracted,
    ) -> Description {
        let probability =
            |class| activations.map_or(1.0, |activations| activations.probability(class));
        let certainty: Vec<(f32, f32)> = extracted
            .regions
            .iter()
            .map(|region| (probability(region.class), region.confidence))
            .collect();
        let region = |place: usize| HeadRegion {
            class: extracted.regions[place].class,
            bounds: extracted.regions[place].bounds,
            features: extracted.features[place * FEATURES..][..FEATURES].to_vec(),
        };
        let batch = |maximum: usize| {
            let regions: Vec<HeadRegion> =
                most_certain(&certainty, maximum).into_iter().map(region).collect();
            RegionBatch::of(&[&regions], maximum, self.device)
        };
        let HeadUse { search, caption_regions, interaction_regions } = self.used;
        let caption = self.captioner.as_ref().map(|captioner| {
            captioner.captions(&batch(caption_regions), search).remove(0).join(" ")
        });
        let interactions =
            self.graph.as_ref().map(|graph| interactions(graph, &batch(interaction_regions)));
        Description { caption, interactions: interactions.unwrap_or_default() }
    }
}

/// The most probable interaction of each instrument that a region shows. As in scoring, all nodes
/// of a class count as one instrument.
fn interactions(graph: &InteractionGraph, regions: &RegionBatch) -> Vec<SeenInteraction> {
    let batch = graph.batch(regions);
    let scores = tch::no_grad(|| values_of(&graph.logits(&batch, false).softmax(-1, Kind::Float)));
    let nodes = scores.len() / INTERACTIONS.len();
    let mut edges_of: BTreeMap<usize, Vec<Edge>> = BTreeMap::new();
    batch
        .seen_edges(0)
        .into_iter()
        .for_each(|(class, edge)| edges_of.entry(class).or_default().push(edge));
    let of_class = |(class, edges): (usize, Vec<Edge>)| {
        let scores = mean_scores(&scores, nodes, &edges);
        let best = highest(&scores);
        SeenInteraction {
            class,
            interaction: INTERACTIONS[best].into(),
            probability: scores[best] as f32,
        }
    };
    edges_of.into_iter().map(of_class).collect()
}
