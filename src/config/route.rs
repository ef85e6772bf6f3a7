use std::time::Duration;

use super::{AgentConfig, Config, TrunkConfig};
use crate::audio::SampleRate;
use crate::provider::{AgentId, CallerId, DialError, DialRequest};

/// What the configuration makes of a request: the trunk, and every setting with its final value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Route<'c> {
    /// The trunk's name.
    pub trunk_name: &'c str,
    /// The trunk.
    pub trunk: &'c TrunkConfig,
    /// The settings of the agent, if it has any.
    pub agent: Option<&'c AgentConfig>,
    /// The caller that the callee is shown.
    pub caller_id: Option<CallerId>,
    /// The name shown beside it.
    pub caller_name: Option<String>,
    /// How long it may ring.
    pub ring_timeout: Duration,
    /// How long the call may last.
    pub talk_limit: Duration,
    /// The sample rate of the sound on the application's side.
    pub audio_rate: SampleRate,
}

impl Config {
    /// The settings of an agent: its own, else those of `default_agent`.
    ///
    /// # Errors
    ///
    /// [`DialError::UnknownAgent`] if the configuration lists agents, this one is not among them, and there is no
    /// `default_agent`. A configuration that lists none permits every agent.
    pub fn agent(&self, agent: &AgentId) -> Result<Option<&AgentConfig>, DialError> {
        let default = || self.default_agent.as_ref().and_then(|name| self.agents.get(name));
        match self.agents.get(agent).or_else(default) {
            None if !self.agents.is_empty() => Err(DialError::UnknownAgent(agent.clone())),
            found => Ok(found),
        }
    }

    /// Chooses the trunk for a request and settles everything that it leaves open.
    ///
    /// The trunk is the request's, else the agent's, else `default_trunk`, else the only one there is. Caller id,
    /// name and ring time are the request's, else the agent's, else the trunk's. The talk limit is the smallest of
    /// the three: it is there to bound the cost, so nobody further down can raise it.
    ///
    /// # Errors
    ///
    /// [`DialError::UnknownAgent`], [`DialError::UnknownTrunk`], or [`DialError::Configuration`] if nothing says
    /// which trunk to take.
    pub fn route(&self, request: &DialRequest) -> Result<Route<'_>, DialError> {
        let agent = self.agent(&request.agent)?;
        let named = request.trunk.as_ref();
        let named = named.or(agent.and_then(|agent| agent.trunk.as_ref())).or(self.default_trunk.as_ref());
        let only = || (self.trunks.len() == 1).then(|| self.trunks.keys().next()).flatten();
        let name = named.or_else(only).ok_or_else(|| DialError::Configuration {
            detail: "no trunk is chosen: name one in the request or for the agent, or set default_trunk"
                .into(),
            source: None,
        })?;
        let Some((trunk_name, trunk)) = self.trunks.get_key_value(name) else {
            return Err(DialError::UnknownTrunk(name.clone()));
        };

