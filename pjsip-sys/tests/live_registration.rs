//! What registrars do to an account.

mod support;

use support::peer::Phone;

#[test]
fn more_service_routes_than_the_account_holds_are_refused() {
    for count in [9, 30] {
        let mut phone = Phone::new(true);
        let register = phone.expect("REGISTER");
        let routes: String =
            (0..count).map(|i| format!("Service-Route: <sip:p{i}.example;lr>\r\n")).collect();
        let contact = format!("Contact: {};expires=300\r\n", register.header("Contact"));
        phone.respond(&register, "200 OK", &(contact + &routes), "");
        phone.rest();
        let invite = phone.dial();
        assert!(!invite.text.contains("\r\nRoute: "), "{}", invite.text);
    }
}

/// Two registrations that the registrar says to have received from `received`, port 5099.
fn received_from(phone: &mut Phone, received: &str) {
    for _ in 0..2 {
        let register = phone.expect("REGISTER");
        let mut odd = register.clone();
        let via = register.header("Via").replace(";rport", ";rport=5099");
        odd.text = odd.text.replace(register.header("Via"), &format!("{via};received={received}"));
        let contact = format!("Contact: {};expires=300\r\n", register.header("Contact"));
        phone.respond(&odd, "200 OK", &contact, "");
        phone.rest();
        // SAFETY: the account exists; this thread makes all calls.
        unsafe { pjsip_sys::pjsua_acc_set_registration(phone.account, 1) };
    }
}

#[test]
fn what_is_no_address_changes_neither_via_nor_contact() {
    for received in ["[::1", "foo:bar", "name.example"] {
        let mut phone = Phone::new(true);
        received_from(&mut phone, received);
        let invite = phone.dial();
        assert!(!invite.text.contains(received), "{}", invite.text);
        phone.respond(&invite, "486 Busy Here", "", "");
        assert_eq!(phone.ended(), 486, "{received}");
    }
}

#[test]
fn an_address_of_the_other_family_makes_a_contact_too() {
    let mut phone = Phone::new(true);
    received_from(&mut phone, "2001:db8::1");
    let invite = phone.dial();
    assert!(invite.header("Contact").contains("@[2001:db8::1]:5099"), "{}", invite.text);
    phone.respond(&invite, "486 Busy Here", "", "");
    assert_eq!(phone.ended(), 486);
}

#[test]
fn a_star_in_the_answer_is_no_contact() {
    let mut phone = Phone::new(true);
    let register = phone.expect("REGISTER");
    phone.respond(&register, "200 OK", "Contact: *\r\nExpires: 300\r\n", "");
    phone.rest();
    phone.is_alive();
}
