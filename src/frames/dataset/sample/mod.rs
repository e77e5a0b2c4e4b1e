//! Drawn surgical scenes, written in the layouts of EndoVis18 and Cholec80.
//!
//! With them a first run needs no data set and still goes through the real adapters: labels, boxes,
//! captions, interactions and file names are exactly as in folders of these data sets. The same
//! parameters give the same bytes.

mod actions;
mod instruments;
mod marks;
mod scene;
mod shapes;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::adapters::Layout;
use super::labels::normalized;
use instruments::Instrument;
use scene::{DrawnInstrument, DrawnScene, Surroundings};
use surgcam_engine::error::{AtPath, Error, Result};

/// What to draw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SampleData {
    pub layout: Layout,
    /// Sequences or videos to draw.
    pub sequences: Vec<u32>,
    pub frames_per_sequence: u32,
    /// `[height, width]` in pixels.
    pub picture_size: [u32; 2],
    pub seed: u64,
}

/// The layouts that scenes can be written in. Other layouts can only be read.
#[derive(Debug, Clone, Copy)]
enum DrawnLayout {
    EndoVis18,
    Cholec80,
}

impl DrawnLayout {
    fn of(layout: Layout) -> Result<Self> {
        match layout {
            Layout::EndoVis18 => Ok(DrawnLayout::EndoVis18),
            Layout::Cholec80 => Ok(DrawnLayout::Cholec80),
            _ => Err(Error::failure("scenes cannot be drawn in this layout").hint(
                "the `layout` of drawn scenes is an adapter that reads endovis18 or cholec80",
            )),
        }
    }
}

/// The tools of EndoVis18 in the order of its columns.
const ENDOVIS18_TOOLS: [Instrument; 8] = [
    Instrument::BipolarForceps,
    Instrument::PrograspForceps,
    Instrument::LargeNeedleDriver,
    Instrument::MonopolarCurvedScissors,
    Instrument::UltrasoundProbe,
    Instrument::Suction,
    Instrument::ClipApplier,
    Instrument::Stapler,
];

/// The tools of Cholec80 with their names in its header.
const CHOLEC80_TOOLS: [(&str, Instrument); 7] = [
    ("Grasper", Instrument::PrograspForceps),
    ("Bipolar", Instrument::BipolarForceps),
    ("Hook", Instrument::Hook),
    ("Scissors", Instrument::MonopolarCurvedScissors),
    ("Clipper", Instrument::ClipApplier),
    ("Irrigator", Instrument::Suction),
    ("SpecimenBag", Instrument::SpecimenBag),
];

/// Writes the whole data set below `root` and calls `on_frame` after each picture.
pub fn write(sample: &SampleData, root: &Path, on_frame: impl Fn() + Sync) -> Result<()> {
    let layout = DrawnLayout::of(sample.layout)?;
    let mut captions = Vec::new();
    for &sequence in &sample.sequences {
        let scenes: Vec<DrawnScene> = (0..sample.frames_per_sequence)
            .into_par_iter()
            .map(|frame| {
                let scene = draw(sample, layout, sequence, frame);
                let path = root.join(match layout {
                    DrawnLayout::EndoVis18 => {
                        format!("seq_{sequence}/left_frames/frame{frame:03}.png")
                    }
                    DrawnLayout::Cholec80 => format!("frames/video{sequence:02}/{frame:06}.png"),
                });
                create_parent(&path)?;
                scene.picture.save(&path).at_path("write the picture", &path)?;
                on_frame();
                Ok(DrawnScene { picture: Default::default(), ..scene })
            })
            .collect::<Result<_>>()?;
        match layout {
            DrawnLayout::EndoVis18 => write_endovis18(sample, root, sequence, &scenes)?,
            DrawnLayout::Cholec80 => write_cholec80(root, sequence, &scenes)?,
        }
        write_interactions(layout, root, sequence, &scenes)?;
        captions.extend(
            scenes
                .iter()
                .enumerate()
                .map(|(frame, scene)| caption_entry(layout, sequence, frame, scene)),
        );
    }
    write_text(&root.join("captions/captions.json"), &format!("[\n{}\n]\n", captions.join(",\n")))
}

fn draw(sample: &SampleData, layout: DrawnLayout, sequence: u32, frame: u32) -> DrawnScene {
    let (tools, surroundings): (Vec<Instrument>, _) = match layout {
        DrawnLayout::EndoVis18 => (ENDOVIS18_TOOLS.to_vec(), Surroundings::Robotic),
        DrawnLayout::Cholec80 => {
            (CHOLEC80_TOOLS.map(|(_, tool)| tool).to_vec(), Surroundings::Laparoscopic)
        }
    };
    let name = format!("sample/{:?}/{}/{sequence}", sample.layout, sample.seed);
    scene::draw(&name, frame, &tools, surroundings, sample.picture_size)
}

