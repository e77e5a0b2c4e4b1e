//! What the tests share: a place of their own, the program, data folders and weights made for the
//! occasion.

pub mod experiments;
pub mod fuzzing;
pub mod objects;
pub mod pytorch;

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use safetensors::tensor::{Dtype, TensorView};
use surgcam_frames::formula;

pub fn project_folder() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).canonicalize().unwrap()
}

pub fn golden_folder() -> PathBuf {
    project_folder().join("tests/golden")
}

/// The program that a test is about: its package's own, which cargo builds before it runs the test.
fn program() -> PathBuf {
    let found = ["CARGO_BIN_EXE_surgcam-under-test", "CARGO_BIN_EXE_surgcam"]
        .into_iter()
        .find_map(std::env::var_os);
    found.expect("cargo names the programs; run tests through it").into()
}

/// The worker; in a package without one, a program that is there and makes no stage.
pub fn worker() -> PathBuf {
    std::env::var_os("CARGO_BIN_EXE_surgcam-worker-under-test")
        .map_or_else(|| std::env::current_exe().unwrap(), PathBuf::from)
}

/// A folder with a store and results of its own; gone when dropped.
pub struct Place {
    pub folder: tempfile::TempDir,
}

impl Place {
    #[expect(clippy::new_without_default, reason = "a folder is made")]
    pub fn new() -> Self {
        Place { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The program, with this place's store and results and nothing of the user's own settings.
    pub fn surgcam(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        // As a user calls it: usage lines have the name.
        command.arg0("surgcam");
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SURGCAM_")) {
            command.env_remove(name);
        }
        command
            .args(arguments)
            .current_dir(project_folder())
            .env("SURGCAM_STORE", self.path("store"))
            .env("SURGCAM_RESULTS", self.path("results"))
            .env("SURGCAM_WORKER", worker());
        command
    }

    /// Runs it and expects this exit code.
    pub fn run(&self, arguments: &[&str], code: i32) -> Said {
        let output = self.surgcam(arguments).output().unwrap();
        let said = Said::from(output);
        assert_eq!(
            said.code,
            Some(code),
            "surgcam {arguments:?}\nstdout:\n{}\nstderr:\n{}",
            said.out,
            said.err
        );
        said
    }

    pub fn run_record(&self, experiment: &str) -> serde_json::Value {
        serde_json::from_slice(
            &std::fs::read(self.path("results").join(experiment).join("run.json")).unwrap(),
        )
        .unwrap()
    }

    pub fn executed_kinds(&self, experiment: &str) -> Vec<String> {
        let record = self.run_record(experiment);
        record["executed"]
            .as_array()
            .unwrap()
            .iter()
            .map(|stage| stage["kind"].as_str().unwrap().to_string())
            .collect()
    }

    /// All tables of an experiment but for their speed columns, which differ from run to run.
    pub fn tables_without_speed(&self, experiment: &str) -> Vec<String> {
        ["classification", "localization", "extraction"]
            .map(|table| without_speed(&self.table(experiment, table)))
            .to_vec()
    }

    /// Files below a folder of the store, with digits for names.
    pub fn entries(&self, folder: &str) -> Vec<PathBuf> {
        let entries =
            std::fs::read_dir(self.path("store").join(folder)).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    }

    /// Starts it, its output thrown away or kept in pipes.
    pub fn spawn(&self, arguments: &[&str], output: fn() -> Stdio) -> Child {
        self.surgcam(arguments).stdout(output()).stderr(output()).spawn().unwrap()
    }

    pub fn table(&self, experiment: &str, table: &str) -> String {
        std::fs::read_to_string(
            self.path("results").join(experiment).join("tables").join(format!("{table}.csv")),
        )
        .unwrap()
    }
}

pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// Name and shape of each tensor of a torchvision ResNet.
pub fn resnet_tensors(
    counts: [usize; 4],
    bottleneck: bool,
    classes: usize,
) -> Vec<(String, Vec<usize>)> {
    let mut tensors = Vec::new();
    let mut convolution = |conv: String, norm: String, out: usize, input: usize, kernel: usize| {
        tensors.push((format!("{conv}.weight"), vec![out, input, kernel, kernel]));
        for part in ["weight", "bias", "running_mean", "running_var"] {
            tensors.push((format!("{norm}.{part}"), vec![out]));
        }
    };
    convolution("conv1".into(), "bn1".into(), 64, 3, 7);
    let mut input = 64;
    for (layer, &count) in counts.iter().enumerate() {
        let width = 64 << layer;
        let out = if bottleneck { 4 * width } else { width };
        for block in 0..count {
            let name = format!("layer{}.{block}", layer + 1);
            let kernels: &[(usize, usize, usize)] = if bottleneck {
                &[(width, input, 1), (width, width, 3), (out, width, 1)]
            } else {
                &[(width, input, 3), (width, width, 3)]
            };
            for (number, &(out, input, kernel)) in kernels.iter().enumerate() {
                convolution(
                    format!("{name}.conv{}", number + 1),
                    format!("{name}.bn{}", number + 1),
                    out,
                    input,
                    kernel,
                );
            }
            if input != out || (layer > 0 && block == 0) {
                convolution(
                    format!("{name}.downsample.0"),
                    format!("{name}.downsample.1"),
                    out,
                    input,
                    1,
                );
            }
            input = out;
        }
    }
    tensors.push(("fc.weight".into(), vec![classes, input]));
    tensors.push(("fc.bias".into(), vec![classes]));
    tensors
}

pub fn write_weights(path: &Path, counts: [usize; 4], bottleneck: bool, classes: usize, seed: u64) {
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = resnet_tensors(counts, bottleneck, classes)
        .into_iter()
        .map(|(name, size)| {
            let bytes = formula::formula_weight(&name, &size, seed)
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            (name, size, bytes)
        })
        .collect();
    let views = tensors.iter().map(|(name, size, bytes)| {
        (name.as_str(), TensorView::new(Dtype::F32, size.clone(), bytes).unwrap())
    });
    safetensors::serialize_to_file(views.collect::<Vec<_>>(), None, path).unwrap();
}

pub const ENDOVIS18_HEADER: &str = "Frame bipolar_forceps prograsp_forceps large_needle_driver \
    monopolar_curved_scissors ultrasound_probe suction clip_applier stapler\n";

/// An EndoVis18 folder of a few frames: (sequence, frame number, picture, the eight labels).
pub fn write_endovis18(root: &Path, frames: &[(u32, u32, image::RgbImage, &str)]) {
    for (sequence, number, picture, labels) in frames {
        let folder = root.join(format!("seq_{sequence}/left_frames"));
        std::fs::create_dir_all(&folder).unwrap();
        picture.save(folder.join(format!("frame{number:03}.png"))).unwrap();
        let tools = root.join("annotation_tool/train_dataset");
        std::fs::create_dir_all(&tools).unwrap();
        let path = tools.join(format!("seq_{sequence}.txt"));
        let before =
            std::fs::read_to_string(&path).unwrap_or_else(|_| ENDOVIS18_HEADER.to_string());
        std::fs::write(&path, format!("{before}{number:03} {labels}\n")).unwrap();
    }
}

/// PASCAL VOC files of three videos with four frames each: a grasper in all of them, and a hook in
/// the first two videos.
pub fn write_voc(root: &Path) {
    for name in ["Annotations", "JPEGImages"] {
        std::fs::create_dir_all(root.join(name)).unwrap();
    }
    for (video, frame) in (1..=3).flat_map(|video| (0..4).map(move |frame| (video, frame))) {
        let object = |name: &str, corner: u32| {
            format!(
                "<object><name>{name}</name><bndbox><xmin>{corner}</xmin><ymin>{corner}</ymin>\
                 <xmax>60</xmax><ymax>50</ymax></bndbox></object>\n"
            )
        };
        let hook = if video < 3 { object("Hook", 12) } else { String::new() };
        let objects = object("Grasper", 3 + frame) + &hook;
        let name = format!("clip{video:02}_{frame:04}");
        let xml = format!("<annotation>\n{objects}</annotation>\n");
        std::fs::write(root.join(format!("Annotations/{name}.xml")), xml).unwrap();
        let seed = 4 * (video - 1) + frame;
        picture(seed).save(root.join(format!("JPEGImages/{name}.png"))).unwrap();
    }
}

/// A picture with some structure in it.
pub fn picture(seed: u32) -> image::RgbImage {
    image::RgbImage::from_fn(80, 64, |x, y| {
        image::Rgb([
            (x * 3 + seed * 40) as u8,
            (y * 4) as u8,
            ((x / 8 + y / 8 + seed) % 2 * 200) as u8,
        ])
    })
}

/// The real frames, where they lie beside the project; a test that needs them says so and ends
/// otherwise.
pub fn real_frames() -> Option<PathBuf> {
    let folder = project_folder().join("../shared/real");
    if folder.is_dir() {
        return folder.canonicalize().ok();
    }
    eprintln!("skipped: the real frames are not beside this project");
    None
}

fn without_speed(csv: &str) -> String {
    let header: Vec<&str> = csv.lines().next().unwrap_or_default().split(',').collect();
    let kept: Vec<usize> = (0..header.len())
        .filter(|&column| !["FPS", "p50 ms", "p95 ms", "FPS tasks"].contains(&header[column]))
        .collect();
    let line = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        kept.iter().map(|&column| cells[column]).collect::<Vec<_>>().join(",")
    };
    csv.lines().map(line).collect::<Vec<_>>().join("\n")
}
