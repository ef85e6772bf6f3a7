//! Ctrl-C ends a call as a person would.

mod common;

use common::{Running, Sandbox, outdial};

fn dialling(sandbox: &Sandbox, number: &str) -> Running {
    let mut command = outdial(&["dial", number, "--json", "--listen", "600", "--config"]);
    command.arg(sandbox.config());
    Running::start(command)
}

#[test]
fn while_it_rings_the_call_is_cancelled() {
    let sandbox = Sandbox::start(&[]);
    let call = dialling(&sandbox, "+12025550103");
    call.wait_for("ringing");
    call.interrupt();
    assert_eq!(call.wait_for("ended")["end"]["reason"], "cancelled");
    assert_eq!(call.exit_code(), Some(18));
    assert_eq!(sandbox.wait_for("call_ended")["outcome"], "cancelled by the caller");
}

#[test]
fn after_the_answer_the_callee_gets_a_bye() {
    let sandbox = Sandbox::start(&[]);
    let call = dialling(&sandbox, "+12025550100");
    call.wait_for("answered");
    call.interrupt();
    assert_eq!(call.wait_for("ended")["end"]["reason"], "completed");
    assert_eq!(call.exit_code(), Some(0));
    assert_eq!(sandbox.wait_for("call_ended")["outcome"], "caller hung up");
}

#[test]
fn the_second_time_nothing_is_waited_for() {
    // A callee that never answers a BYE would keep us waiting.
    let sandbox = Sandbox::start(&[]);
    let call = dialling(&sandbox, "+12025550178");
    call.wait_for("answered");
    call.interrupt();
    call.wait_for("hanging_up");
    call.interrupt();
    assert_eq!(call.exit_code(), Some(130));
}

#[test]
fn a_sandbox_ends_too() {
    let sandbox = Running::start(outdial(&["sandbox", "--json"]));
    sandbox.wait_for("ready");
    sandbox.interrupt();
    assert_eq!(sandbox.exit_code(), Some(0));
}
