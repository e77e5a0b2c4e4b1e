//! Surgical data sets: from the folders that users have to one list of frames, and to one packed
//! file of pixels.
//!
//! Each of these knows only those above it:
//!
//! * [`labels`] holds the label spaces: class names are declared in recipes, not in code.
//! * [`label_file`] says how large a file of labels may be; [`delimited`] reads text files of
//!   columns, [`fields`] what stands in them.
//! * `names` checks the names of sequences and frames, of which exports make folders.
//! * [`frame`] is what an index is made of, in files of [`json_lines`].
//! * [`boxes`] checks what people drew against the pictures.
//! * [`folder`] is a data set's folder and what of it is wanted, by the [`pattern`]s of a recipe.
//! * [`raw`] is what an adapter yields, and the trait [`raw::Adapter`]; [`adapters`] has one reader
//!   for each layout.
//! * [`source`] is a recipe's layout and patterns, and which files the data's digest covers.
//! * [`annotations`] is what is known of the same frames for the downstream tasks: captions and
//!   interactions.
//! * [`index`] puts it together: frames with labels and boxes, and the list of their pictures.
//!
//! And beside them:
//!
//! * [`detections`] reads the boxes that a detector found in the frames of an index.
//! * [`sample`] draws scenes and writes them in the layouts of EndoVis18 and Cholec80.
//! * [`pack`] decodes and resizes each picture once into a mapped file.
//! * [`augment`] is the training transform.

pub mod adapters;
pub mod annotations;
pub mod augment;
pub mod boxes;
pub mod delimited;
pub mod detections;
pub mod fields;
pub mod folder;
pub mod frame;
pub mod index;
pub mod json_lines;
pub mod label_file;
pub mod labels;
mod names;
pub mod pack;
pub mod pattern;
pub mod raw;
pub mod sample;
pub mod source;
