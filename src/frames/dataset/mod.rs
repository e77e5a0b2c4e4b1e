//! Surgical data sets: from the folders that users have to one list of frames, and to one packed file of pixels.
//!
//! * [`endovis18`] and [`cholec80`] read a layout; [`sample`] draws scenes and writes them in either layout.
//! * [`delimited`] reads text files of columns; [`label_file`] says how large a file of labels may be.
//! * [`boxes`] checks what people drew against the pictures.
//! * `names` makes the names of sequences and frames, of which exports make folders.
//! * [`labels`] holds the label spaces: class names are declared in recipes, not in code.
//! * [`source`] says where a data set's files lie, by the patterns of a recipe.
//! * [`index`] is what every adapter yields: frames with labels and boxes, and the list of their pictures.
//! * [`annotations`] is what is known of the same frames for the downstream tasks: captions and interactions.
//! * [`pack`] decodes and resizes each picture once into a mapped file.
//! * [`augment`] is the training transform.

pub mod annotations;
pub mod augment;
pub mod boxes;
pub mod cholec80;
pub mod delimited;
pub mod endovis18;
pub mod index;
pub mod label_file;
pub mod labels;
mod names;
pub mod pack;
pub mod pattern;
pub mod sample;
pub mod source;
