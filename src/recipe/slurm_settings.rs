//! The settings `[executor.slurm]` in surgcam.toml: what the jobs of a Slurm cluster ask for.
//!
//! Each value becomes one argument of `sbatch`. A value that could be taken for something else, or
//! that would not fit into one line, is refused where it is read.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use surgcam_engine::error::Error;
use surgcam_engine::quote::shortened;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExecutorSettings {
    pub slurm: SlurmSettings,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SlurmSettings {
    pub partition: Option<OptionValue>,
    pub account: Option<OptionValue>,
    pub qos: Option<OptionValue>,
    /// What a job asks for if one of its stages needs a device, such as `gpu:1`.
    pub gres: Option<OptionValue>,
    pub cpus: Option<NonZeroU32>,
    pub memory: Option<OptionValue>,
    pub time: Option<TimeLimit>,
    /// More options of `sbatch`, each as `--name=value`.
    pub flags: Vec<OptionFlag>,
    /// Lines of the job script that come before surgcam, such as `module load cuda`.
    pub prologue: Vec<String>,
    /// How often a job puts itself back into the queue when its time is over.
    pub requeues: u32,
    /// What jobs of a kind of stage ask for instead, by the name of the kind. The job that writes
    /// the tables has the name `tables`.
    pub kinds: BTreeMap<String, JobNeeds>,
}

/// For comparison: a training of a week goes back into the queue seven times on a partition whose
/// jobs may take a day.
const USUAL_REQUEUES: u32 = 20;

impl Default for SlurmSettings {
    fn default() -> Self {
        SlurmSettings {
            partition: None,
            account: None,
            qos: None,
            gres: None,
            cpus: None,
            memory: None,
            time: None,
            flags: Vec::new(),
            prologue: Vec::new(),
            requeues: USUAL_REQUEUES,
            kinds: BTreeMap::new(),
        }
    }
}

/// What the jobs of one kind ask for, where it differs from the others.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JobNeeds {
    pub partition: Option<OptionValue>,
    pub gres: Option<OptionValue>,
    pub cpus: Option<NonZeroU32>,
    pub memory: Option<OptionValue>,
    pub time: Option<TimeLimit>,
    /// These come after the flags of all jobs.
    pub flags: Vec<OptionFlag>,
}

impl SlurmSettings {
    /// What a job asks for if its most important stage is of this kind.
    pub fn needs_of(&self, kind: &str) -> JobNeeds {
        let own = self.kinds.get(kind).cloned().unwrap_or_default();
        JobNeeds {
            partition: own.partition.or_else(|| self.partition.clone()),
            gres: own.gres.or_else(|| self.gres.clone()),
            cpus: own.cpus.or(self.cpus),
            memory: own.memory.or_else(|| self.memory.clone()),
            time: own.time.or_else(|| self.time.clone()),
            flags: self.flags.iter().cloned().chain(own.flags).collect(),
        }
    }
}

/// The most characters of a value.
const LONGEST: usize = 1000;

fn check_text(text: &str) -> Result<(), Error> {
    if text.is_empty() || text.len() > LONGEST || text.chars().any(char::is_control) {
        return Err(Error::usage(format!(
            "`{}` cannot be an option of sbatch: it must be one line of at most {LONGEST} \
             characters",
            shortened(text)
        )));
    }
    Ok(())
}

/// The value of an option of `sbatch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OptionValue(String);

impl OptionValue {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for OptionValue {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        check_text(&text)?;
        Ok(OptionValue(text))
    }
}

impl From<OptionValue> for String {
    fn from(value: OptionValue) -> String {
        value.0
    }
}

/// A whole option of `sbatch`, such as `--constraint=a100`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OptionFlag(String);

/// Options that surgcam itself gives to `sbatch`, because it relies on them.
const OWN_OPTIONS: [&str; 14] = [
    "--array",
    "--chdir",
    "--dependency",
    "--error",
    "--export",
    "--job-name",
    "--kill-on-invalid-dep",
    "--no-requeue",
    "--open-mode",
    "--output",
    "--parsable",
    "--requeue",
    "--signal",
    "--wrap",
];

impl OptionFlag {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for OptionFlag {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        check_text(&text)?;
        let name = text.split('=').next().unwrap_or_default();
        if name.len() < 3 || !name.starts_with("--") || name.contains(char::is_whitespace) {
            return Err(Error::usage(format!(
                "`{}` is not a flag: write it as `--name` or `--name=value`, each as a text of \
                 its own",
                shortened(&text)
            )));
        }
        if OWN_OPTIONS.contains(&name) {
            return Err(Error::usage(format!("surgcam sets `{name}` itself")));
        }
        Ok(OptionFlag(text))
    }
}

