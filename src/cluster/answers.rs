//! Reads what Slurm's programs print. The texts differ from cluster to cluster, so a line that is
//! not understood is skipped.

use std::collections::BTreeMap;

use surgcam_recipe::slurm_settings::slurm_seconds;

/// The most digits of a job's number or of a task's.
const MOST_DIGITS: usize = 10;

fn is_number(text: &str) -> bool {
    (1..=MOST_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The number of a new job in what `sbatch --parsable` printed: `12`, or `12;cluster`. On some
/// clusters other lines come before it.
pub fn submitted(text: &str) -> Option<String> {
    text.lines()
        .rev()
        .filter_map(|line| line.trim().split(';').next())
        .find(|number| is_number(number))
        .map(String::from)
}

/// Whether a text is a job's number, `12`, or that of a task of an array, `12_3`.
pub fn is_job(text: &str) -> bool {
    match text.split_once('_') {
        Some((job, task)) => is_number(job) && is_number(task),
        None => is_number(text),
    }
}

/// A job as the queue or the accounts list it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// `12` or `12_3`.
    pub job: String,
    /// In Slurm's words, such as `OUT_OF_MEMORY`.
    pub state: String,
    pub reason: String,
    pub node: String,
}

/// What `squeue` is asked to print of each job.
pub const QUEUE_FORMAT: &str = "%i|%T|%r|%N";

/// What `sacct` is asked to print of each job, separated by `|`.
pub const ACCOUNTS_FORMAT: &str = "JobID,State,ExitCode,NodeList";

/// Reads lines that were printed in [`QUEUE_FORMAT`] or [`ACCOUNTS_FORMAT`]. In the accounts, the
/// exit code stands in place of the reason, and a job that was put back into the queue has several
/// lines, of which the last one is the newest. Lines of steps (`12.batch`) are left out.
pub fn jobs(text: &str) -> Vec<Listed> {
    let listed = |line: &str| {
        let fields: Vec<&str> = line.trim().split('|').collect();
        match fields.as_slice() {
            [job, state, reason, node] if is_job(job) => Some(Listed {
                job: job.to_string(),
                state: state_word(state),
                reason: reason.trim().to_string(),
                node: node.trim().to_string(),
            }),
            _ => None,
        }
    };
    text.lines().filter_map(listed).collect()
}

/// The first word: `CANCELLED` for `CANCELLED by 1000`. A `+` at its end is removed, with which
/// `sacct` marks a text that it has cut.
fn state_word(text: &str) -> String {
    text.split_whitespace().next().unwrap_or_default().trim_end_matches('+').to_string()
}

/// The fields of `scontrol --oneliner show job` or `show partition` that have the form `Name=Value`
/// without spaces. If a name occurs twice, its first value counts, because later ones may come from
/// texts of users, such as comments.
pub fn fields(text: &str) -> BTreeMap<&str, &str> {
    let mut fields = BTreeMap::new();
    for word in text.lines().next().unwrap_or_default().split_whitespace() {
        if let Some((name, value)) = word.split_once('=') {
            fields.entry(name).or_insert(value);
        }
    }
    fields
}

/// What a cluster allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterLimits {
    /// The most tasks of an array.
    pub array: usize,
    /// For how many seconds the queue remembers a job that has ended.
    pub memory_seconds: Option<u64>,
    /// Whether `sacct` knows jobs that have ended.
    pub has_accounts: bool,
}

/// Slurm's own value for the most tasks of an array, if the configuration does not say it.
const USUAL_ARRAY: usize = 1001;

/// Reads `scontrol show config`.
pub fn limits(text: &str) -> ClusterLimits {
    let value = |name: &str| {
        text.lines().find_map(|line| {
            let (found, value) = line.split_once('=')?;
            (found.trim() == name).then(|| value.trim())
        })
    };
    let number = |text: &str| text.split_whitespace().next()?.parse::<u64>().ok();
    let array = value("MaxArraySize").and_then(number).and_then(|most| most.try_into().ok());
    ClusterLimits {
        // Zero means that there are no arrays.
        array: array.unwrap_or(USUAL_ARRAY).max(1),
        memory_seconds: value("MinJobAge").and_then(number),
        has_accounts: value("AccountingStorageType").is_some_and(|kind| {
            kind != "(null)" && !kind.is_empty() && kind != "accounting_storage/none"
        }),
    }
}

