//! Whether an agent may take the jobs of a selector, and why not.

use kici_model::labels::{AgentLabels, Gap, Selector};
use kici_model::lock::RunsOnPick;
use kici_model::regex::RegexError;

use crate::runs::SelectorBody;

/// A selector that is ready to be asked.
#[derive(Debug)]
pub(crate) struct Known {
    selector: Selector,
    pub(super) pick: RunsOnPick,
    pin: Option<Pin>,
}

/// The only agent that may take a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pin {
    pub(super) agent: String,
    /// The name of its host.
    pub(super) host: String,
    /// The job names the agent as its only label; a child of a host fan-out was chosen when its run was made.
    by_label: bool,
}

impl Known {
    pub(super) fn new(body: SelectorBody) -> Result<Known, RegexError> {
        let selector = body.compile()?;
        let pin = body.agent.map(|agent| Pin {
            host: body.host.unwrap_or_else(|| agent.clone()),
            agent,
            by_label: false,
        });
        Ok(Known { selector, pick: body.pick, pin })
    }

    /// The label that may be an agent's id.
    pub(crate) fn may_name(&self) -> Option<&str> {
        match &self.pin {
            Some(Pin { by_label: false, .. }) => None,
            _ => self.selector.single_exact(),
        }
    }

    /// Says whether an agent with that id is known, and the name of its host.
    pub(crate) fn names(&mut self, host: Option<&str>) {
        let Some(agent) = self.may_name() else { return };
        let same = |pin: &Pin| Some(pin.host.as_str()) == host;
        if self.pin.is_none() && host.is_none() || self.pin.as_ref().is_some_and(same) {
            return;
        }
        let agent = agent.to_owned();
        self.pin = host.map(|host| Pin { agent, host: host.to_owned(), by_label: true });
    }

    pub(super) fn pin(&self) -> Option<&Pin> {
        self.pin.as_ref()
    }

    /// The labels that it wants, for people.
    pub(crate) fn shown(&self) -> Vec<String> {
        self.selector.shown()
    }

    /// The labels that it excludes, for people.
    pub(super) fn shown_excluded(&self) -> Vec<String> {
        self.selector.shown_excluded()
    }

    /// Whether the agent may take a job.
    pub(super) fn fits(&self, agent: &str, labels: &AgentLabels) -> bool {
        self.ask(agent, labels, true, Selector::matches).unwrap_or(false)
    }

    /// How many things keep the agent from taking a job; `None` where another one is meant.
    pub(super) fn distance(&self, agent: &str, labels: &AgentLabels) -> Option<usize> {
        self.ask(agent, labels, 0, Selector::distance)
    }

    /// What keeps the agent from taking a job; `None` where another one is meant.
    pub(super) fn gap(&self, agent: &str, labels: &AgentLabels) -> Option<Gap> {
        self.ask(agent, labels, Gap::default(), Selector::gap)
    }

    /// `chosen`: the answer for an agent that was chosen when the run was made.
    fn ask<T>(
        &self,
        agent: &str,
        labels: &AgentLabels,
        chosen: T,
        ask: impl FnOnce(&Selector, &AgentLabels) -> T,
    ) -> Option<T> {
        match &self.pin {
            None => Some(ask(&self.selector, labels)),
            Some(pin) if pin.agent != agent => None,
            Some(Pin { by_label: false, .. }) => Some(chosen),
            // Its id counts as one of its labels. A taint keeps it to itself all the same.
            Some(Pin { by_label: true, .. }) => {
                let mut labels = labels.clone();
                labels.labels.insert(agent.to_owned());
                Some(ask(&self.selector, &labels))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kici_model::lock::LabelMatcher;

    use super::*;

    fn labels(labels: &[&str], mandatory: &[&str]) -> AgentLabels {
        let set = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        AgentLabels { labels: set(labels), mandatory: set(mandatory) }
    }

    fn wants(label: &str) -> Known {
        let runs_on = vec![LabelMatcher::exact(label)];
        Known::new(SelectorBody { runs_on, ..SelectorBody::default() }).unwrap()
    }

    #[test]
    fn a_label_that_is_an_agents_id_means_that_agent() {
        let mut known = wants("box-1");
        assert!(known.fits("other", &labels(&["box-1"], &[])));
        known.names(Some("host-1"));
        assert!(known.fits("box-1", &labels(&["linux"], &[])));
        assert!(!known.fits("other", &labels(&["box-1"], &[])));
        assert!(!known.fits("box-1", &labels(&["gpu"], &["gpu"])), "a taint has to be named");
        known.names(None);
        assert!(known.fits("other", &labels(&["box-1"], &[])));
    }

    #[test]
    fn a_child_of_a_host_fan_out_runs_on_its_host_only() {
        let mut known = Known::new(SelectorBody::pinned("a", "web-1")).unwrap();
        known.names(Some("x"));
        assert!(known.fits("a", &labels(&[], &[])));
        assert!(!known.fits("b", &labels(&[], &[])));
        assert_eq!(known.pin().unwrap().host, "web-1");
    }
}
