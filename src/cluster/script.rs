//! The script of a job, and the options with which it is handed to sbatch.
//!
//! Options are given as arguments of sbatch and not as `#SBATCH` lines of the script, because such
//! lines cannot be quoted.

use std::path::Path;

use surgcam_engine::error::{Error, Result};
use surgcam_engine::quote::shortened;
use surgcam_recipe::slurm_settings::{JobNeeds, SlurmSettings};

/// What all jobs of a run have in common.
#[derive(Debug)]
pub struct RunOfJobs<'a> {
    pub run: &'a str,
    /// The path of this program.
    pub program: &'a str,
    /// The working folder of the command that submits the run.
    pub folder: &'a str,
    /// Environment variables that surgcam reads, with their values.
    pub variables: &'a [(String, String)],
    pub settings: &'a SlurmSettings,
}

/// A job, or an array of them, for one call of sbatch.
#[derive(Debug)]
pub struct BatchOfJobs<'a> {
    /// The number of the first job, and how many there are.
    pub first: usize,
    pub jobs: usize,
    pub kind: &'a str,
    pub needs_device: bool,
    /// Whether nothing else may run on its machine.
    pub is_alone: bool,
    /// Whether another job continues what this one does not finish.
    pub is_followed: bool,
    /// `afterok:1:2,afterany:3`, if it waits for anything.
    pub dependency: Option<String>,
    pub script: &'a Path,
    /// The file of its output. In the name for an array, `%a` stands for the number of the task.
    pub log: &'a Path,
}

/// The text of a job's script.
pub fn script(run: &RunOfJobs, batch: &BatchOfJobs) -> Result<String> {
    let mut text = format!(
        "#!/bin/bash\n# {} of the run {}. Slurm keeps its own copy of this file.\n",
        if batch.jobs > 1 { "Jobs" } else { "A job" },
        run.run
    );
    for line in &run.settings.prologue {
        text.push_str(line);
        text.push('\n');
    }
    text.push_str(&format!("cd -- {} || exit 1\n", quoted(run.folder)?));
    for (name, value) in run.variables {
        text.push_str(&format!("export {name}={}\n", quoted(value)?));
    }
    let number = match batch.jobs {
        1 => batch.first.to_string(),
        _ => format!("\"$(({} + SLURM_ARRAY_TASK_ID))\"", batch.first),
    };
    let followed = if batch.is_followed { " --followed" } else { "" };
    // surgcam takes the place of the shell, so it gets the signals of Slurm itself.
    text.push_str(&format!(
        "exec {} job{followed} {} {number}\n",
        quoted(run.program)?,
        quoted(run.run)?
    ));
    Ok(text)
}

/// A text as one word of a shell. A line break is refused: the shell would accept it, but programs
/// that show the job would not.
fn quoted(text: &str) -> Result<String> {
    let cannot = |why: &str| {
        Error::usage(format!("`{}` cannot be written into a job's script: {why}", shortened(text)))
    };
    if text.contains(['\n', '\r']) {
        return Err(cannot("it contains a line break"));
    }
    let word = shlex::try_quote(text).map_err(|_| cannot("it contains a null character"))?;
    Ok(word.into_owned())
}

/// The arguments of sbatch.
pub fn options(run: &RunOfJobs, batch: &BatchOfJobs) -> Result<Vec<String>> {
    let needs = run.settings.needs_of(batch.kind);
    let mut options: Vec<String> = vec![
        "--parsable".into(),
        format!("--job-name={}", super::submission::job_name(run.run)),
        format!("--comment={}", batch.kind),
        format!("--chdir={}", one_line(Path::new(run.folder))?),
        format!("--output={}", for_a_pattern(batch)?),
        "--open-mode=append".into(),
        "--requeue".into(),
        "--kill-on-invalid-dep=yes".into(),
        format!("--signal=B:USR1@{}", notice_seconds(&needs)),
    ];
    let settings = [
        ("partition", needs.partition.as_ref().map(|value| value.as_str())),
        ("account", run.settings.account.as_ref().map(|value| value.as_str())),
        ("qos", run.settings.qos.as_ref().map(|value| value.as_str())),
        ("gres", needs.gres.as_ref().filter(|_| batch.needs_device).map(|value| value.as_str())),
        ("mem", needs.memory.as_ref().map(|value| value.as_str())),
        ("time", needs.time.as_ref().map(|value| value.as_str())),
    ];
    for (name, value) in settings {
        options.extend(value.map(|value| format!("--{name}={value}")));
    }
    options.extend(needs.cpus.map(|cpus| format!("--cpus-per-task={cpus}")));
    if batch.is_alone {
        options.push("--exclusive".into());
    }
    if batch.jobs > 1 {
        options.push(format!("--array=0-{}", batch.jobs - 1));
    }
    options.extend(batch.dependency.as_ref().map(|after| format!("--dependency={after}")));
    options.extend(needs.flags.iter().map(|flag| flag.as_str().to_string()));
    options.push(one_line(batch.script)?);
    Ok(options)
}