impl From<OptionFlag> for String {
    fn from(flag: OptionFlag) -> String {
        flag.0
    }
}

/// How long a job may take, as Slurm writes it: minutes, `minutes:seconds`,
/// `hours:minutes:seconds`, `days-hours`, `days-hours:minutes` or `days-hours:minutes:seconds`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeLimit {
    text: String,
    seconds: u64,
}

impl TimeLimit {
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn seconds(&self) -> u64 {
        self.seconds
    }
}

impl TryFrom<String> for TimeLimit {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        match slurm_seconds(&text) {
            Some(seconds) if seconds > 0 => Ok(TimeLimit { text, seconds }),
            _ => Err(Error::usage(format!(
                "`{}` is not a time limit: write it as Slurm does, such as \"12:00:00\" for twelve \
                 hours or \"2-00:00:00\" for two days",
                shortened(&text)
            ))),
        }
    }
}

impl From<TimeLimit> for String {
    fn from(limit: TimeLimit) -> String {
        limit.text
    }
}

impl fmt::Display for TimeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The seconds of a time as Slurm writes it; `None` for anything else, such as `UNLIMITED`.
pub fn slurm_seconds(text: &str) -> Option<u64> {
    let (days, rest) = match text.split_once('-') {
        Some((days, rest)) => (Some(number(days)?), rest),
        None => (None, text),
    };
    let parts = rest.split(':').map(number).collect::<Option<Vec<u64>>>()?;
    let (hours, minutes, seconds) = match (days, parts.as_slice()) {
        (None, [minutes]) => (0, *minutes, 0),
        (None, [minutes, seconds]) => (0, *minutes, *seconds),
        (Some(_), [hours]) => (*hours, 0, 0),
        (Some(_), [hours, minutes]) => (*hours, *minutes, 0),
        (_, [hours, minutes, seconds]) => (*hours, *minutes, *seconds),
        _ => return None,
    };
    Some(((days.unwrap_or(0) * 24 + hours) * 60 + minutes) * 60 + seconds)
}

/// At most six digits, so that the sum of all parts cannot overflow.
fn number(digits: &str) -> Option<u64> {
    let is_number = (1..=6).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<SlurmSettings, String> {
        toml::from_str::<SlurmSettings>(text).map_err(|error| error.to_string())
    }

    #[test]
    fn times_are_those_of_slurm() {
        for (text, seconds) in [
            ("10", 600),
            ("1:30", 90),
            ("12:00:00", 43_200),
            ("2-00", 172_800),
            ("1-12:30", 131_400),
            ("1-00:00:01", 86_401),
        ] {
            assert_eq!(slurm_seconds(text), Some(seconds), "{text}");
        }
        for text in ["UNLIMITED", "", "1h", "-1", "1:2:3:4", "1-", "12345678", "１"] {
            assert_eq!(slurm_seconds(text), None, "{text}");
        }
    }

    #[test]
    fn a_kind_has_its_own_needs_and_the_others_from_all() {
        let settings = read(
            "partition = 'gpu'\ntime = '4:00:00'\nmemory = '32G'\nflags = ['--nice']\n\
             [kinds.train]\ntime = '1-00:00:00'\nflags = ['--constraint=a100']",
        )
        .unwrap();
        let needs = settings.needs_of("train");
        assert_eq!(needs.time.unwrap().seconds(), 86_400);
        assert_eq!(needs.memory.unwrap().as_str(), "32G");
        let flags: Vec<&str> = needs.flags.iter().map(OptionFlag::as_str).collect();
        assert_eq!(flags, ["--nice", "--constraint=a100"]);
        assert_eq!(settings.needs_of("pack").time.unwrap().as_str(), "4:00:00");
    }

    #[test]
    fn what_sbatch_would_misunderstand_is_refused() {
        for (text, problem) in [
            ("partition = ''", "one line"),
            ("account = \"a\\nb\"", "one line"),
            ("time = '4h'", "is not a time limit"),
            ("flags = ['-p gpu']", "is not a flag"),
            ("flags = ['--a b']", "is not a flag"),
            ("flags = ['--array=1-3']", "sets `--array` itself"),
            ("partitoin = 'gpu'", "unknown field"),
        ] {
            let said = read(text).unwrap_err();
            assert!(said.contains(problem), "{text}: {said}");
        }
    }
}
