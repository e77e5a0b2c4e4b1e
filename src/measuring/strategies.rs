//! How fast this machine extracts and trains, step by step: the pictures to decode, and the table.

use std::path::Path;

use image::RgbImage;
use rand::Rng;
use serde::Serialize;

use crate::report::result_table::{ResultTable, TableColumn};
use surgcam_engine::error::{AtPath, Result};
use surgcam_engine::protocol::Hello;
use surgcam_frames::dataset::index::Layout;
use surgcam_frames::dataset::sample::{self, SampleData};
use surgcam_frames::metrics::StepSpeed;
use surgcam_frames::random::stream;
use surgcam_frames::vision::picture;
use surgcam_frames::vision::resize::resize;
use surgcam_pipeline::kinds::BenchmarkStage;
use surgcam_values::{Backbone, Precision};

/// The times as `--json` prints them.
#[derive(Serialize)]
pub struct Measured<'a> {
    pub device: &'a str,
    pub threads: usize,
    pub libtorch: &'a str,
    pub backbone: Backbone,
    pub image_size: [u32; 2],
    pub precision: Precision,
    pub steps: &'a [StepSpeed],
}

/// How many pictures there are of each size: full frames of EndoVis18 as PNG, of Cholec80 as JPEG.
const PICTURES: u32 = 8;
const PNG_SIZE: [u32; 2] = [1024, 1280];
const JPEG_SIZE: [u32; 2] = [480, 854];
/// The noise of a camera: without it, drawn pictures decode faster than real ones.
const NOISE: i16 = 2;

/// Draws the pictures that the decoding steps read; `working` is a folder for intermediate files.
pub fn draw_pictures(pictures: &Path, working: &Path) -> Result<()> {
    for (name, format, picture_size) in [("png", "png", PNG_SIZE), ("jpeg", "jpg", JPEG_SIZE)] {
        let root = working.join(name);
        let drawn = SampleData {
            layout: Layout::EndoVis18,
            sequences: vec![1],
            frames_per_sequence: PICTURES,
            picture_size,
            seed: 1,
        };
        sample::write(&drawn, &root, || {})?;
        let target = pictures.join(name);
        std::fs::create_dir_all(&target).at_path("create the folder", &target)?;
        let found = walkdir::WalkDir::new(&root)
            .sort_by_file_name()
            .into_iter()
            .flatten()
            .map(walkdir::DirEntry::into_path);
        for (number, path) in found
            .filter(|path| path.extension().is_some_and(|extension| extension == "png"))
            .enumerate()
        {
            let mut drawn = picture::read(&path)?;
            if [drawn.height(), drawn.width()] != picture_size {
                drawn = resize(&drawn, picture_size[0], picture_size[1]);
            }
            add_noise(&mut drawn, number);
            let path = target.join(format!("{number:03}.{format}"));
            drawn.save(&path).at_path("write", &path)?;
        }
    }
    Ok(())
}

fn add_noise(picture: &mut RgbImage, number: usize) {
    let mut random = stream(&format!("benchmark-noise/{number}"));
    let mut bytes = vec![0; picture.len()];
    random.fill_bytes(&mut bytes);
    for (value, byte) in picture.iter_mut().zip(bytes) {
        *value =
            (i16::from(*value) + i16::from(byte) % (2 * NOISE + 1) - NOISE).clamp(0, 255) as u8;
    }
}

/// The name that recipes give a value.
fn name_of(value: impl Serialize) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(str::to_string))
        .unwrap_or_default()
}

pub fn table(stage: &BenchmarkStage, hello: &Hello, steps: &[StepSpeed]) -> ResultTable {
    let forward = |batch: usize| {
        let step = steps.iter().find(|step| step.step == "forward" && step.batch == batch)?;
        Some(step.p50_milliseconds_per_frame)
    };
    let is_mode = |step: &StepSpeed| {
        ["forward", "sl-fe", "l-fe", "ln-fe"].iter().any(|mode| step.step.starts_with(mode))
    };
    let relative = |step: &StepSpeed| {
        is_mode(step)
            .then(|| forward(step.batch))
            .flatten()
            .map(|forward| step.p50_milliseconds_per_frame / forward)
    };
    let number =
        |value: fn(&StepSpeed) -> f64| steps.iter().map(|step| Some(value(step))).collect();
    let [height, width] = stage.image_size;
    let mut notes = vec![
        "modes: from packed pixels to features on the CPU, decoding not included; the other steps \
         by themselves"
            .to_string(),
        "random weights; all classes present".to_string(),
    ];
    if steps.iter().any(|step| step.not_alone) {
        notes.push(
            "not alone: others used the machine meanwhile, so all times may be too long"
                .to_string(),
        );
    }
    ResultTable {
        name: "strategies".into(),
        title: format!(
            "Strategies: {}, {} threads, {}, {} at {height}x{width}",
            hello.device_name,
            hello.threads,
            stage.precision.name(),
            name_of(stage.architecture.backbone)
        ),
        columns: vec![
            TableColumn::text("step", steps.iter().map(|step| Some(step.step.clone())).collect()),
            TableColumn::count("batch", steps.iter().map(|step| Some(step.batch as i64)).collect()),
            TableColumn::number("p50 ms/frame", 2, number(|step| step.p50_milliseconds_per_frame)),
            TableColumn::number("p95 ms/frame", 2, number(|step| step.p95_milliseconds_per_frame)),
            TableColumn::number(
                "frames/s",
                1,
                number(|step| 1e3 / step.p50_milliseconds_per_frame),
            ),
            TableColumn::number("to forward", 3, steps.iter().map(relative).collect()),
        ],
        notes,
        ..Default::default()
    }
}