/// The output's path as a pattern of Slurm, in which a `%` of the path is written twice.
fn for_a_pattern(batch: &BatchOfJobs) -> Result<String> {
    let path = one_line(batch.log)?;
    if path.contains('\\') {
        return Err(Error::usage(
            "the path of the store contains a backslash, which sbatch does not take",
        )
        .at_path(batch.log)
        .hint("name another folder with SURGCAM_STORE"));
    }
    let Some((folder, name)) = path.rsplit_once('/') else { return Ok(path) };
    Ok(format!("{}/{name}", folder.replace('%', "%%")))
}

fn one_line(path: &Path) -> Result<String> {
    let text = path.to_str().filter(|text| !text.contains(['\n', '\r']));
    text.map(String::from).ok_or_else(|| {
        Error::usage(
            "this path contains a line break or is not valid UTF-8, which sbatch does not take",
        )
        .at_path(path)
    })
}

/// How long before its time limit a job is warned, unless it is short.
const USUAL_NOTICE_SECONDS: u64 = 60;

/// How many seconds before its time limit a job is warned. For a short job, it is a tenth of its
/// time.
fn notice_seconds(needs: &JobNeeds) -> u64 {
    let usual = |limit: u64| (limit / 10).clamp(5, USUAL_NOTICE_SECONDS);
    needs.time.as_ref().map_or(USUAL_NOTICE_SECONDS, |limit| usual(limit.seconds()))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn settings(text: &str) -> SlurmSettings {
        toml::from_str(text).unwrap()
    }

    fn run<'a>(settings: &'a SlurmSettings, variables: &'a [(String, String)]) -> RunOfJobs<'a> {
        RunOfJobs {
            run: "20260101T000000000-1",
            program: "/opt/of me/surgcam",
            folder: "/home/me/my project",
            variables,
            settings,
        }
    }

    fn batch<'a>(script: &'a Path, log: &'a Path) -> BatchOfJobs<'a> {
        BatchOfJobs {
            first: 7,
            jobs: 1,
            kind: "train",
            needs_device: true,
            is_alone: false,
            is_followed: false,
            dependency: None,
            script,
            log,
        }
    }

    #[test]
    fn a_script_is_what_a_shell_reads_as_it_was_meant() {
        let settings = settings("prologue = ['module load cuda']");
        let variables = [("SURGCAM_STORE".to_string(), "/scratch/$me/a b".to_string())];
        let paths = (PathBuf::from("/s/1.sh"), PathBuf::from("/s/1.log"));
        let job = BatchOfJobs { is_followed: true, ..batch(&paths.0, &paths.1) };
        insta::assert_snapshot!(script(&run(&settings, &variables), &job).unwrap(), @r"
        #!/bin/bash
        # A job of the run 20260101T000000000-1. Slurm keeps its own copy of this file.
        module load cuda
        cd -- '/home/me/my project' || exit 1
        export SURGCAM_STORE='/scratch/$me/a b'
        exec '/opt/of me/surgcam' job --followed 20260101T000000000-1 7
        ");
        let array = BatchOfJobs { jobs: 3, ..batch(&paths.0, &paths.1) };
        let text = script(&run(&settings, &[]), &array).unwrap();
        assert!(
            text.ends_with("job 20260101T000000000-1 \"$((7 + SLURM_ARRAY_TASK_ID))\"\n"),
            "{text}"
        );
        let broken = [("SURGCAM_STORE".to_string(), "a\nrm -rf b".to_string())];
        let error = script(&run(&settings, &broken), &array).unwrap_err().to_string();
        assert!(error.contains("contains a line break"), "{error}");
    }

    #[test]
    fn options_are_those_of_the_settings_and_of_the_kind() {
        let settings = settings(
            "partition = 'gpu'\naccount = 'lab'\ngres = 'gpu:1'\ncpus = 4\n\
             time = '1:00:00'\nflags = ['--nice']\n\
             [kinds.train]\nmemory = '32G'\ntime = '5'",
        );
        let paths = (PathBuf::from("/s/1.sh"), PathBuf::from("/a%b/1-%a.log"));
        let array = BatchOfJobs {
            jobs: 3,
            dependency: Some("afterok:1:2,afterany:3".into()),
            ..batch(&paths.0, &paths.1)
        };
        let text = options(&run(&settings, &[]), &array).unwrap().join("\n");
        insta::assert_snapshot!(text, @r"
        --parsable
        --job-name=surgcam-20260101T000000000-1
        --comment=train
        --chdir=/home/me/my project
        --output=/a%%b/1-%a.log
        --open-mode=append
        --requeue
        --kill-on-invalid-dep=yes
        --signal=B:USR1@30
        --partition=gpu
        --account=lab
        --gres=gpu:1
        --mem=32G
        --time=5
        --cpus-per-task=4
        --array=0-2
        --dependency=afterok:1:2,afterany:3
        --nice
        /s/1.sh
        ");
        let speed = BatchOfJobs {
            kind: "measure",
            needs_device: false,
            is_alone: true,
            ..batch(&paths.0, &paths.1)
        };
        let text = options(&run(&settings, &[]), &speed).unwrap().join(" ");
        assert!(text.contains("--exclusive") && !text.contains("--gres"), "{text}");
        assert!(text.contains("--time=1:00:00") && text.contains("USR1@60"), "{text}");
    }
}