fn create_parent(path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).at_path("create the folder", folder)
}

fn write_text(path: &Path, text: &str) -> Result<()> {
    create_parent(path)?;
    fs::write(path, text).at_path("write", path)
}

/// Writes the tool file and the `gt_bbox` file of a sequence. Boxes are in pixels of a picture of
/// 1280x1024.
fn write_endovis18(
    sample: &SampleData,
    root: &Path,
    sequence: u32,
    scenes: &[DrawnScene],
) -> Result<()> {
    let [height, width] = sample.picture_size;
    let mut tools = String::from(
        "Frame bipolar_forceps prograsp_forceps large_needle_driver monopolar_curved_scissors \
         ultrasound_probe suction \
         clip_applier stapler\n",
    );
    let mut boxes = String::new();
    for (frame, scene) in scenes.iter().enumerate() {
        let _ = write!(tools, "{frame:03}");
        let _ = write!(boxes, "frame{frame:03}");
        for tool in ENDOVIS18_TOOLS {
            let bounds = scene.box_of(tool);
            let _ = write!(tools, " {}", u8::from(bounds.is_some()));
            // Rounded up, so that the index gets the same box when it scales and truncates this
            // one.
            let up = |value: i64, from: u32, to: u32| {
                (value * i64::from(to) + i64::from(from) - 1) / i64::from(from)
            };
            let corners = bounds.map_or([0; 4], |b| {
                [
                    up(b.x1, width, 1280),
                    up(b.y1, height, 1024),
                    up(b.x2, width, 1280),
                    up(b.y2, height, 1024),
                ]
            });
            let _ =
                write!(boxes, ", {}, {}, {}, {}", corners[0], corners[1], corners[2], corners[3]);
        }
        tools.push('\n');
        boxes.push_str(", 0, 0, 1280, 1024\n");
    }
    write_text(&root.join(format!("annotation_tool/train_dataset/seq_{sequence}.txt")), &tools)?;
    write_text(&root.join(format!("gt_bbox/seq_{sequence}.txt")), &boxes)
}

/// Writes the tool file of a video, which counts at 25 frames a second while there is one picture a
/// second, and the boxes, which are in the picture's own pixels.
fn write_cholec80(root: &Path, sequence: u32, scenes: &[DrawnScene]) -> Result<()> {
    let names: Vec<&str> = CHOLEC80_TOOLS.iter().map(|(name, _)| *name).collect();
    let mut tools = format!("Frame\t{}\n", names.join("\t"));
    let mut boxes = String::from("frame,tool,x1,y1,x2,y2\n");
    for (frame, scene) in scenes.iter().enumerate() {
        let _ = write!(tools, "{}", frame * 25);
        for (name, tool) in CHOLEC80_TOOLS {
            let bounds = scene.box_of(tool);
            let _ = write!(tools, "\t{}", u8::from(bounds.is_some()));
            if let Some(b) = bounds {
                let _ = writeln!(
                    boxes,
                    "{frame:06},{},{},{},{},{}",
                    name.to_lowercase(),
                    b.x1,
                    b.y1,
                    b.x2,
                    b.y2
                );
            }
        }
        tools.push('\n');
    }
    write_text(&root.join(format!("tool_annotations/video{sequence:02}-tool.txt")), &tools)?;
    write_text(&root.join(format!("boxes/video{sequence:02}.csv")), &boxes)
}

/// Writes rows `frame,tool,interaction` with the layout's own names of tools.
fn write_interactions(
    layout: DrawnLayout,
    root: &Path,
    sequence: u32,
    scenes: &[DrawnScene],
) -> Result<()> {
    let mut rows = String::from("frame,tool,interaction\n");
    for (frame, scene) in scenes.iter().enumerate() {
        for &DrawnInstrument { instrument, action, .. } in &scene.instruments {
            let _ = match layout {
                DrawnLayout::EndoVis18 => writeln!(
                    rows,
                    "{frame:03},{},{}",
                    normalized(instrument.class()),
                    action.name()
                ),
                DrawnLayout::Cholec80 => {
                    writeln!(rows, "{frame:06},{},{}", cholec80_name(instrument), action.name())
                }
            };
        }
    }
    let name = match layout {
        DrawnLayout::EndoVis18 => format!("interactions/seq_{sequence}.csv"),
        DrawnLayout::Cholec80 => format!("interactions/video{sequence:02}.csv"),
    };
    write_text(&root.join(name), &rows)
}