/// The seconds that a job of a partition may take if it does not ask for a time, from what
/// `scontrol --oneliner show partition` prints. Without a name, the default partition is meant.
/// `None` if there is no limit.
pub fn usual_time(text: &str, partition: Option<&str>) -> Option<u64> {
    let is_meant = |fields: &BTreeMap<&str, &str>| match partition {
        Some(name) => fields.get("PartitionName") == Some(&name),
        None => fields.get("Default") == Some(&"YES"),
    };
    let found = text.lines().map(fields).find(is_meant)?;
    let time = |name: &str| found.get(name).copied().and_then(slurm_seconds);
    time("DefaultTime").or_else(|| time("MaxTime"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_job_is_found_behind_what_a_site_prints() {
        assert_eq!(submitted("1234\n").as_deref(), Some("1234"));
        assert_eq!(submitted("1234;cluster\n").as_deref(), Some("1234"));
        assert_eq!(submitted("Welcome to the cluster\n\n77\n").as_deref(), Some("77"));
        for other in ["", "Submitted batch job 12", "-1", "12_3", "99999999999"] {
            assert_eq!(submitted(other), None, "{other}");
        }
    }

    /// As Slurm 22.05 prints it.
    const QUEUE: &str = "1_2|COMPLETED|None|n1\n1_0|COMPLETED|None|n1\n\
                         2|FAILED|NonZeroExitCode|n2\n9|CANCELLED|DependencyNeverSatisfied|\n\
                         10_[4-9]|PENDING|Dependency|\nslurm_load_jobs error\n";

    #[test]
    fn jobs_and_tasks_are_read_from_the_queue() {
        let found = jobs(QUEUE);
        let jobs: Vec<&str> = found.iter().map(|listed| listed.job.as_str()).collect();
        assert_eq!(jobs, ["1_2", "1_0", "2", "9"]);
        assert_eq!(
            (found[2].state.as_str(), found[2].reason.as_str()),
            ("FAILED", "NonZeroExitCode")
        );
        assert_eq!((found[3].state.as_str(), found[3].node.as_str()), ("CANCELLED", ""));
    }

    #[test]
    fn steps_are_no_jobs_and_states_lose_their_additions() {
        let text = "12|NODE_FAIL|0:0|n1\n12|COMPLETED|0:0|n2\n12.batch|COMPLETED|0:0|n2\n\
                    13|CANCELLED by 1000|0:15|n1\n14_3|OUT_OF_ME+|0:125|n1\n";
        let found = jobs(text);
        let states: Vec<(&str, &str)> =
            found.iter().map(|listed| (listed.job.as_str(), listed.state.as_str())).collect();
        assert_eq!(
            states,
            [("12", "NODE_FAIL"), ("12", "COMPLETED"), ("13", "CANCELLED"), ("14_3", "OUT_OF_ME")]
        );
    }

    #[test]
    fn what_a_cluster_allows_is_read_from_its_configuration() {
        let text = "Configuration data as of 2026-11-27T23:57:51\n\
                    AccountingStorageType   = accounting_storage/none\n\
                    MaxArraySize            = 1001\n\
                    MinJobAge               = 300 sec\nSLURM_VERSION           = 22.05.8\n";
        let found = limits(text);
        assert_eq!(
            found,
            ClusterLimits { array: 1001, memory_seconds: Some(300), has_accounts: false }
        );
        assert!(limits("AccountingStorageType = accounting_storage/slurmdbd").has_accounts);
        // Slurm 23.11 and later leave the type empty where there is none.
        assert!(!limits("AccountingStorageType = (null)\nMaxArraySize = 0").has_accounts);
        assert_eq!(limits("").array, USUAL_ARRAY);
    }

    #[test]
    fn the_time_of_a_partition_is_that_of_the_one_that_is_asked_for() {
        let text = "PartitionName=main Default=YES DefaultTime=00:10:00 MaxTime=1-01:00:00\n\
                    PartitionName=long Default=NO DefaultTime=NONE MaxTime=1-01:00:00\n\
                    PartitionName=free Default=NO DefaultTime=NONE MaxTime=UNLIMITED\n";
        assert_eq!(usual_time(text, None), Some(600));
        assert_eq!(usual_time(text, Some("long")), Some(90_000));
        assert_eq!(usual_time(text, Some("free")), None);
        assert_eq!(usual_time(text, Some("other")), None);
        assert_eq!(fields("JobState=FAILED Comment=x JobState=COMPLETED")["JobState"], "FAILED");
    }
}
