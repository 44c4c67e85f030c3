//! Calls, each a function.

use std::collections::HashMap;
use std::time::Duration;
use std::time::Instant;

use prost::Message;

use crate::error::CriError;
use crate::message::ContainerConfig;
use crate::message::ContainerId;
use crate::message::ContainerStatus;
use crate::message::ContainerStatusAnswer;
use crate::message::CreateContainer;
use crate::message::ImageAnswer;
use crate::message::ImageAsk;
use crate::message::ImageName;
use crate::message::ListSandboxes;
use crate::message::Nothing;
use crate::message::RunSandbox;
use crate::message::SandboxConfig;
use crate::message::SandboxFilter;
use crate::message::SandboxId;
use crate::message::SandboxStatusAnswer;
use crate::message::SandboxStatusAsk;
use crate::message::Sandboxes;
use crate::message::Version;
use crate::socket::Socket;
use crate::wire::Code;
use crate::wire::Wire;

/// What is asked and answered at once.
const SOON: Duration = Duration::from_secs(20);
/// What starts and ends programs, and pulls the image that a sandbox itself is of.
const WORK: Duration = Duration::from_secs(240);
/// What an answer is given at least.
const LEAST: Duration = Duration::from_secs(1);
/// How often a container is looked at that should have ended.
const AGAIN: Duration = Duration::from_millis(10);

const RUNTIME: &str = "RuntimeService";
const IMAGES: &str = "ImageService";

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its code.
    pub code: i32,
    /// A word of the runtime's: `OOMKilled`, `Error`, `Completed`.
    pub reason: String,
    /// Words about it.
    pub message: String,
}

/// A connection with a runtime.
#[derive(Debug)]
pub struct Client {
    wire: Wire,
}

impl Client {
    /// Connects, and asks whether it is what it should be.
    pub fn connect(socket: &Socket) -> Result<Self, CriError> {
        let client = Self { wire: Wire::connect(socket.path())? };
        client.version()?;
        Ok(client)
    }

    fn ask<A: Message + Default>(
        &self,
        call: &'static str,
        asked: &impl Message,
        patience: Duration,
    ) -> Result<A, CriError> {
        self.wire.call(RUNTIME, call, asked, patience)
    }

    /// What it is.
    pub fn version(&self) -> Result<Version, CriError> {
        self.ask("Version", &Nothing {}, SOON)
    }

    /// The id of the image of that name.
    pub fn image(&self, name: &str) -> Result<String, CriError> {
        let asked = ImageAsk { image: Some(ImageName { name: name.to_owned() }) };
        let answer: ImageAnswer = self.wire.call(IMAGES, "ImageStatus", &asked, SOON)?;
        answer.image.map(|image| image.id).ok_or_else(|| CriError::NoImage(name.to_owned()))
    }

    /// Starts a sandbox: its id.
    pub fn run_sandbox(&self, config: &SandboxConfig) -> Result<String, CriError> {
        let asked = RunSandbox { config: Some(config.clone()), handler: String::new() };
        let answer: SandboxId = self.ask("RunPodSandbox", &asked, WORK)?;
        Ok(answer.id)
    }

    /// All that is known of a sandbox, in JSON.
    pub fn sandbox_info(&self, id: &str) -> Result<String, CriError> {
        let call = "PodSandboxStatus";
        let asked = SandboxStatusAsk { id: id.to_owned(), verbose: true };
        let answer: SandboxStatusAnswer = self.ask(call, &asked, SOON)?;
        let told = answer.info.get("info").cloned();
        told.ok_or_else(|| CriError::Foreign { call, problem: "it tells no `info`".into() })
    }

    /// The ids of those that have this label.
    pub fn sandboxes(&self, label: &str, value: &str) -> Result<Vec<String>, CriError> {
        let labels = HashMap::from([(label.to_owned(), value.to_owned())]);
        let asked = ListSandboxes { filter: Some(SandboxFilter { labels }) };
        let answer: Sandboxes = self.ask("ListPodSandbox", &asked, SOON)?;
        // A runtime that does not know the filter would list all there are.
        let mine = answer.sandboxes.into_iter();
        Ok(mine
            .filter(|one| one.labels.get(label).is_some_and(|held| held == value))
            .map(|one| one.id)
            .collect())
    }

    /// Stops and removes a sandbox with all that is in it. One that is gone is no error.
    pub fn remove_sandbox(&self, id: &str) -> Result<(), CriError> {
        let asked = SandboxId { id: id.to_owned() };
        for call in ["StopPodSandbox", "RemovePodSandbox"] {
            match self.ask::<Nothing>(call, &asked, WORK) {
                Ok(Nothing {}) | Err(CriError::Status { code: Code::NotFound, .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes a container in a sandbox: its id.
    pub fn create_container(
        &self,
        sandbox: &str,
        config: &ContainerConfig,
        sandbox_config: &SandboxConfig,
    ) -> Result<String, CriError> {
        let asked = CreateContainer {
            sandbox: sandbox.to_owned(),
            config: Some(config.clone()),
            sandbox_config: Some(sandbox_config.clone()),
        };
        let answer: ContainerId = self.ask("CreateContainer", &asked, WORK)?;
        Ok(answer.id)
    }

    /// Starts it.
    pub fn start_container(&self, id: &str) -> Result<(), CriError> {
        self.ask::<Nothing>("StartContainer", &ContainerId { id: id.to_owned() }, WORK).map(|Nothing {}| ())
    }

    /// How it ended, if it has.
    fn ended(&self, id: &str, patience: Duration) -> Result<Option<Ended>, CriError> {
        let asked = ContainerId { id: id.to_owned() };
        let answer: ContainerStatusAnswer = self.ask("ContainerStatus", &asked, patience)?;
        let status = answer.status.unwrap_or_default();
        Ok((status.state == ContainerStatus::ENDED).then_some(Ended {
            code: status.exit_code,
            reason: status.reason,
            message: status.message,
        }))
    }

    /// How it ended, for one that is about to.
    pub fn wait(&self, id: &str, patience: Duration) -> Result<Ended, CriError> {
        let start = Instant::now();
        loop {
            // At least one answer is waited for.
            let rest = patience.saturating_sub(start.elapsed()).clamp(LEAST, SOON);
            if let Some(ended) = self.ended(id, rest)? {
                return Ok(ended);
            }
            if start.elapsed() > patience {
                return Err(CriError::Silent { call: "ContainerStatus", patience });
            }
            std::thread::sleep(AGAIN);
        }
    }
}
