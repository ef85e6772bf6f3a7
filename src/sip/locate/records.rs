//! What NAPTR and SRV records say, away from how they are asked for.

use crate::config::Transport;

/// An SRV record (RFC 2782).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Srv {
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) port: u16,
    pub(super) target: String,
}

/// A NAPTR record (RFC 3403), without its regular expression, which SIP has no use for (RFC 3263 §4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Naptr {
    pub(super) order: u16,
    pub(super) preference: u16,
    pub(super) flags: String,
    pub(super) service: String,
    pub(super) replacement: String,
}

/// The SRV name of a service where no NAPTR record says otherwise (RFC 3263 §4.1).
pub(super) fn usual_name(transport: Transport, host: &str) -> String {
    let service = match transport {
        Transport::Udp => "_sip._udp",
        Transport::Tcp => "_sip._tcp",
        Transport::Tls => "_sips._tcp",
    };
    format!("{service}.{host}")
}

/// The SRV name that the NAPTR records give for a transport: the first that fits by order, then by preference.
pub(super) fn named(mut records: Vec<Naptr>, transport: Transport) -> Option<String> {
    let service = match transport {
        Transport::Udp => "SIP+D2U",
        Transport::Tcp => "SIP+D2T",
        Transport::Tls => "SIPS+D2T",
    };
    records.sort_by_key(|record| (record.order, record.preference));
    let fits = |record: &Naptr| {
        record.flags.eq_ignore_ascii_case("s")
            && record.service.eq_ignore_ascii_case(service)
            && !matches!(record.replacement.as_str(), "" | ".")
    };
    records.into_iter().find(fits).map(|record| record.replacement)
}

/// Whether the records say that the service is decidedly not offered (RFC 2782, "Target").
pub(super) fn is_refused(records: &[Srv]) -> bool {
    matches!(records, [only] if only.target == ".")
}

/// Puts SRV records in the order in which their servers are tried: by priority, and among equals by lot as their
/// weights demand (RFC 2782). `draw` gives a number from 0 to its argument, that included, each as likely.
pub(super) fn in_order(mut records: Vec<Srv>, mut draw: impl FnMut(u32) -> u32) -> Vec<Srv> {
    // Those without weight come first among equals: only a draw of 0 takes them while there are others.
    records.sort_by_key(|record| (record.priority, record.weight > 0));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(first) = records.first() {
        let equals = records.iter().take_while(|record| record.priority == first.priority).count();
        let weight = |record: &Srv| u32::from(record.weight);
        let drawn = draw(records.iter().take(equals).map(weight).sum());
        let mut sum = 0;
        let chosen = records.iter().take(equals).position(|record| {
            sum += weight(record);
            sum >= drawn
        });
        ordered.push(records.remove(chosen.unwrap_or_default()));
    }
    ordered
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn srv(priority: u16, weight: u16, target: &str) -> Srv {
        Srv { priority, weight, port: 5060, target: target.to_owned() }
    }

    fn naptr(order: u16, preference: u16, flags: &str, service: &str, replacement: &str) -> Naptr {
        let [flags, service, replacement] = [flags, service, replacement].map(str::to_owned);
        Naptr { order, preference, flags, service, replacement }
    }

    fn targets(records: Vec<Srv>) -> String {
        let targets: Vec<String> = records.into_iter().map(|record| record.target).collect();
        targets.join(" ")
    }

    #[test]
    fn the_usual_names() {
        assert_eq!(usual_name(Transport::Udp, "example.com"), "_sip._udp.example.com");
        assert_eq!(usual_name(Transport::Tcp, "example.com"), "_sip._tcp.example.com");
        assert_eq!(usual_name(Transport::Tls, "example.com"), "_sips._tcp.example.com");
    }

    #[test]
    fn the_lower_order_and_then_the_lower_preference_names_the_service_of_our_transport() {
        let records = vec![
            naptr(20, 1, "s", "SIP+D2U", "late."),
            naptr(10, 50, "S", "sip+d2u", "right."),
            naptr(10, 60, "s", "SIP+D2U", "second."),
            naptr(1, 1, "s", "SIPS+D2T", "tls."),
            naptr(1, 1, "s", "SIP+D2T", "tcp."),
            naptr(1, 1, "u", "SIP+D2U", "no-service."),
            naptr(1, 1, "s", "SIP+D2U", "."),
            naptr(1, 1, "s", "E2U+sip", "enum."),
        ];
        let named = |transport| named(records.clone(), transport);
        assert_eq!(named(Transport::Udp).as_deref(), Some("right."));
        assert_eq!(named(Transport::Tcp).as_deref(), Some("tcp."));
        assert_eq!(named(Transport::Tls).as_deref(), Some("tls."));
        assert_eq!(super::named(Vec::new(), Transport::Udp), None);
    }

    #[test]
    fn priorities_go_before_weights() {
        let records = vec![srv(20, 100, "c"), srv(10, 0, "a"), srv(15, 1, "b")];
        assert_eq!(targets(in_order(records, |most| most)), "a b c");
    }

    #[test]
    fn weights_are_shares() {
        let records = || vec![srv(1, 60, "a"), srv(1, 0, "z"), srv(1, 40, "b")];
        // 0 takes the one without weight, 1 to 60 the first, 61 to 100 the second.
        for (drawn, first) in [(0, "z"), (1, "a"), (60, "a"), (61, "b"), (100, "b")] {
            let mut draws = vec![0, 0, drawn];
            let order = targets(in_order(records(), |_| draws.pop().unwrap_or_default()));
            assert!(order.starts_with(first), "{drawn}: {order}");
        }
        let mut firsts: HashMap<String, u32> = HashMap::new();
        for drawn in 0..=100 {
            let mut draws = vec![0, 0, drawn];
            let order = in_order(records(), |_| draws.pop().unwrap_or_default());
            *firsts.entry(order[0].target.clone()).or_default() += 1;
        }
        assert_eq!(firsts, HashMap::from([("a".into(), 60), ("b".into(), 40), ("z".into(), 1)]));
    }

    #[test]
    fn a_lone_dot_refuses_the_service() {
        assert!(is_refused(&[srv(0, 0, ".")]));
        assert!(!is_refused(&[srv(0, 0, "a.")]));
        assert!(!is_refused(&[]));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_priorities_rise(
            records in prop::collection::vec((0u16..4, any::<u16>()), 0..20),
            draws in prop::collection::vec(any::<u32>(), 20),
        ) {
            let records: Vec<Srv> = records
                .into_iter()
                .enumerate()
                .map(|(index, (priority, weight))| srv(priority, weight, &index.to_string()))
                .collect();
            let mut draws = draws.into_iter();
            let draw = |most: u32| u32::try_from(u64::from(draws.next().unwrap_or(0)) % (u64::from(most) + 1)).unwrap_or(0);
            let ordered = in_order(records.clone(), draw);
            prop_assert!(ordered.is_sorted_by_key(|record| record.priority));
            let names = |records: &[Srv]| {
                let mut names: Vec<String> = records.iter().map(|record| record.target.clone()).collect();
                names.sort();
                names
            };
            prop_assert_eq!(names(&ordered), names(&records));
        }
    }
}
