use proptest::prelude::*;

use super::*;
use EndReason::*;

/// A final response before any answer.
fn response(code: u16, phrase: &str, rang: bool) -> EndFacts {
    EndFacts {
        final_status: Some(SipStatus::new(code, phrase)),
        provisional_18x: rang,
        ..EndFacts::default()
    }
}

fn with_cause(code: u16, cause: u8, rang: bool) -> EndFacts {
    EndFacts { q850: Some(Q850::new(cause)), ..response(code, "", rang) }
}

fn own(local: LocalCause, rang: bool, answered: bool) -> EndFacts {
    EndFacts { local: Some(local), provisional_18x: rang, answered, ..EndFacts::default() }
}

#[test]
fn our_own_acts_come_first() {
    let cases = [
        // what we did, rang, answered: reason
        (LocalCause::Hangup, true, true, Completed),
        (LocalCause::Hangup, false, false, Cancelled),
        (LocalCause::Hangup, true, false, Cancelled),
        (LocalCause::Shutdown, true, true, Completed),
        (LocalCause::Shutdown, true, false, Cancelled),
        (LocalCause::TalkLimit, true, true, Completed),
        (LocalCause::Policy, true, true, Policy),
        (LocalCause::Policy, false, false, Policy),
        (LocalCause::RingTimeout, true, false, NoAnswer),
        (LocalCause::RingTimeout, false, false, Timeout),
        (LocalCause::SrtpRefused, false, false, MediaFailed),
        (LocalCause::NoCommonCodec, true, true, MediaFailed),
        (LocalCause::MediaSetup, false, false, MediaFailed),
        (LocalCause::AuthFailed, false, false, AuthFailed),
        (LocalCause::DnsFailed, false, false, Unreachable),
        (LocalCause::TransportFailed, false, false, Unreachable),
        (LocalCause::TransportFailed, true, true, Failed),
        (LocalCause::NoResponse, false, false, Timeout),
        (LocalCause::NoResponse, true, true, Timeout),
        (LocalCause::Internal, false, false, Failed),
    ];
    for (local, rang, answered, expected) in cases {
        let facts = own(local, rang, answered);
        assert_eq!(facts.reason(), expected, "{local:?} rang={rang} answered={answered}");
        // Whatever the peer answers to our CANCEL, or sends while it is under way.
        for (code, cause) in [(487, 16), (486, 17), (503, 34), (603, 21), (404, 1)] {
            let crossing = EndFacts {
                final_status: Some(SipStatus::new(code, "")),
                q850: Some(Q850::new(cause)),
                bye_from_remote: true,
                ..facts.clone()
            };
            assert_eq!(crossing.reason(), expected, "{local:?} crossed by {code}");
        }
    }
}

#[test]
fn an_answered_call_that_the_callee_ends_is_completed_whatever_the_cause() {
    for cause in 1..=127 {
        let facts = EndFacts {
            answered: true,
            bye_from_remote: true,
            provisional_18x: true,
            q850: Some(Q850::new(cause)),
            ..EndFacts::default()
        };
        assert_eq!((facts.reason(), facts.ended_by()), (Completed, EndedBy::Remote));
    }
}

#[test]
fn an_answered_call_that_breaks_is_not_completed() {
    for (code, expected) in [(408, Timeout), (481, Failed), (500, Failed), (200, Completed)] {
        assert_eq!(EndFacts { answered: true, ..response(code, "", true) }.reason(), expected, "{code}");
    }
    assert_eq!(EndFacts { answered: true, ..EndFacts::default() }.reason(), Failed);
}

/// The expected reason of every code, before and after a 18x, written down as the table has it.
fn table(code: u16, rang: bool) -> EndReason {
    let row = |codes: &[u16]| codes.contains(&code);
    match () {
        () if row(&[486, 600]) => Busy,
        () if rang && row(&[408, 480]) => NoAnswer,
        () if row(&[607]) || (rang && code == 603) => Declined,
        () if row(&[402, 403, 433, 608, 603]) => Rejected,
        () if row(&[480, 500, 502, 503]) => Unreachable,
        () if row(&[404, 410, 484, 485, 604]) => NotFound,
        () if row(&[401, 407]) => AuthFailed,
        () if row(&[406, 415, 488, 606]) => MediaFailed,
        () if row(&[408, 504]) => Timeout,
        () => Failed,
    }
}

#[test]
fn every_code_has_the_reason_of_the_table() {
    for code in 300..=699 {
        for rang in [false, true] {
            let facts = response(code, "", rang);
            assert_eq!(facts.reason(), table(code, rang), "{code} rang={rang}");
            assert_eq!(facts.ended_by(), EndedBy::Remote);
        }
    }
}

#[test]
fn the_phrase_of_a_603_tells_a_person_from_the_network() {
    let cases = [
        ("Decline", true, Declined),
        ("DECLINED", true, Declined),
        ("", true, Declined),
        ("Decline", false, Rejected),
        ("Network Blocked", true, Rejected),
        ("603+ network blocked", true, Rejected),
        ("Account inactive", true, Rejected),
        ("Déclin", true, Rejected),
    ];
    for (phrase, rang, expected) in cases {
        assert_eq!(response(603, phrase, rang).reason(), expected, "{phrase:?} rang={rang}");
    }
}

