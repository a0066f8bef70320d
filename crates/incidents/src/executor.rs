//! Who takes a service back: a command of the operator's, Kubernetes, or nobody (a dry run).

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use crate::domain::Step;

/// How long one step may take.
const TIMEOUT: Duration = Duration::from_secs(150);

/// What a program of ours must not see of our environment.
const SECRETS: [&str; 12] = [
    "DATABASE_URL",
    "REDIS_URL",
    "WEBHOOK_TOKEN",
    "SERVICE_CLIENT_SECRET",
    "SLACK_CRITICAL_URL",
    "SLACK_ALERTS_URL",
    "SLACK_GENERAL_URL",
    "SMS_URL",
    "SMS_SECRET",
    "TICKET_URL",
    "TICKET_SECRET",
    "SMTP_URL",
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Executor {
    /// Says what it would do.
    DryRun,
    /// Runs `command… <step> <service>`; success is exit code 0, and the last line of `validate` names the
    /// version it goes back to.
    Command(Vec<String>),
    Kubernetes {
        kubectl: String,
        namespace: String,
    },
}

impl Executor {
    pub fn name(&self) -> &'static str {
        match self {
            Self::DryRun => "dry-run",
            Self::Command(_) => "command",
            Self::Kubernetes { .. } => "kubernetes",
        }
    }

    /// Does one step; what it says is for the record, and its last line of `validate` is the target.
    pub async fn step(&self, step: Step, service: &str, number: &str) -> Result<String, String> {
        match self {
            Self::DryRun => Ok(format!("would {} {service}", step.as_str())),
            Self::Command(command) => {
                let mut words = command.clone();
                words.extend([step.as_str().to_owned(), service.to_owned()]);
                run(&words).await
            }
            Self::Kubernetes { kubectl, namespace } => {
                let kubectl = Kubectl { kubectl, namespace, deployment: service };
                kubectl.step(step, number).await
            }
        }
    }
}

struct Kubectl<'a> {
    kubectl: &'a str,
    namespace: &'a str,
    deployment: &'a str,
}

impl Kubectl<'_> {
    async fn step(&self, step: Step, number: &str) -> Result<String, String> {
        let deployment = format!("deployment/{}", self.deployment);
        match step {
            Step::Validate => self.validate().await,
            Step::Prepare => self.run(&["auth", "can-i", "patch", &deployment]).await,
            // With no pod unavailable (validated), each live one stops only when an old one is ready.
            Step::Perform => self.run(&["rollout", "undo", &deployment]).await,
            Step::Verify => self.run(&["rollout", "status", &deployment, "--timeout=120s"]).await,
            Step::Record => {
                let note = format!("incidents/rolled-back-for={number}");
                self.run(&["annotate", &deployment, &note, "--overwrite"]).await
            }
        }
    }

    /// There is a revision before, and the rollout proves its pods before the live ones stop.
    async fn validate(&self) -> Result<String, String> {
        let deployment = self.json(&["get", "deployment", self.deployment]).await?;
        let unavailable = &deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"];
        if *unavailable != 0 && unavailable.as_str() != Some("0") {
            return Err(
                "maxUnavailable is not 0: a live pod would stop before an old one is ready"
                    .to_owned(),
            );
        }
        let of_it = |item: &&Value| {
            let owners = item["metadata"]["ownerReferences"].as_array();
            owners.into_iter().flatten().any(|o| o["uid"] == deployment["metadata"]["uid"])
        };
        let sets = self.json(&["get", "replicasets"]).await?;
        let mut revisions: Vec<(u64, &str)> = sets["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(of_it)
            .filter_map(|item| {
                let number = item["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
                    .as_str()?;
                let image = item["spec"]["template"]["spec"]["containers"][0]["image"].as_str()?;
                Some((number.parse().ok()?, image))
            })
            .collect();
        revisions.sort_unstable();
        match revisions.as_slice() {
            [.., (number, image), _] => Ok(format!("revision {number}: {image}")),
            _ => Err("there is no revision before".to_owned()),
        }
    }

    async fn json(&self, arguments: &[&str]) -> Result<Value, String> {
        let text = self.run(&[arguments, &["--output=json"]].concat()).await?;
        serde_json::from_str(&text).map_err(|_| "kubectl did not answer JSON".to_owned())
    }

    async fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let mut words = vec![self.kubectl.to_owned(), format!("--namespace={}", self.namespace)];
        words.extend(arguments.iter().map(|&word| word.to_owned()));
        run(&words).await
    }
}

/// What it said: standard output when it succeeds, else the end of standard error.
async fn run(words: &[String]) -> Result<String, String> {
    let (program, arguments) = words.split_first().ok_or("no command")?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    for secret in SECRETS {
        command.env_remove(secret).env_remove(format!("{secret}_FILE"));
    }
    let output = match tokio::time::timeout(TIMEOUT, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(format!("cannot be run: {}", error.kind())),
        Err(_) => return Err(format!("not done in {} s", TIMEOUT.as_secs())),
    };
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let tail: Vec<_> = said.trim().lines().rev().take(6).collect();
    let tail: Vec<_> = tail.into_iter().rev().collect();
    Err(format!("{}: {}", output.status, tail.join("\n")))
}
