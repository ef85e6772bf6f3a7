//! A SIP message: through the gate, as a datagram through PJSIP's transport layer, and as text through its parser.

use crate::pjlib::{Global, Pool, factory};
use outdial::sip::gate;
use pjsip_sys::*;
use std::ptr;
use std::sync::OnceLock;

/// Longest message that PJSIP reads.
const LONGEST: usize = PJSIP_MAX_PKT_LEN as usize;

struct Stack {
    endpoint: Global<pjsip_endpoint>,
    transport: Global<pjsip_transport>,
}

pub(crate) fn run(input: &[u8]) {
    let _ = gate::inspect(input);
    if input.is_empty() || input.len() > LONGEST {
        return;
    }
    parse(input);
    receive(input);
}

fn stack() -> &'static Stack {
    static STACK: OnceLock<Stack> = OnceLock::new();
    factory();
    STACK.get_or_init(|| {
        let (mut endpoint, mut transport) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: endpoint, transport and module live as long as the process; zeros are valid for the two records.
        unsafe {
            assert_eq!(pjsip_endpt_create(factory(), c"target".as_ptr(), &mut endpoint), 0);
            assert_eq!(pjsip_tsx_layer_init_module(endpoint), 0);
            assert_eq!(pjsip_ua_init_module(endpoint, ptr::null()), 0);
            let mut callbacks: pjsip_inv_callback = std::mem::zeroed();
            callbacks.on_state_changed = Some(on_state_changed);
            callbacks.on_new_session = Some(on_new_session);
            assert_eq!(pjsip_inv_usage_init(endpoint, &callbacks), 0);
            let module = Box::leak(Box::new(std::mem::zeroed::<pjsip_module>()));
            module.name = pj_str_t { ptr: c"mod-target".as_ptr().cast_mut(), slen: 10 };
            module.id = -1;
            module.priority = PJSIP_MOD_PRIORITY_TRANSPORT_LAYER as i32 - 1;
            module.on_rx_request = Some(on_message);
            module.on_rx_response = Some(on_message);
            assert_eq!(pjsip_endpt_register_module(endpoint, module), 0);
            assert_eq!(pjsip_loop_start(endpoint, &mut transport), 0);
        }
        Stack { endpoint: Global(endpoint), transport: Global(transport) }
    })
}

unsafe extern "C" fn on_state_changed(_: *mut pjsip_inv_session, _: *mut pjsip_event) {}

unsafe extern "C" fn on_new_session(_: *mut pjsip_inv_session, _: *mut pjsip_event) {}

/// What PJSIP does with any message, and then nothing more: a transaction would outlive its input.
unsafe extern "C" fn on_message(received: *mut pjsip_rx_data) -> pj_bool_t {
    let pool = Pool::new();
    // SAFETY: PJSIP passes a parsed message with its mandatory headers, alive during the call.
    unsafe {
        let message = (*received).msg_info.msg;
        take_apart(&pool, message);
        pjsip_rdata_get_sdp_info(received);
        if (*message).type_ == PJSIP_REQUEST_MSG {
            let (mut answer, endpoint) = (ptr::null_mut(), stack().endpoint.0);
            if pjsip_endpt_create_response(endpoint, received, 400, ptr::null(), &mut answer) == 0 {
                print((*answer).msg);
                pjsip_tx_data_dec_ref(answer);
            }
        }
    }
    1
}

/// Copies a message and prints both.
unsafe fn take_apart(pool: &Pool, message: *mut pjsip_msg) {
    // SAFETY: the caller's promise: a parsed message.
    unsafe {
        print(message);
        print(pjsip_msg_clone(pool.as_ptr(), message));
        let mut header = (*message).hdr.next.cast::<pjsip_hdr>();
        while header != (&raw mut (*message).hdr).cast() {
            let mut buffer = [0_u8; 64];
            pjsip_hdr_print_on(header.cast(), buffer.as_mut_ptr().cast(), buffer.len() as pj_size_t);
            header = (*header).next.cast();
        }
    }
}

unsafe fn print(message: *const pjsip_msg) {
    let mut buffer = vec![0_u8; LONGEST];
    // SAFETY: the buffer has this size.
    unsafe { pjsip_msg_print(message, buffer.as_mut_ptr().cast(), buffer.len() as pj_size_t) };
}

/// The text as it is, its end where the memory ends.
fn parse(input: &[u8]) {
    stack();
    let pool = Pool::new();
    let text = pool.copy(input);
    // SAFETY: text and message live in the pool; behind the text is a NUL; the list of errors is not asked for.
    unsafe {
        let mut length = 0;
        pjsip_find_msg(text.ptr, text.slen as pj_size_t, 0, &mut length);
        let message = pjsip_parse_msg(pool.as_ptr(), text.ptr, text.slen as pj_size_t, ptr::null_mut());
        if !message.is_null() {
            take_apart(&pool, message);
        }
    }
}

/// A datagram as the transport layer receives it.
fn receive(input: &[u8]) {
    let stack = stack();
    let pool = Pool::new();
    // SAFETY: a record of plain data, for which zeros are valid, filled as transports fill it.
    unsafe {
        let mut received: Box<pjsip_rx_data> = Box::new(std::mem::zeroed());
        received.tp_info.transport = stack.transport.0;
        received.tp_info.pool = pool.as_ptr();
        received.pkt_info.len = input.len() as pj_ssize_t;
        let source = pool.copy(b"127.0.0.1");
        pj_sockaddr_in_init((&raw mut received.pkt_info.src_addr).cast(), &source, 5060);
        received.pkt_info.src_addr_len = size_of::<pj_sockaddr_in>() as i32;
        received.pkt_info.src_port = 5060;
        let name = c"127.0.0.1".to_bytes_with_nul();
        ptr::copy_nonoverlapping(name.as_ptr(), received.pkt_info.src_name.as_mut_ptr().cast(), name.len());
        ptr::copy_nonoverlapping(input.as_ptr(), received.pkt_info.packet.as_mut_ptr().cast(), input.len());
        pjsip_tpmgr_receive_packet(pjsip_endpt_get_tpmgr(stack.endpoint.0), &raw mut *received);
    }
}