/// Each row of causes, under a code that says nothing and under one that says enough.
#[test]
fn causes_count_where_the_code_is_generic_and_only_there() {
    let rows: [(&[u8], EndReason); 9] = [
        (&[17], Busy),
        (&[18, 19], NoAnswer),
        (&[21, 55, 57, 87], Rejected),
        (&[2, 3, 20, 27, 34, 38, 41, 42, 47], Unreachable),
        (&[1, 22, 28], NotFound),
        (&[58, 65, 70, 79, 88], MediaFailed),
        (&[102], Timeout),
        (&[95, 96, 97, 98, 99, 100, 101, 111, 127], Failed),
        (&[], Failed),
    ];
    for (causes, expected) in rows {
        for &cause in causes {
            for code in [403, 480, 487, 500, 503, 603] {
                assert_eq!(with_cause(code, cause, false).reason(), expected, "{code} cause {cause}");
            }
            for code in [404, 408, 484, 486, 488, 502, 600] {
                assert_eq!(
                    with_cause(code, cause, false).reason(),
                    table(code, false),
                    "{code} cause {cause}"
                );
            }
        }
    }
}

#[test]
fn a_cause_without_a_row_leaves_it_to_the_code() {
    for cause in [16, 31, 4, 23, 26, 44, 63, 90, 120] {
        for code in [403, 480, 487, 500, 503, 603] {
            assert_eq!(with_cause(code, cause, true).reason(), table(code, true), "{code} cause {cause}");
        }
    }
}

#[test]
fn cause_21_is_the_callee_s_choice_only_where_the_callee_was_reached() {
    let at = |location: &str, rang| EndFacts {
        q850: Some(Q850::new(21).with_location(location)),
        ..response(603, "Decline", rang)
    };
    assert_eq!(at("U", false).reason(), Declined);
    assert_eq!(at("LN", true).reason(), Rejected);
    assert_eq!(with_cause(403, 21, true).reason(), Declined);
    assert_eq!(with_cause(403, 21, false).reason(), Rejected);
    let blocked = EndFacts { q850: Some(Q850::new(21)), ..response(603, "Network Blocked", true) };
    assert_eq!(blocked.reason(), Rejected);
}

#[test]
fn silence_is_a_timeout_of_the_network() {
    let facts = EndFacts::default();
    assert_eq!((facts.reason(), facts.ended_by()), (Timeout, EndedBy::Network));
    let facts = own(LocalCause::NoResponse, false, false);
    assert_eq!((facts.reason(), facts.ended_by()), (Timeout, EndedBy::Network));
}

#[test]
fn the_end_says_who_and_keeps_what_the_peer_sent() {
    let status = SipStatus::new(503, "Service Unavailable");
    let facts = EndFacts {
        final_status: Some(status.clone()),
        q850: Some(Q850::new(34)),
        retry_after: Some(Duration::from_secs(7)),
        ..EndFacts::default()
    };
    let end = facts.into_end();
    assert_eq!((end.reason, end.ended_by, end.sip), (Unreachable, EndedBy::Remote, Some(status)));
    assert_eq!((end.q850, end.retry_after), (Some(Q850::new(34)), Some(Duration::from_secs(7))));

    let timer = EndFacts {
        final_status: Some(SipStatus::new(487, "Request Terminated")),
        ..own(LocalCause::RingTimeout, true, false)
    };
    assert_eq!((timer.ended_by(), timer.reason()), (EndedBy::Local, NoAnswer));
    assert_eq!(own(LocalCause::AuthFailed, false, false).ended_by(), EndedBy::Remote);
    assert_eq!(own(LocalCause::TransportFailed, false, false).ended_by(), EndedBy::Network);
}

fn any_local() -> impl Strategy<Value = Option<LocalCause>> {
    use LocalCause::*;
    prop::option::of(prop::sample::select(vec![
        Hangup,
        RingTimeout,
        TalkLimit,
        Policy,
        Shutdown,
        SrtpRefused,
        NoCommonCodec,
        MediaSetup,
        AuthFailed,
        DnsFailed,
        TransportFailed,
        NoResponse,
        Internal,
    ]))
}

#[test]
fn a_verdict_counts_where_there_was_no_answer_and_no_act_of_ours() {
    let said = EndFacts { verdict: Some(Busy), ..response(500, "", false) };
    assert_eq!((said.reason(), said.ended_by()), (Busy, EndedBy::Remote));
    assert_eq!(EndFacts { verdict: Some(Busy), ..EndFacts::default() }.ended_by(), EndedBy::Remote);
    assert_eq!(EndFacts { local: Some(LocalCause::Hangup), ..said.clone() }.reason(), Cancelled);
    assert_eq!(EndFacts { answered: true, bye_from_remote: true, ..said }.reason(), Completed);
}

proptest! {
    #[test]
    fn any_facts_have_a_reason(
        local in any_local(), code in prop::option::of(any::<u16>()), phrase in ".{0,20}",
        cause in prop::option::of(any::<u8>()), location in prop::option::of(".{0,4}"),
        rang in any::<bool>(), answered in any::<bool>(), bye_from_remote in any::<bool>(),
    ) {
        let facts = EndFacts {
            local,
            final_status: code.map(|code| SipStatus::new(code, phrase)),
            q850: cause.map(|cause| Q850 { cause, text: None, location }),
            retry_after: None,
            provisional_18x: rang,
            answered,
            bye_from_remote,
            verdict: None,
        };
        let end = facts.clone().into_end();
        // An unanswered call is never completed, except by a limit that only an answered one can reach.
        if !answered && local != Some(LocalCause::TalkLimit) {
            prop_assert_ne!(end.reason, Completed);
        }
        prop_assert_eq!(end.sip, facts.final_status);
    }
}
