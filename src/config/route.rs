use std::time::Duration;

use super::{AgentConfig, Config, PrefixRoute, ProviderConfig, ProviderKind, TrunkConfig, TwilioConfig};
use crate::audio::SampleRate;
use crate::provider::{AgentId, CallerId, DialError, DialRequest, Record};
use crate::usage::Tariff;

/// What the configuration makes of a request that a SIP trunk carries: the trunk, and every setting with its final value.
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
    /// Whether the callee is shown no caller.
    pub hide_caller: bool,
    /// How long it may ring.
    pub ring_timeout: Duration,
    /// How long the call may last.
    pub talk_limit: Duration,
    /// The sample rate of the sound on the application's side.
    pub audio_rate: SampleRate,
}

/// What the configuration makes of any request: what carries it, and every setting with its final value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan<'c> {
    /// The name of what carries it.
    pub name: &'c str,
    /// What carries it.
    pub carrier: Carrier<'c>,
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
    /// What is kept of what is said.
    pub record: Record,
}

/// What carries a call: a trunk of the SIP provider, or a provider that has no trunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Carrier<'c> {
    /// A SIP trunk.
    Trunk(&'c TrunkConfig),
    /// The account of a web service.
    Provider(&'c ProviderConfig),
}

impl<'c> Carrier<'c> {
    /// What calls over it cost, if that is known.
    pub fn tariff(self) -> Option<&'c Tariff> {
        match self {
            Self::Trunk(trunk) => trunk.tariff.as_ref(),
            Self::Provider(provider) => provider.tariff.as_ref(),
        }
    }

    /// The most calls at the same time, if there is a limit.
    pub fn max_calls(self) -> Option<u32> {
        match self {
            Self::Trunk(trunk) => trunk.max_calls,
            Self::Provider(provider) => provider.max_calls,
        }
    }

    /// The most calls that begin within one second, if there is a limit.
    pub fn calls_per_second(self) -> Option<u32> {
        match self {
            Self::Trunk(trunk) => trunk.calls_per_second,
            Self::Provider(provider) => provider.calls_per_second,
        }
    }

    fn record(self) -> Option<Record> {
        match self {
            Self::Trunk(trunk) => trunk.record,
            Self::Provider(provider) => provider.record,
        }
    }

    fn caller_id(self) -> Option<&'c CallerId> {
        match self {
            Self::Trunk(trunk) => trunk.caller_id.as_ref(),
            Self::Provider(provider) => provider.caller_id.as_ref(),
        }
    }

    /// The longest that it can ring, where there is a limit that nobody chose.
    fn longest_ring(self) -> Option<Duration> {
        match self {
            Self::Trunk(_) => None,
            Self::Provider(provider) => match &provider.kind {
                ProviderKind::Twilio(_) => Some(TwilioConfig::LONGEST_RING),
            },
        }
    }

    fn limits(self) -> (Duration, Duration) {
        match self {
            Self::Trunk(trunk) => (trunk.ring_timeout, trunk.talk_limit),
            Self::Provider(provider) => (provider.ring_timeout, provider.talk_limit),
        }
    }
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

    /// Chooses what carries a request and settles everything that it leaves open.
    ///
    /// The trunk or provider is the request's, else that of the agent's own route with the longest prefix of the number,
    /// else the agent's, else that of the longest prefix of the routes for everybody, else `default_trunk`, else the
    /// only one there is. Caller id, name and ring time are the request's, else the agent's, else the trunk's; of the
    /// agent's settings, what a provider cannot do is left out. The talk limit is the smallest of the three: it is there
    /// to bound the cost, so nobody further down can raise it.
    ///
    /// # Errors
    ///
    /// [`DialError::UnknownAgent`], [`DialError::UnknownTrunk`], [`DialError::Configuration`] if nothing says which
    /// trunk to take, or [`DialError::Unsupported`] if the request names a caller that the trunk would not show.
    pub fn plan(&self, request: &DialRequest) -> Result<Plan<'_>, DialError> {
        let agent = self.agent(&request.agent)?;
        let listed = self.agents.contains_key(&request.agent);
        let settings_of = self.default_agent.as_ref().filter(|_| !listed).unwrap_or(&request.agent);
        let named = |agents: &[AgentId]| agents.contains(&request.agent) || agents.contains(settings_of);
        let chosen = request.trunk.as_deref();
        let chosen = chosen.or_else(|| self.longest(request, |route| named(&route.agents)));
        let chosen = chosen.or(agent.and_then(|agent| agent.trunk.as_deref()));
        let chosen = chosen.or_else(|| self.longest(request, |route| route.agents.is_empty()));
        let chosen = chosen.or(self.default_trunk.as_deref()).or_else(|| self.only_carrier());
        let name = chosen.ok_or_else(|| DialError::Configuration {
            detail: "no trunk is chosen: name one in the request or for the agent, or set default_trunk"
                .into(),
            source: None,
        })?;
        let (name, carrier) = self.carrier(name).ok_or_else(|| DialError::UnknownTrunk(name.to_owned()))?;

        let caller = request.caller_id.as_ref().or(agent.and_then(|agent| agent.caller_id.as_ref()));
        let shown = match carrier {
            Carrier::Trunk(trunk) => {
                let configured = agent.and_then(|agent| agent.caller_name.as_ref());
                request.caller_name.as_ref().or(configured).or(trunk.caller_name.as_ref())
            }
            Carrier::Provider(_) => request.caller_name.as_ref(),
        };
        let ring = agent.and_then(|agent| agent.ring_timeout);
        let ring = ring.map(|ring| carrier.longest_ring().map_or(ring, |longest| ring.min(longest)));
        let talk = [request.talk_limit, agent.and_then(|agent| agent.talk_limit)];
        let (usual_ring, longest_talk) = carrier.limits();
        let caller_id = caller.or(carrier.caller_id());
        if let (Carrier::Trunk(trunk), Some(own)) = (carrier, &request.caller_id) {
            // What the configuration says was judged when it was read.
            let configured = [agent.and_then(|agent| agent.caller_id.as_ref()), trunk.caller_id.as_ref()];
            if !configured.contains(&Some(own)) && trunk.caller_goes_nowhere(Some(own)) {
                return Err(DialError::Unsupported(
                    "show this caller: the trunk's From has the account, and no other header field of it the caller",
                ));
            }
        }
        Ok(Plan {
            name,
            carrier,
            agent,
            caller_id: caller_id.cloned(),
            caller_name: shown.cloned(),
            ring_timeout: request.ring_timeout.or(ring).unwrap_or(usual_ring),
            audio_rate: request.audio_rate.or(agent.and_then(|agent| agent.audio_rate)).unwrap_or_default(),
            talk_limit: talk.into_iter().flatten().fold(longest_talk, Duration::min),
            record: request
                .record
                .or(agent.and_then(|agent| agent.record))
                .or(carrier.record())
                .unwrap_or(self.recording.record),
        })
    }

    /// The [`plan`](Self::plan) for a request that a SIP trunk carries.
    ///
    /// # Errors
    ///
    /// As for `plan`; [`DialError::UnknownTrunk`] if something else carries it.
    pub fn route(&self, request: &DialRequest) -> Result<Route<'_>, DialError> {
        let Plan {
            name, carrier, agent, caller_id, caller_name, ring_timeout, talk_limit, audio_rate, ..
        } = self.plan(request)?;
        let Carrier::Trunk(trunk) = carrier else {
            return Err(DialError::UnknownTrunk(name.to_owned()));
        };
        Ok(Route {
            trunk_name: name,
            trunk,
            agent,
            caller_id,
            caller_name,
            hide_caller: request.hide_caller || trunk.hide_caller,
            ring_timeout,
            talk_limit,
            audio_rate,
        })
    }

    /// The trunk or provider of a name.
    pub fn carrier(&self, name: &str) -> Option<(&str, Carrier<'_>)> {
        let trunk =
            self.trunks.get_key_value(name).map(|(name, trunk)| (name.as_str(), Carrier::Trunk(trunk)));
        let provider =
            || self.providers.get_key_value(name).map(|(name, it)| (name.as_str(), Carrier::Provider(it)));
        trunk.or_else(provider)
    }

    fn only_carrier(&self) -> Option<&str> {
        let mut names = self.trunks.keys().chain(self.providers.keys());
        let first = names.next()?;
        names.next().is_none().then_some(first.as_str())
    }

    /// Where the route with the longest prefix of the number leads, among some.
    fn longest(&self, request: &DialRequest, among: impl Fn(&PrefixRoute) -> bool) -> Option<&str> {
        let fitting = self.routes.iter().filter(|route| among(route) && route.leads_to(&request.to));
        fitting.max_by_key(|route| route.prefix.len()).map(|route| route.trunk.as_str())
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
    fn a_caller_that_would_be_shown_nowhere_is_refused() {
        let fixed = TWO.replace("[trunks.pbx]", "[trunks.pbx]\nfrom_user = \"4711\"");
        let config = Config::parse(&fixed).unwrap();
        let with = |caller: &str| {
            let request = request("support").caller_id(CallerId::parse(caller).unwrap());
            config.route(&request).map(|route| route.caller_id.unwrap().to_string())
        };
        // The one that From has anyway, as which the agent is configured.
        assert_eq!(with("4711").unwrap(), "4711");
        assert_eq!(with("4712").unwrap_err().kind(), "unsupported");
        let told = fixed.replace("from_user", "identity = \"pai\"\nfrom_user");
        let config = Config::parse(&told).unwrap();
        let request = request("support").caller_id(CallerId::parse("4712").unwrap());
        assert_eq!(config.route(&request).unwrap().caller_id.unwrap().to_string(), "4712");
    }

    #[test]
    fn what_a_provider_cannot_do_is_left_out_of_an_agent_s_settings_and_not_of_a_request() {
        let text = r#"
            [agents.a]
            caller_name = "Praxis"
            ring_timeout = "20m"
            [providers.cloud]
            kind = "twilio"
            account_sid = "AC0123456789abcdef0123456789abcdef"
            public_url = "https://voice.example.com/twilio"
            auth_token = { source = "env", id = "T" }
        "#;
        let config = Config::parse(text).unwrap();
        let plan = config.plan(&request("a")).unwrap();
        assert_eq!((plan.caller_name, plan.ring_timeout), (None, TwilioConfig::LONGEST_RING));
        let wish = request("a").caller_name("Doctor").ring_timeout(Duration::from_secs(700));
        let plan = config.plan(&wish).unwrap();
        assert_eq!((plan.caller_name.as_deref(), plan.ring_timeout.as_secs()), (Some("Doctor"), 700));
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

    #[test]
    fn a_prefix_chooses_the_trunk_or_the_provider() {
        let text = format!(
            r#"
            {TWO}
            [providers.cloud]
            kind = "twilio"
            account_sid = "AC0123456789abcdef0123456789abcdef"
            public_url = "https://voice.example.com/twilio"
            auth_token = {{ source = "env", id = "T" }}
            caller_id = "+12025550112"
            talk_limit = "5m"
            [[routes]]
            prefix = "+1202"
            trunk = "cloud"
            [[routes]]
            prefix = "+1"
            trunk = "pbx"
            [[routes]]
            prefix = ""
            agents = ["support"]
            trunk = "carrier"
            "#
        );
        let config = Config::parse(&text).unwrap();
        let to =
            |agent: &str, to: &str| DialRequest::new(AgentId::new(agent).unwrap(), E164::parse(to).unwrap());
        let name = |request: &DialRequest| config.plan(request).unwrap().name.to_owned();
        // Of the routes for everybody the longest prefix counts, and they stand before the default.
        assert_eq!(name(&to("sales", "+12025550100")), "cloud");
        assert_eq!(name(&to("sales", "+13105550100")), "pbx");
        assert_eq!(name(&to("sales", "+4930123456")), "carrier");
        // A route of the agent's own stands before its trunk, and that before the routes for everybody.
        assert_eq!(name(&to("support", "+12025550100")), "carrier");
        assert_eq!(name(&to("support", "+12025550100").trunk("cloud")), "cloud");

        let plan = config.plan(&to("sales", "+12025550100")).unwrap();
        assert!(matches!(plan.carrier, Carrier::Provider(_)));
        assert_eq!(
            (plan.caller_id.unwrap().to_string(), plan.talk_limit.as_secs()),
            ("+12025550112".into(), 300)
        );
        assert_eq!(config.route(&to("sales", "+12025550100")).unwrap_err().kind(), "unknown_trunk");
        assert_eq!(config.route(&to("sales", "+13105550100")).unwrap().trunk_name, "pbx");
    }
}
