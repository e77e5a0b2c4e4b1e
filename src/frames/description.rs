//! What is said of a picture: a caption and its interaction graph.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// Absent without a captioner.
    pub caption: Option<String>,
    /// From the tissue to each instrument that was seen.
    pub interactions: Vec<SeenInteraction>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeenInteraction {
    /// Of the label space.
    pub class: usize,
    pub interaction: String,
    pub probability: f32,
}

/// A picture with what is said of it, one line of a description's file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DescribedPicture {
    pub picture: String,
    /// From the decoded file to the description.
    pub milliseconds: f64,
    /// Why it could not be described.
    pub problem: Option<String>,
    #[serde(flatten)]
    pub description: Description,
}