        let caller = request.caller_id.as_ref().or(agent.and_then(|agent| agent.caller_id.as_ref()));
        let shown = request.caller_name.as_ref().or(agent.and_then(|agent| agent.caller_name.as_ref()));
        let ring = request.ring_timeout.or(agent.and_then(|agent| agent.ring_timeout));
        let talk = [request.talk_limit, agent.and_then(|agent| agent.talk_limit), Some(trunk.talk_limit)];
        Ok(Route {
            trunk_name,
            trunk,
            agent,
            caller_id: caller.or(trunk.caller_id.as_ref()).cloned(),
            caller_name: shown.or(trunk.caller_name.as_ref()).cloned(),
            ring_timeout: ring.unwrap_or(trunk.ring_timeout),
            audio_rate: request.audio_rate.or(agent.and_then(|agent| agent.audio_rate)).unwrap_or_default(),
            talk_limit: talk.into_iter().flatten().min().unwrap_or(trunk.talk_limit),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::E164;

    const TWO: &str = r#"
        default_trunk = "carrier"
        [trunks.carrier]
        server = "sip.example.com"
        caller_id = "+12025550110"
        [trunks.pbx]
        server = "pbx.example.com"
        talk_limit = "10m"
        [agents.support]
        trunk = "pbx"
        caller_id = "4711"
        ring_timeout = "20s"
        talk_limit = "1h"
        audio_rate = 24000
        [agents.sales]
    "#;

    fn request(agent: &str) -> DialRequest {
        DialRequest::new(AgentId::new(agent).unwrap(), E164::parse("+12025550100").unwrap())
    }

    #[test]
    fn the_trunk_is_the_request_s_then_the_agent_s_then_the_default() {
        let config = Config::parse(TWO).unwrap();
        let trunk = |request: &DialRequest| config.route(request).map(|route| route.trunk_name.to_owned());
        assert_eq!(trunk(&request("support")).unwrap(), "pbx");
        assert_eq!(trunk(&request("sales")).unwrap(), "carrier");
        assert_eq!(trunk(&request("support").trunk("carrier")).unwrap(), "carrier");
        assert_eq!(trunk(&request("support").trunk("x")).unwrap_err().kind(), "unknown_trunk");
    }

    #[test]
    fn nobody_raises_the_talk_limit() {
        let config = Config::parse(TWO).unwrap();
        let talk = |request: &DialRequest| config.route(request).unwrap().talk_limit.as_secs();
        assert_eq!(talk(&request("support")), 600);
        assert_eq!(talk(&request("support").talk_limit(Duration::from_secs(30))), 30);
        assert_eq!(talk(&request("support").trunk("carrier").talk_limit(Duration::from_secs(80_000))), 3_600);
        assert_eq!(talk(&request("sales").talk_limit(Duration::from_secs(80_000))), 7_200);
    }

    #[test]
    fn the_nearest_caller_and_ring_time_win() {
        let config = Config::parse(TWO).unwrap();
        let support =
            config.route(&request("support")).map(|r| (r.caller_id.unwrap().to_string(), r.ring_timeout));
        assert_eq!(support.unwrap(), ("4711".to_owned(), Duration::from_secs(20)));
        let sales =
            config.route(&request("sales")).map(|r| (r.caller_id.unwrap().to_string(), r.ring_timeout));
        assert_eq!(sales.unwrap(), ("+12025550110".to_owned(), Duration::from_secs(60)));
        let own = request("sales").caller_id(E164::parse("+12025550111").unwrap());
        assert_eq!(config.route(&own).unwrap().caller_id.unwrap().to_string(), "+12025550111");
    }

    #[test]
    fn the_audio_rate_is_the_request_s_then_the_agent_s_then_16_khz() {
        let config = Config::parse(TWO).unwrap();
        let rate = |request: &DialRequest| config.route(request).unwrap().audio_rate.hz();
        assert_eq!(rate(&request("support")), 24_000);
        assert_eq!(rate(&request("support").audio_rate(SampleRate::Hz8000)), 8_000);
        assert_eq!(rate(&request("sales")), 16_000);
    }

    #[test]
    fn a_list_of_agents_is_closed_unless_there_is_a_default() {
        let listed = Config::parse(TWO).unwrap();
        assert_eq!(listed.route(&request("stranger")).unwrap_err().kind(), "unknown_agent");
        let open = Config::parse(&format!("default_agent = \"support\"\n{TWO}")).unwrap();
        assert_eq!(open.route(&request("stranger")).unwrap().trunk_name, "pbx");
        let none = Config::parse("[trunks.a]\nserver = \"h\"").unwrap();
        assert_eq!(none.route(&request("anybody")).unwrap().trunk_name, "a");
        let two = Config::parse("[trunks.a]\nserver = \"h\"\n[trunks.b]\nserver = \"h\"").unwrap();
        assert_eq!(two.route(&request("anybody")).unwrap_err().kind(), "configuration");
    }
}
