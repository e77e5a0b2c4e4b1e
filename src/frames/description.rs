//! What a classifier and its heads say of a single picture: a caption, and what each instrument
//! does.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// `None`: there is no captioner.
    pub caption: Option<String>,
    /// What each instrument that was found does to the tissue.
    pub interactions: Vec<SeenInteraction>,
}

/// What an instrument most probably does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeenInteraction {
    /// The index of the instrument in the label space.
    pub class: usize,
    pub interaction: String,
    pub probability: f32,
}

/// A picture and its description: one line of a file of descriptions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DescribedPicture {
    pub picture: String,
    /// The time from the decoded picture to the description.
    pub milliseconds: f64,
    /// Why the picture could not be described. `None`: it was.
    pub problem: Option<String>,
    #[serde(flatten)]
    pub description: Description,
}
