//! What is learnt from features: captions and interaction graphs (METHOD 8).
//!
//! * [`regions`]: the regions of frames in the form that heads take. [`layers`], [`attention`]: the
//!   parts of networks.
//! * [`transformer`], [`beam`], [`captioner`]: the Meshed-Memory Transformer, its search, its
//!   losses.
//! * [`graph_batch`], [`interaction_graph`], [`interaction_loss`], [`cognition_tree`],
//!   [`interaction_predictions`], [`interaction_metrics`]: the graph.
//! * [`joint`]: SL-FE that a head's gradient flows through. [`describe`]: a frame to caption and
//!   graph.

pub mod attention;
pub mod beam;
pub mod captioner;
pub mod cognition_tree;
pub mod describe;
pub mod graph_batch;
pub mod interaction_graph;
pub mod interaction_loss;
pub mod interaction_metrics;
pub mod interaction_predictions;
pub mod joint;
pub mod layers;
pub mod regions;
pub mod transformer;
