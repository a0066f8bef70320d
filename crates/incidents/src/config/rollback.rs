use clap::{Args, ValueEnum};
use kit::process::Refusal;

use crate::executor::Executor;

/// The settings of rollbacks.
#[derive(Args, Clone, Debug)]
pub struct Rollback {
    /// Executor of rollbacks: none, dry-run (reports each step and does nothing), command, kubernetes, or argo (Argo
    /// Rollouts).
    #[arg(long, env = "ROLLBACK_EXECUTOR", default_value = "none", value_enum)]
    pub rollback_executor: ExecutorKind,
    /// Command with its first arguments; the step and the service follow.
    #[arg(long, env = "ROLLBACK_COMMAND", default_value = "")]
    pub rollback_command: String,
    /// Namespace of the deployments or rollouts, which are named like the services.
    #[arg(long, env = "ROLLBACK_NAMESPACE", default_value = "default")]
    pub rollback_namespace: String,
    /// Path of kubectl. For argo, its plugin kubectl-argo-rollouts must be in PATH.
    #[arg(long, env = "ROLLBACK_KUBECTL", default_value = "kubectl")]
    pub rollback_kubectl: String,
    /// Lets an alert with the label rollback=automatic begin a rollback without an approval, if it fires at
    /// Prometheus. Needs PROMETHEUS_URLS.
    #[arg(long, env = "ROLLBACK_AUTOMATIC", default_value = "false", action = clap::ArgAction::Set)]
    pub rollback_automatic: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExecutorKind {
    None,
    DryRun,
    Command,
    Kubernetes,
    Argo,
}

impl Rollback {
    pub fn executor(&self) -> anyhow::Result<Option<Executor>> {
        Ok(match self.rollback_executor {
            ExecutorKind::None => None,
            ExecutorKind::DryRun => Some(Executor::DryRun),
            ExecutorKind::Command => {
                let words: Vec<_> =
                    self.rollback_command.split_whitespace().map(str::to_owned).collect();
                if words.is_empty() {
                    return Err(Refusal("ROLLBACK_COMMAND is empty".to_owned()).into());
                }
                Some(Executor::Command(words))
            }
            ExecutorKind::Kubernetes => Some(Executor::Kubernetes {
                kubectl: self.rollback_kubectl.clone(),
                namespace: self.rollback_namespace.clone(),
            }),
            ExecutorKind::Argo => Some(Executor::Argo {
                kubectl: self.rollback_kubectl.clone(),
                namespace: self.rollback_namespace.clone(),
            }),
        })
    }
}
