//! Experiments that exist to be measured, written into a folder.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use surgcam_engine::error::{AtPath, Result};

/// The folder of [`many_files`].
pub const DATA: &str = "data";

fn write(folder: &Path, name: &str, text: &str) -> Result<String> {
    let path = folder.join(format!("{name}.toml"));
    fs::write(&path, text).at_path("write", &path)?;
    Ok(path.display().to_string())
}

/// A sweep over T_ROI on a dozen small drawn frames with about `stages` stages: four for each
/// threshold.
pub fn many_stages(folder: &Path, stages: usize) -> Result<String> {
    let thresholds = stages.saturating_sub(6) / 4;
    let text = format!(
        r#"
[experiment]
name = "many-stages"
speed = false
[data.drawn]
extends = "sample-endovis18"
train = [2]
validation = [1]
frames_per_sequence = 6
picture_size = [64, 80]
image_size = [64, 80]
[model.tiny]
backbone = "resnet10"
data = "drawn"
epochs = 1
batch_size = 3
[matrix]
model = ["tiny"]
extraction = ["sl-fe"]
"extraction.roi_threshold" = {{ from = 0.05, to = 0.95, count = {thresholds} }}
"#
    );
    write(folder, "many-stages", &text)
}

/// A data folder in the layout of Cholec80 with `files` small files that stand for pictures.
pub fn many_files(folder: &Path, files: usize) -> Result<String> {
    const VIDEOS: usize = 10;
    let root = folder.join(DATA);
    let old = SystemTime::now() - Duration::from_secs(3600);
    for video in 1..=VIDEOS {
        let frames = root.join(format!("frames/video{video:02}"));
        fs::create_dir_all(&frames).at_path("create the folder", &frames)?;
        let tools = root.join("tool_annotations");
        fs::create_dir_all(&tools).at_path("create the folder", &tools)?;
        let path = tools.join(format!("video{video:02}-tool.txt"));
        let mut rows = BufWriter::new(File::create(&path).at_path("create", &path)?);
        writeln!(rows, "Frame\tGrasper\tBipolar\tHook\tScissors\tClipper\tIrrigator\tSpecimenBag")
            .at_path("write", &path)?;
        for frame in 0..files / VIDEOS {
            writeln!(rows, "{}\t1\t0\t0\t0\t0\t0\t0", frame * 25).at_path("write", &path)?;
            let picture = frames.join(format!("{frame:06}.jpg"));
            let file = File::create(&picture).at_path("create", &picture)?;
            (&file)
                .write_all(format!("video {video} frame {frame}").as_bytes())
                .at_path("write", &picture)?;
            // Older than the resolution of the clock, as a user's files are.
            file.set_modified(old).at_path("mark", &picture)?;
        }
        rows.flush().at_path("write", &path)?;
        File::options()
            .write(true)
            .open(&path)
            .and_then(|file| file.set_modified(old))
            .at_path("mark", &path)?;
    }
    let text = format!(
        r#"
[experiment]
name = "many-files"
tables = ["classification"]
[data.many]
extends = "cholec80"
root = {:?}
frames = "frames/video{{sequence:02}}/{{frame:06}}.jpg"
labels = ["tool_annotations/video{{sequence:02}}-tool.txt"]
train = [1, 2, 3, 4, 5, 6, 7, 8, 9]
validation = [10]
[model.any]
backbone = "resnet10"
data = "many"
[matrix]
model = ["any"]
"#,
        root.display().to_string()
    );
    write(folder, "many-files", &text)
}

/// A single extraction, and a sweep of 54 that does not contain it.
pub fn sweep(folder: &Path) -> Result<(String, String)> {
    let text = |name: &str, extraction: &str, thresholds: &str, pools: &str| {
        format!(
            r#"
[experiment]
name = "{name}"
tables = ["extraction"]
speed = false
[data.drawn]
extends = "sample-endovis18"
train = [2]
validation = [1, 3, 4, 5, 6, 7, 9]
frames_per_sequence = 25
image_size = [256, 320]
[model.network]
backbone = "resnet50"
data = "drawn"
epochs = 1
batch_size = 25
[matrix]
model = ["network"]
extraction = {extraction}
"extraction.roi_threshold" = {thresholds}
"extraction.pool" = {pools}
"#
        )
    };
    let single = write(folder, "single", &text("single", "[\"sl-fe\"]", "[0.45]", "[512]"))?;
    let swept = text(
        "swept",
        "[\"l-fe\", \"sl-fe\"]",
        "{ from = 0.1, to = 0.9, step = 0.1 }",
        "[512, 128, 32]",
    );
    Ok((single, write(folder, "swept", &swept)?))
}
