//! Which agents an operator means: an id, a glob over ids and host names, or `label:k=v`.

use std::collections::BTreeMap;

use kici_model::glob::{Glob, is_glob};
use kici_store::roster::RosterRow;

/// What was written, read.
#[derive(Debug)]
pub(super) struct Selectors(Vec<(String, Selector)>);

#[derive(Debug)]
enum Selector {
    Id(String),
    Glob(Glob),
    Label(String, String),
}

impl Selectors {
    /// Says what is wrong with one that cannot be read.
    pub(super) fn read(texts: &[String]) -> Result<Selectors, String> {
        let read = |text: &String| Ok((text.clone(), selector(text)?));
        texts.iter().map(read).collect::<Result<_, String>>().map(Selectors)
    }

    /// The agents that any of them means. One that means none is a mistake.
    pub(super) fn pick(self, agents: Vec<RosterRow>) -> Result<Vec<RosterRow>, String> {
        let mut picked = vec![false; agents.len()];
        for (text, selector) in &self.0 {
            let mut found = false;
            for (agent, picked) in agents.iter().zip(&mut picked) {
                if selector.means(&agent.agent_id, agent.hostname.as_deref(), &agent.labels) {
                    (*picked, found) = (true, true);
                }
            }
            if !found {
                return Err(format!(
                    "selector {text:?} matches no agent; `kici-admin agent list` shows all"
                ));
            }
        }
        Ok(agents
            .into_iter()
            .zip(picked)
            .filter_map(|(agent, picked)| picked.then_some(agent))
            .collect())
    }
}

fn selector(text: &str) -> Result<Selector, String> {
    if let Some(label) = text.strip_prefix("label:") {
        return match label.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok(Selector::Label(key.into(), value.into())),
            _ => Err(format!("selector {text:?} is not of the form label:key=value")),
        };
    }
    if !is_glob(text) {
        return Ok(Selector::Id(text.to_owned()));
    }
    let glob = Glob::new(text).map_err(|error| format!("selector {text:?}: {error}"))?;
    Ok(Selector::Glob(glob))
}

impl Selector {
    fn means(&self, id: &str, hostname: Option<&str>, all: &[String]) -> bool {
        // A glob that takes too long to compare means nothing.
        let fits = |glob: &Glob, text: &str| glob.is_match(text).unwrap_or(false);
        match self {
            Selector::Id(wanted) => id == wanted || hostname == Some(wanted),
            Selector::Glob(glob) => fits(glob, id) || hostname.is_some_and(|host| fits(glob, host)),
            Selector::Label(key, value) => labels(all).get(key) == Some(value),
        }
    }
}

/// Labels as keys and values.
pub(super) fn labels(labels: &[String]) -> BTreeMap<String, String> {
    let pair = |label: &String| {
        let (key, value) = label
            .split_once('=')
            .or_else(|| label.rsplit_once(':'))
            .unwrap_or((label.as_str(), "true"));
        (key.to_owned(), value.to_owned())
    };
    labels.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_meant_by_id_host_glob_or_label() {
        let own = ["linux", "kici:arch:x64", "rack=r1"].map(str::to_owned);
        let means = |text: &str| selector(text).unwrap().means("web-1", Some("h1.example"), &own);
        for text in [
            "web-1",
            "h1.example",
            "web-*",
            "h1*",
            "label:rack=r1",
            "label:kici:arch=x64",
            "label:linux=true",
        ] {
            assert!(means(text), "{text}");
        }
        for text in ["web", "db-*", "label:rack=r2", "label:kici:arch=arm64", "label:mac=true"] {
            assert!(!means(text), "{text}");
        }
        for bad in ["label:", "label:rack", "label:=x"] {
            assert!(selector(bad).unwrap_err().contains("label:key=value"), "{bad}");
        }
    }
}