fn cholec80_name(instrument: Instrument) -> String {
    let known = CHOLEC80_TOOLS.iter().find(|(_, tool)| *tool == instrument);
    known.map(|(name, _)| name.to_lowercase()).unwrap_or_default()
}

fn caption_entry(layout: DrawnLayout, sequence: u32, frame: usize, scene: &DrawnScene) -> String {
    let id_path = match layout {
        DrawnLayout::EndoVis18 => format!("seq_{sequence}/left_frames/frame{frame:03}.png"),
        DrawnLayout::Cholec80 => format!("video{sequence:02}/{frame:06}.png"),
    };
    let acting: Vec<(Instrument, actions::Action)> =
        scene.instruments.iter().map(|drawn| (drawn.instrument, drawn.action)).collect();
    serde_json::json!({ "id_path": id_path, "caption": actions::caption(&acting) }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::index::{self, OnBadFrame};
    use crate::dataset::labels::{ClassMap, LabelSpace};
    use crate::dataset::pattern::Pattern;
    use crate::dataset::source::SourceLayout;

    /// Where the adapters' recipes look for the files that are written here.
    fn source(layout: Layout) -> SourceLayout {
        let pattern = |text: &str| Pattern::parse(text).unwrap();
        let (frames, labels, boxes, interactions) = match DrawnLayout::of(layout).unwrap() {
            DrawnLayout::EndoVis18 => (
                "seq_{sequence}/left_frames/frame{frame:03}.png",
                "annotation_tool/train_dataset/seq_{sequence}.txt",
                "gt_bbox/seq_{sequence}.txt",
                "interactions/seq_{sequence}.csv",
            ),
            DrawnLayout::Cholec80 => (
                "frames/video{sequence:02}/{frame:06}.png",
                "tool_annotations/video{sequence:02}-tool.txt",
                "boxes/video{sequence:02}.csv",
                "interactions/video{sequence:02}.csv",
            ),
        };
        SourceLayout {
            layout,
            train: vec![2],
            validation: vec![3],
            frames: pattern(frames),
            labels: vec![pattern(labels)],
            boxes: vec![pattern(boxes)],
            captions: vec![pattern("captions/captions.json")],
            interactions: vec![pattern(interactions)],
            frame_step: if layout == Layout::Cholec80 { 25 } else { 1 },
            verbs: Default::default(),
        }
    }

    fn classes() -> ClassMap {
        let tools = ENDOVIS18_TOOLS.map(|tool| (normalized(tool.class()), tool.class()));
        let cholec80 = CHOLEC80_TOOLS.map(|(name, tool)| (normalized(name), tool.class()));
        let names: Vec<(String, &str)> =
            tools.into_iter().chain(cholec80).chain([("tissue".to_string(), "tissue")]).collect();
        let mut space: Vec<String> = Vec::new();
        for (_, class) in &names {
            if !space.iter().any(|known| known == class) {
                space.push(class.to_string());
            }
        }
        let names = names.into_iter().map(|(name, class)| (name, class.to_string())).collect();
        ClassMap { space: LabelSpace { classes: space }, names }
    }

    #[test]
    fn a_layout_that_is_only_read_is_refused_before_anything_is_drawn() {
        let folder = tempfile::tempdir().unwrap();
        let sample = SampleData {
            layout: Layout::Table,
            sequences: vec![1],
            frames_per_sequence: 1,
            picture_size: [48, 60],
            seed: 1,
        };
        let error = write(&sample, folder.path(), || {}).unwrap_err().to_string();
        assert!(error.contains("scenes cannot be drawn in this layout"), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn each_drawn_frame_has_a_caption_and_what_each_of_its_instruments_does() {
        for layout in [Layout::EndoVis18, Layout::Cholec80] {
            let folder = tempfile::tempdir().unwrap();
            let sample = SampleData {
                layout,
                sequences: vec![2, 3],
                frames_per_sequence: 5,
                picture_size: [48, 60],
                seed: 1,
            };
            write(&sample, folder.path(), || {}).unwrap();
            let classes = classes();
            let index =
                index::build(&source(layout), folder.path(), &classes, OnBadFrame::Fail).unwrap();
            assert_eq!(index.annotations.len(), 10);
            for (frame, annotation) in index.frames.iter().zip(&index.annotations) {
                let acting: Vec<usize> =
                    annotation.interactions.iter().flatten().map(|found| found.class).collect();
                assert_eq!(
                    [acting.as_slice(), &[classes.space.tissue()]].concat(),
                    frame.labels,
                    "{} {}",
                    frame.sequence,
                    frame.name
                );
                let caption = annotation.caption.as_ref().unwrap();
                assert!(
                    acting.iter().all(|&class| caption.contains(&classes.space.classes[class])),
                    "{caption}"
                );
            }
        }
    }
}
