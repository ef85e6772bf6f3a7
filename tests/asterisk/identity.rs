//! Who calls, as the PBX understands it, and header fields of the application's own.

use outdial::provider::{CallerId, Header};

use super::pbx::{Row, TRUSTED, rows_from, to_asterisk};

const CALLER: &str = "caller_id = \"+12025550199\"\ncaller_name = \"Praxis Dr. Möller\"";

fn trusted(more: &str) -> String {
    format!("codecs = [\"pcmu\"]\n{}\n{more}", to_asterisk("udp"))
}

fn account(more: &str) -> String {
    trusted(&format!("{}\nfrom = \"account\"\n{CALLER}\n{more}", super::pbx::account("alice")))
}

#[tokio::test]
async fn the_caller_is_told_as_the_trunk_wants_it() {
    rows_from(
        TRUSTED,
        vec![
            Row::new("From", trusted(CALLER), |o| {
                assert_eq!(o.came.get("Number"), "+12025550199", "{:?}", o.came);
                assert_eq!(o.came.text("Name"), "Praxis Dr. Möller");
            }),
            Row::new("P-Asserted-Identity", account("identity = \"pai\""), |o| {
                assert_eq!(o.came.get("Endpoint"), "alice");
                assert_eq!(
                    o.came.text("PAI"),
                    "\"Praxis Dr. Möller\" <sip:+12025550199@127.0.0.10>",
                    "{:?}",
                    o.came
                );
                // trust_id_inbound: it is the caller, whatever From says.
                assert_eq!(o.came.get("Number"), "+12025550199");
                assert!(o.came.text("From").contains("<sip:alice@127.0.0.10>"), "{:?}", o.came.text("From"));
            }),
            Row::new("P-Preferred-Identity", account("identity = \"ppi\""), |o| {
                assert_eq!(o.came.text("PPI"), "\"Praxis Dr. Möller\" <sip:+12025550199@127.0.0.10>");
                assert_eq!(o.came.text("PAI"), "");
            }),
            Row::new(
                "Privacy, anonymous From",
                trusted(&format!("{CALLER}\nidentity = \"pai\"\nhide_caller = true")),
                |o| {
                    assert!(
                        o.came.text("From").starts_with("\"Anonymous\" <sip:anonymous@anonymous.invalid>"),
                        "{}",
                        o.came.text("From")
                    );
                    assert_eq!(o.came.get("Privacy"), "id");
                    assert!(o.came.get("Presentation").starts_with("prohib"), "{:?}", o.came);
                    // The network still knows who calls.
                    assert_eq!(o.came.get("Number"), "+12025550199");
                },
            ),
            Row::new("Privacy, account in From", account("identity = \"pai\"\nhide_caller = true"), |o| {
                assert!(
                    o.came.text("From").starts_with("\"Anonymous\" <sip:alice@"),
                    "{}",
                    o.came.text("From")
                );
                assert_eq!(o.came.get("Privacy"), "id");
            }),
            Row {
                request: |request| request.hide_caller(true),
                ..Row::new("Privacy, by request", account("identity = \"pai\""), |o| {
                    assert_eq!(o.came.get("Privacy"), "id");
                })
            },
            Row::new("Diversion", trusted(&format!("{CALLER}\ndiversion = \"+12025550188\"")), |o| {
                assert_eq!(o.came.text("Diversion"), "<sip:+12025550188@127.0.0.10>;reason=unconditional");
                assert_eq!(o.came.get("Diverted"), "+12025550188", "{:?}", o.came);
            }),
            Row {
                request: |request| {
                    let header = Header::new("X-Campaign", "7; of=\"spring, early\"").unwrap();
                    let caller = CallerId::parse("4711").unwrap();
                    request.header(header).caller_id(caller).caller_name("Anna")
                },
                ..Row::new("own header, extension", trusted(CALLER), |o| {
                    assert_eq!(o.came.text("Own"), "7; of=\"spring, early\"");
                    assert_eq!((o.came.get("Number"), o.came.text("Name").as_str()), ("4711", "Anna"));
                })
            },
        ],
    )
    .await;
}
