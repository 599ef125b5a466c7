//! Connections between agents and orchestrators: frames in order, late, lost with their connection.

use std::collections::VecDeque;
use std::sync::Arc;

use kici_protocol::agent::ToAgent;

use crate::agents::acks::Acks;
use crate::agents::link::Link;
use crate::config::AgentAuth;

/// A frame under way.
#[derive(Debug)]
struct Frame {
    arrives: u64,
    text: String,
}

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Way {
    frames: VecDeque<Frame>,
    /// Frames are swallowed from here on.
    pub(super) silent: bool,
}

impl Way {
    pub(super) fn send(&mut self, text: String, arrives: u64) {
        if !self.silent {
            // Order is kept.
            let arrives = self.frames.back().map_or(arrives, |last| last.arrives.max(arrives));
            self.frames.push_back(Frame { arrives, text });
        }
    }

    /// The next frame that has arrived by now.
    pub(super) fn receive(&mut self, now: u64) -> Option<String> {
        let frame = self.frames.pop_front_if(|frame| frame.arrives <= now)?;
        Some(frame.text)
    }

    pub(super) fn go_silent(&mut self) {
        self.silent = true;
        self.frames.clear();
    }
}

/// One connection, with what the orchestrator's process knows about it.
pub(super) struct Connection {
    pub(super) agent: usize,
    pub(super) orchestrator: usize,
    pub(super) link: Link,
    pub(super) acks: Arc<Acks>,
    pub(super) up: Way,
    pub(super) down: Way,
    /// Whether each end still believes in it.
    pub(super) agent_open: bool,
    pub(super) orchestrator_open: bool,
    /// When the end that does not know yet finds out.
    pub(super) noticed: Option<u64>,
    pub(super) registered: bool,
    /// Since when nothing has come from the agent.
    pub(super) heard: u64,
}

impl Connection {
    pub(super) fn new(agent: usize, orchestrator: usize, now: u64) -> Self {
        Self {
            agent,
            orchestrator,
            link: Link::new(AgentAuth::Token, String::from("simulated")),
            acks: Arc::default(),
            up: Way::default(),
            down: Way::default(),
            agent_open: true,
            orchestrator_open: true,
            noticed: None,
            registered: false,
            heard: now,
        }
    }

    /// The orchestrator says something.
    pub(super) fn tell(&mut self, message: &ToAgent, arrives: u64) {
        self.down.send(message.to_text(), arrives);
    }

    /// Whether both ends have forgotten it.
    pub(super) fn is_over(&self) -> bool {
        !self.agent_open && !self.orchestrator_open
    }
}
