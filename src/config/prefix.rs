use super::Problem;
use super::section::Section;
use crate::provider::{AgentId, E164};

/// Which trunk or provider carries the calls to some numbers, of all agents or of some. A table of the list `[[routes]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PrefixRoute {
    /// The first digits of the numbers, without `+`. Empty for all numbers.
    pub prefix: String,
    /// The agents whose calls it is for. Empty for all agents.
    pub agents: Vec<AgentId>,
    /// The trunk, or the provider, by its name.
    pub trunk: String,
}

impl PrefixRoute {
    /// A route for the calls of all agents.
    pub fn new(prefix: impl Into<String>, trunk: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), agents: Vec::new(), trunk: trunk.into() }
    }

    pub(super) fn read(mut section: Section<'_, '_>) -> Option<Self> {
        let prefix: Option<String> =
            section.require("prefix", "the first digits of the numbers: prefix = \"+49\"");
        let trunk: Option<String> = section.require("trunk", "the name of a trunk or a provider");
        let mut agents = Vec::new();
        section.set("agents", &mut agents);
        section.finish(&[
            ("provider", "a provider is named where a trunk is: trunk = \"…\""),
            ("agent", "the agents are a list: agents = [\"…\"]"),
        ]);
        Some(Self { prefix: prefix?.trim_start_matches('+').to_owned(), agents, trunk: trunk? })
    }

    pub(super) fn check(&self, path: &str, problems: &mut Vec<Problem>) {
        if self.prefix.len() > 15 || !self.prefix.bytes().all(|b| b.is_ascii_digit()) {
            problems.push(Problem::new(
                format!("{path}.prefix"),
                "must be the first digits of a number, such as \"+49\"",
            ));
        }
    }

    /// Whether it is for this number.
    pub(super) fn leads_to(&self, to: &E164) -> bool {
        to.digits().starts_with(&self.prefix)
    }
}
