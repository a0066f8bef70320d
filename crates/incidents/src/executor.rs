//! The executors of rollbacks: a command of the operator's, Kubernetes, Argo Rollouts, or a dry run.

use std::ffi::OsStr;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use crate::domain::Step;

/// The timeout of a step.
const TIMEOUT: Duration = Duration::from_secs(150);

/// The environment variables that an operator's program receives; most of ours are secrets. These are needed by any
/// program, or to reach a cluster, AWS or the local stack.
const PASSED: [&str; 8] =
    ["PATH", "HOME", "TMPDIR", "LANG", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "KUBECONFIG"];
const PASSED_BELOW: [&str; 4] = ["KUBERNETES_", "AWS_", "STACK_", "ROLLBACK_"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Executor {
    /// Reports each step and does nothing.
    DryRun,
    /// Runs `command… <step> <service>`. Exit code 0 is success; the last line of `validate` names the target
    /// version.
    Command(Vec<String>),
    /// Undoes a rollout of the deployment with the service's name.
    Kubernetes { kubectl: String, namespace: String },
    /// Undoes the Argo rollout with the service's name, by kubectl's plugin.
    Argo { kubectl: String, namespace: String },
}

impl Executor {
    pub fn name(&self) -> &'static str {
        match self {
            Self::DryRun => "dry-run",
            Self::Command(_) => "command",
            Self::Kubernetes { .. } | Self::Argo { .. } => "kubernetes",
        }
    }

    /// Carries out a step. Returns its output for the record; the last line of `validate` is the target version.
    pub async fn step(&self, step: Step, service: &str, number: &str) -> Result<String, String> {
        match self {
            Self::DryRun => Ok(format!("would {} {service}", step.as_str())),
            Self::Command(command) => {
                let mut words = command.clone();
                words.extend([step.as_str().to_owned(), service.to_owned()]);
                run(&words).await
            }
            Self::Kubernetes { kubectl, namespace } => {
                let cluster = Cluster { kubectl, namespace, service, rollouts: false };
                cluster.step(step, number).await
            }
            Self::Argo { kubectl, namespace } => {
                let cluster = Cluster { kubectl, namespace, service, rollouts: true };
                cluster.step(step, number).await
            }
        }
    }
}

struct Cluster<'a> {
    kubectl: &'a str,
    namespace: &'a str,
    service: &'a str,
    /// True when an Argo rollout owns the pods, with its template from the deployment (`workloadRef`).
    rollouts: bool,
}

impl Cluster<'_> {
    async fn step(&self, step: Step, number: &str) -> Result<String, String> {
        let deployment = format!("deployment/{}", self.service);
        match step {
            Step::Validate => self.validate().await,
            // Argo's plugin changes the deployment, too.
            Step::Prepare => self.run(&["auth", "can-i", "patch", &deployment]).await,
            // No pod may be unavailable (validated), so each live pod stops only when an old one is ready.
            Step::Perform if self.rollouts => {
                let undone = self.argo("undo", &[]).await?;
                // A rollback skips the rollout's pauses.
                Ok(format!("{undone}\n{}", self.argo("promote", &["--full"]).await?))
            }
            Step::Perform => self.run(&["rollout", "undo", &deployment]).await,
            Step::Verify if self.rollouts => self.argo("status", &["--timeout=120s"]).await,
            Step::Verify => self.run(&["rollout", "status", &deployment, "--timeout=120s"]).await,
            Step::Record => {
                let note = format!("incidents/rolled-back-for={number}");
                self.run(&["annotate", &deployment, &note, "--overwrite"]).await
            }
        }
    }

    /// Returns the resource that owns the pods, and the annotation of its revisions.
    fn owner(&self) -> (&'static str, &'static str) {
        if self.rollouts {
            ("rollouts.argoproj.io", "rollout.argoproj.io/revision")
        } else {
            ("deployment", "deployment.kubernetes.io/revision")
        }
    }

    /// Checks that there is a previous revision, and that its pods are proven before the live ones stop.
    async fn validate(&self) -> Result<String, String> {
        let (resource, mark) = self.owner();
        let owner = self.json(&["get", resource, self.service]).await?;
        let strategy = &owner["spec"]["strategy"];
        let way = if self.rollouts { "canary" } else { "rollingUpdate" };
        let unavailable = &strategy[way]["maxUnavailable"];
        // Blue-green stops no pod before the switch.
        let all_stay = *unavailable == 0
            || unavailable.as_str() == Some("0")
            || self.rollouts && strategy["blueGreen"].is_object();
        if !all_stay {
            return Err(
                "maxUnavailable is not 0: a live pod would stop before an old one is ready"
                    .to_owned(),
            );
        }
        let of_it = |item: &&Value| {
            let owners = item["metadata"]["ownerReferences"].as_array();
            owners.into_iter().flatten().any(|o| o["uid"] == owner["metadata"]["uid"])
        };
        let sets = self.json(&["get", "replicasets"]).await?;
        let mut revisions: Vec<(u64, &str)> = sets["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(of_it)
            .filter_map(|item| {
                let number = item["metadata"]["annotations"][mark].as_str()?;
                let image = item["spec"]["template"]["spec"]["containers"][0]["image"].as_str()?;
                Some((number.parse().ok()?, image))
            })
            .collect();
        revisions.sort_unstable();
        match revisions.as_slice() {
            [.., (number, image), _] => Ok(format!("revision {number}: {image}")),
            _ => Err("previous revision not found".to_owned()),
        }
    }

    async fn json(&self, arguments: &[&str]) -> Result<Value, String> {
        let text = self.run(&[arguments, &["--output=json"]].concat()).await?;
        serde_json::from_str(&text).map_err(|_| "kubectl did not answer JSON".to_owned())
    }

    /// Runs Argo's plugin; kubectl allows no flags before a plugin's name.
    async fn argo(&self, what: &str, flags: &[&str]) -> Result<String, String> {
        let mut words =
            [self.kubectl, "argo", "rollouts", what, self.service].map(str::to_owned).to_vec();
        words.push(format!("--namespace={}", self.namespace));
        words.extend(flags.iter().map(|&flag| flag.to_owned()));
        run(&words).await
    }

    async fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let mut words = vec![self.kubectl.to_owned(), format!("--namespace={}", self.namespace)];
        words.extend(arguments.iter().map(|&word| word.to_owned()));
        run(&words).await
    }
}

fn passed(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| {
        PASSED.contains(&name) || PASSED_BELOW.iter().any(|family| name.starts_with(family))
    })
}

/// Runs a program. Returns its standard output, or the end of its standard error when it fails.
async fn run(words: &[String]) -> Result<String, String> {
    let (program, arguments) = words.split_first().ok_or("the command is empty")?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    command.env_clear().envs(std::env::vars_os().filter(|(name, _)| passed(name)));
    let output = match tokio::time::timeout(TIMEOUT, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(format!("the command cannot be run: {}", error.kind())),
        Err(_) => return Err(format!("the command did not end in {} s", TIMEOUT.as_secs())),
    };
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let tail: Vec<_> = said.trim().lines().rev().take(6).collect();
    let tail: Vec<_> = tail.into_iter().rev().collect();
    Err(format!("{}: {}", output.status, tail.join("\n")))
}
